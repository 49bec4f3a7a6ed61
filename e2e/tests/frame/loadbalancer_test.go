// Package frame tests the cluster itself: that it is what the other tests take for granted.
package frame

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

// poolVariable is set where the addresses come from our own controller.
const poolVariable = "E2E_LOADBALANCER_POOL"

func TestDeploymentBehindLoadBalancer(t *testing.T) {
	t.Parallel()
	env := framework.New(t)
	env.RunDeployment("web", 2, framework.ProbePod())
	env.RunPod("client", framework.ProbePod())
	env.Service("web", "web", corev1.ServiceTypeLoadBalancer, nil)
	url := "http://" + env.AwaitAddress("web") + "/name"

	for from, get := range map[string]func(context.Context) (string, error){
		"from the node": func(ctx context.Context) (string, error) { return framework.Get(ctx, url) },
		"from a pod":    func(ctx context.Context) (string, error) { return env.Ask(ctx, "client", "get", "url", url) },
	} {
		seen := make(map[string]bool)
		env.Eventually(url+" "+from, func(ctx context.Context) error {
			name, err := get(ctx)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(name, "web-") {
				return fmt.Errorf("%q answered", name)
			}
			if seen[name] = true; len(seen) < 2 {
				return fmt.Errorf("only %v answered", seen)
			}
			return nil
		})
	}
}

// A pod that is a backend of the Service reaches itself through the Service, too.
func TestPodReachesItselfThroughLoadBalancer(t *testing.T) {
	t.Parallel()
	env := framework.New(t)
	env.RunPod("lonely", framework.ProbePod())
	env.Service("lonely", "lonely", corev1.ServiceTypeLoadBalancer, nil)
	url := "http://" + env.AwaitAddress("lonely") + "/name"
	env.Eventually(url+" from its only backend", func(ctx context.Context) error {
		name, err := env.Ask(ctx, "lonely", "get", "url", url)
		if err == nil && name != "lonely" {
			err = fmt.Errorf("%q answered", name)
		}
		return err
	})
}

func TestExternalTrafficPolicyLocal(t *testing.T) {
	t.Parallel()
	env := framework.New(t)
	env.RunPod("local", framework.ProbePod())
	env.Service("local", "local", corev1.ServiceTypeLoadBalancer, func(service *corev1.Service) {
		service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	url := "http://" + env.AwaitAddress("local") + "/name"
	env.Eventually(url, func(ctx context.Context) error {
		_, err := framework.Get(ctx, url)
		return err
	})
}

func TestLoadBalancerAddressThatIsAskedFor(t *testing.T) {
	t.Parallel()
	pool := os.Getenv(poolVariable)
	if pool == "" {
		t.Skipf("%s is not set: this cluster has another controller's addresses", poolVariable)
	}
	prefix, err := netip.ParsePrefix(pool)
	if err != nil {
		t.Fatal(err)
	}
	env := framework.New(t)
	// Far from those that are given out in turn.
	wanted := prefix.Addr().As4()
	wanted[3] = 200
	address := netip.AddrFrom4(wanted).String()
	ask := func(service *corev1.Service) { service.Spec.LoadBalancerIP = address }

	env.Service("first", "none", corev1.ServiceTypeLoadBalancer, ask)
	if got := env.AwaitAddress("first"); got != address {
		t.Fatalf("the first got %s, want %s", got, address)
	}
	env.Service("second", "none", corev1.ServiceTypeLoadBalancer, ask)
	env.Eventually("event of the second", func(ctx context.Context) error { return refused(ctx, env, "second") })
	if got, err := env.Address(t.Context(), "second"); !errors.Is(err, framework.ErrNoAddress) {
		t.Fatalf("the second got %q (%v) although it is the first's", got, err)
	}
	if err := env.Client.CoreV1().Services(env.Namespace).Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := env.AwaitAddress("second"); got != address {
		t.Errorf("the second got %s after the first was deleted, want %s", got, address)
	}
	if !prefix.Contains(netip.MustParseAddr(address)) {
		t.Errorf("%s is not in %s", address, prefix)
	}
}

// refused is nil when an event says that the Service gets no address.
func refused(ctx context.Context, env *framework.Env, service string) error {
	events, err := env.Client.CoreV1().Events(env.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.name=" + service + ",reason=NoAddress",
	})
	if err == nil && len(events.Items) == 0 {
		err = errors.New("no such event")
	}
	return err
}
