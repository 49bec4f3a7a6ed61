package operator

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

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
	awaitAbsent(ingress, "ServiceEntry")
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

// awaitAbsent waits until an operator has said that the cluster does not have a kind.
func awaitAbsent(ingress *framework.Ingress, kind string) {
	ingress.Eventually("the operator notices that there is no "+kind, func(ctx context.Context) error {
		pods, err := operators(ctx, ingress.Env)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			log, err := ingress.Client.CoreV1().Pods(system).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(log)) {
				if strings.Contains(line, "does not have this kind") && strings.Contains(line, `"`+kind+`"`) {
					return nil
				}
			}
		}
		return fmt.Errorf("none of %d operators said so", len(pods))
	})
}
