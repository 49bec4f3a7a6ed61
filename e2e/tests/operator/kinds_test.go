package operator

import (
	"path/filepath"
	"testing"

	"postern.dev/e2e/tests/framework"
)

// A kind whose definition goes is waited for; everything else goes on, and when it is there again it is read.
func TestKindIsMissing(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1)
	if err := framework.DeleteDefinition(t.Context(), "serviceentries.networking.istio.io"); err != nil {
		t.Fatal(err)
	}
	change(ingress, 1)
	ingress.Kubectl("apply", "--server-side", "-k", filepath.Join(framework.Manifests, "crds"))
	ingress.Kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/serviceentries.networking.istio.io")
	ingress.Apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [outside.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
`)
	ingress.Await(framework.ServiceEntries, ingress.Namespace, "outside", "is accepted", framework.Says("Accepted", "True", ""))
	change(ingress, 2)
	ingress.AwaitServed("backend")
}
