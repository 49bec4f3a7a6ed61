// Package operator tests Postern as its users see it: the stories of manifests/examples and of what goes wrong, on a real cluster.
//
// [TestStories] has those that do not disturb each other, side by side; the other tests take something away that all need, or measure,
// and run alone.
package operator

import (
	"os"
	"testing"
	"time"

	"postern.dev/e2e/tests/framework"
)

var (
	// skip says why nothing can be tested on this cluster.
	skip string
	// started is when Postern was not yet installed.
	started = time.Now()
)

func TestMain(m *testing.M) { os.Exit(framework.RunInstalled(m, &skip)) }

// requirePostern skips the test where Postern was not installed.
func requirePostern(t *testing.T) {
	t.Helper()
	if skip != "" {
		t.Skip(skip)
	}
}

// newEnv is a namespace for a test.
func newEnv(t *testing.T) *framework.Env {
	t.Helper()
	requirePostern(t)
	return framework.New(t)
}

// newIngress is an ingress for a test.
func newIngress(t *testing.T) *framework.Ingress {
	t.Helper()
	requirePostern(t)
	return framework.NewIngress(t)
}

// stories do not disturb each other.
var stories = map[string]func(*testing.T){
	"examples":            examples,
	"certificates":        certificates,
	"settings":            settings,
	"two settings":        twoSettings,
	"status":              status,
	"managed elsewhere":   managedElsewhere,
	"columns and events":  columnsAndEvents,
	"mending":             mending,
	"rollout of ingress":  rolloutOfIngress,
	"rollout of backend":  rolloutOfBackend,
	"autoscaler of users": autoscalerOfUsers,
	"autoscaler of igw":   autoscalerOfIngressGateway,
	"gateway api":         gatewayAPIObjects,
	"istio class":         istioClass,
}

func TestStories(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t)
		})
	}
}
