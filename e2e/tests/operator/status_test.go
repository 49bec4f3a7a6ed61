package operator

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"postern.dev/e2e/tests/framework"
)

// mentions is an error unless a condition's message has all of the words.
func mentions(condition *framework.Condition, words ...string) error {
	if condition == nil {
		return fmt.Errorf("no such condition")
	}
	for _, word := range words {
		if !strings.Contains(condition.Message, word) {
			return fmt.Errorf("the message %q does not mention %q", condition.Message, word)
		}
	}
	return nil
}

// What is wrong is said on the object at fault, with the field; what is not wrong is not written.
func status(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1)
	ingress.Apply(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: beside}
spec:
  hosts: [%[1]s]
  gateways: [web]
  http:
  - match: [{uri: {prefix: /beside}}]
    route: [{destination: {host: backend, port: {number: 80}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad}
spec:
  hosts: ["%[1]s"]
  gateways: [web]
  http:
  - match: [{uri: {regex: "/a["}}]
    route: [{destination: {host: backend, port: {number: 80}}}]
  - match: [{uri: {prefix: /nowhere}}]
    route: [{destination: {host: nowhere, port: {number: 80}}}]
`, ingress.Host))
	ingress.Await(framework.VirtualServices, ingress.Namespace, "bad", "names the field of the bad regular expression", func(object *framework.Object) error {
		return mentions(framework.ConditionOf(object, "Accepted"), "spec.http[0].match[0].uri")
	})
	ingress.Await(framework.VirtualServices, ingress.Namespace, "bad", "names the host that does not exist", func(object *framework.Object) error {
		if err := framework.Says("ResolvedRefs", "False", "")(object); err != nil {
			return err
		}
		return mentions(framework.ConditionOf(object, "ResolvedRefs"), "nowhere", "spec.http[1].route[0].destination")
	})
	ingress.Apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend}
spec: {host: backend, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}
`)
	ingress.Await(framework.DestinationRules, ingress.Namespace, "backend", "is programmed", framework.Programmed)
	othersAreKept(t, ingress)
	onlyWhatDiffersIsWritten(t, ingress)
}

