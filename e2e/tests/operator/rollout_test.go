package operator

import (
	"strings"
	"testing"

	"postern.dev/e2e/tests/framework"
)

// rate is how many requests a second a rollout must not lose one of.
const rate = 200

// A rolling restart of an ingress loses no request.
func rolloutOfIngress(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(2)
	ingress.Kubectl("-n", root, "scale", "deployment/"+ingress.Name, "--replicas=2")
	old := ingress.MustHavePods(ingress.Name, 2)
	load := framework.StartLoad(t, ingress.Connect(), ingress.URL("/"), rate)
	ingress.Kubectl("-n", root, "rollout", "restart", "deployment/"+ingress.Name)
	ingress.Kubectl("-n", root, "rollout", "status", "deployment/"+ingress.Name, "--timeout=180s")
	for index := range old {
		ingress.Kubectl("-n", root, "wait", "--for=delete", "--timeout=120s", "pod/"+old[index].Name)
	}
	load.MustServeAll(t, "rolling restart of the ingress")
}

// A backend that is rolled under load costs no request. It does what the documentation of Kubernetes asks of every backend: it goes on
// serving for a moment after it is told to end, until whoever sends it requests knows.
func rolloutOfBackend(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(3, ingress.Settings())
	ingress.Kubectl("-n", ingress.Namespace, "patch", "deployment/backend", "-p", `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":15,
		"containers":[{"name":"backend","lifecycle":{"preStop":{"sleep":{"seconds":5}}}}]}}}}`)
	ingress.Kubectl("-n", ingress.Namespace, "rollout", "status", "deployment/backend", "--timeout=180s")
	load := framework.StartLoad(t, ingress.Connect(), ingress.URL("/"), rate)
	for range 2 {
		old := strings.Fields(ingress.Kubectl("-n", ingress.Namespace, "get", "pods", "-l", "app=backend", "-o", "name"))
		ingress.Kubectl("-n", ingress.Namespace, "rollout", "restart", "deployment/backend")
		ingress.Kubectl("-n", ingress.Namespace, "rollout", "status", "deployment/backend", "--timeout=180s")
		ingress.Kubectl(append([]string{"-n", ingress.Namespace, "wait", "--for=delete", "--timeout=120s"}, old...)...)
	}
	load.MustServeAll(t, "two rollouts of the backend")
}