// othersAreKept checks that a condition of another writer survives ours.
func othersAreKept(t *testing.T, ingress *framework.Ingress) {
	const checked = "example.com/Checked"
	theirs := map[string]any{
		"type": checked, "status": "True", "reason": "Checked", "message": "by somebody else", "lastTransitionTime": "2026-01-02T03:04:05Z",
	}
	virtualServices := ingress.Dynamic.Resource(framework.VirtualServices).Namespace(ingress.Namespace)
	for {
		object := ingress.Await(framework.VirtualServices, ingress.Namespace, "web", "is programmed", framework.Programmed)
		status, _ := object.Object["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any)
		status["conditions"] = append([]any{theirs}, conditions...)
		_, err := virtualServices.UpdateStatus(t.Context(), object, metav1.UpdateOptions{FieldManager: "somebody"})
		if err == nil {
			break
		}
		if !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
	}
	before := framework.ConditionOf(ingress.Read(framework.VirtualServices, ingress.Namespace, "web"), "Accepted")
	change(ingress, 1)
	after := ingress.Read(framework.VirtualServices, ingress.Namespace, "web")
	if kept := framework.ConditionOf(after, checked); kept == nil || kept.Message != theirs["message"] || kept.LastTransitionTime != theirs["lastTransitionTime"] {
		t.Errorf("another writer's condition is now %+v", kept)
	}
	accepted := framework.ConditionOf(after, "Accepted")
	if accepted.LastTransitionTime != before.LastTransitionTime {
		t.Errorf("lastTransitionTime of Accepted went from %s to %s, although it was True all the time", before.LastTransitionTime, accepted.LastTransitionTime)
	}
	if accepted.ObservedGeneration != after.GetGeneration() {
		t.Errorf("Accepted speaks of generation %d of %d", accepted.ObservedGeneration, after.GetGeneration())
	}
}

// onlyWhatDiffersIsWritten checks that an object is not written when another one changes, or its own labels do.
func onlyWhatDiffersIsWritten(t *testing.T, ingress *framework.Ingress) {
	beside := ingress.Await(framework.VirtualServices, ingress.Namespace, "beside", "is programmed", framework.Programmed)
	change(ingress, 2)
	change(ingress, 3)
	text := []byte(`{"metadata":{"annotations":{"example.com/note":"nothing to translate"}}}`)
	noted, err := ingress.Dynamic.Resource(framework.VirtualServices).Namespace(ingress.Namespace).
		Patch(t.Context(), "web", types.MergePatchType, text, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // Nothing tells that nothing will be written.
	if now := ingress.Read(framework.VirtualServices, ingress.Namespace, "beside"); now.GetResourceVersion() != beside.GetResourceVersion() {
		t.Errorf("a VirtualService that did not change was written: %v", now.Object["status"])
	}
	if now := ingress.Read(framework.VirtualServices, ingress.Namespace, "web"); now.GetResourceVersion() != noted.GetResourceVersion() {
		t.Errorf("a VirtualService of which only an annotation changed was written: %v", now.Object["status"])
	}
}

// Where pods of somebody else have the labels of the selector, Postern keeps its hands off, and says so.
func managedElsewhere(t *testing.T) {
	ingress := newIngress(t)
	foreign := ingress.RunPodLabelled("istio-of-somebody", map[string]string{"istio": ingress.Label})
	ingress.Backend("backend", 1)
	ingress.Apply(ingress.Gateway(), ingress.VirtualService("backend"))
	gateway := ingress.Await(framework.Gateways, ingress.Namespace, "web", "says who serves it", framework.Says("Accepted", "False", "ManagedElsewhere"))
	if err := mentions(framework.ConditionOf(gateway, "Accepted"), foreign.Name); err != nil {
		t.Error(err)
	}
	for _, kind := range []framework.Kind{framework.Deployments, framework.Services} {
		_, err := ingress.Dynamic.Resource(kind).Namespace(root).Get(t.Context(), ingress.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s %s: %v, want none", kind.Resource, ingress.Name, err)
		}
	}
	ingress.Kubectl("-n", ingress.Namespace, "delete", "pod", foreign.Name)
	ingress.AwaitProgrammed()
	ingress.AwaitServed("backend")
}

// What `kubectl get` and `kubectl describe` show.
func columnsAndEvents(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1, ingress.Settings("replicas: 2"))
	ingress.Await(framework.IngressGateways, root, ingress.Name, "is programmed", framework.Programmed)
	address, err := ingress.AddressOf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ingress.MustHavePods(ingress.Name, 2)
	for command, wants := range map[string][]string{
		"-n " + ingress.Namespace + " get gateways.networking.istio.io": {"PROGRAMMED", "ADDRESS", "READY", "AGE", "True", "2/2", address},
		"-n " + ingress.Namespace + " get virtualservices":              {"PROGRAMMED", "HOSTS", "AGE", "True"},
		"-n " + root + " get igw " + ingress.Name:                       {"PROGRAMMED", "ADDRESS", "READY", "AGE", "True", "2/2", address},
	} {
		// The second proxy has just become ready.
		ingress.Eventually("kubectl "+command, func(context.Context) error {
			output := ingress.Kubectl(strings.Fields(command)...)
			for _, want := range wants {
				if !strings.Contains(output, want) {
					return fmt.Errorf("no %q in\n%s", want, output)
				}
			}
			return nil
		})
	}
	ingress.Eventually("events of the Gateway", func(ctx context.Context) error {
		output := ingress.Kubectl("-n", ingress.Namespace, "describe", "gateways.networking.istio.io", "web")
		_, events, _ := strings.Cut(output, "Events:")
		if !strings.Contains(events, "Programmed") || !strings.Contains(events, "postern") {
			return fmt.Errorf("no event Programmed of postern in:%s", events)
		}
		return nil
	})
	ingress.Apply(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: refused}
spec:
  hosts: ["%s"]
  gateways: [web]
  http: [{match: [{uri: {regex: "/a["}}], route: [{destination: {host: backend, port: {number: 80}}}]}]
`, ingress.Host))
	ingress.Eventually("an event that says what is refused", func(ctx context.Context) error {
		output := ingress.Kubectl("-n", ingress.Namespace, "describe", "virtualservices", "refused")
		_, events, _ := strings.Cut(output, "Events:")
		if !strings.Contains(events, "Warning") || !strings.Contains(events, "spec.http[0].match[0].uri") {
			return fmt.Errorf("no warning with the field in:%s", events)
		}
		return nil
	})
}
