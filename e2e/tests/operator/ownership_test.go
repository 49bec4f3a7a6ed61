package operator

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

// A HorizontalPodAutoscaler that the user makes for the managed Deployment decides.
func autoscalerOfUsers(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1)
	ingress.Apply(fmt.Sprintf(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: of-the-user-%[1]s, namespace: %[2]s}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %[1]s}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`, ingress.Name, root))
	t.Cleanup(func() { ingress.Delete(framework.Autoscalers, root, "of-the-user-"+ingress.Name) })
	ingress.MustHavePods(ingress.Name, 2)
	for n := range 3 {
		change(ingress, n+1)
	}
	ingress.MustHavePods(ingress.Name, 2)
}

// What users set on the managed Deployment and Service stays, over reconciles and a restart of the operator.
func TestUsersChangesSurvive(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1, ingress.Settings())
	deployment, service := "deployment/"+ingress.Name, "service/"+ingress.Name
	ingress.Kubectl("-n", root, "scale", deployment, "--replicas=2")
	ingress.Kubectl("-n", root, "patch", deployment, "-p", `{"spec":{"template":{"metadata":{"labels":{"example.com/team":"edge"}},"spec":{
		"nodeSelector":{"kubernetes.io/os":"linux"},
		"securityContext":{"supplementalGroups":[4242]},
		"containers":[{"name":"proxy","env":[{"name":"TEAM","value":"edge"}]}]}}}}`)
	ingress.Kubectl("-n", root, "patch", service, "-p", `{"metadata":{"annotations":{"example.com/dns":"edge"}},"spec":{"sessionAffinity":"ClientIP"}}`)
	ingress.Kubectl("-n", root, "rollout", "status", deployment, "--timeout=120s")
	checkUsersChanges(ingress)

	change(ingress, 1)
	// A change of the Service's ports, and of the Deployment's template.
	ingress.Patch(framework.Gateways, ingress.Namespace, "web", map[string]any{"spec": map[string]any{"servers": []any{map[string]any{
		"port": map[string]any{"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": []any{ingress.Host},
		"tls": map[string]any{"mode": "SIMPLE", "credentialName": ingress.Credential},
	}}}})
	ingress.AwaitProgrammed()
	ingress.Apply(ingress.Settings("resources: {requests: {cpu: 20m}}"))
	ingress.Eventually("the new template", func(ctx context.Context) error {
		found, err := ingress.Client.AppsV1().Deployments(root).Get(ctx, ingress.Name, metav1.GetOptions{})
		if err == nil && found.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().String() != "20m" {
			err = fmt.Errorf("requests are %v", found.Spec.Template.Spec.Containers[0].Resources.Requests)
		}
		return err
	})
	checkUsersChanges(ingress)

	ingress.Kubectl("-n", system, "rollout", "restart", "deployment/postern")
	ingress.Kubectl("-n", system, "rollout", "status", "deployment/postern", "--timeout=120s")
	change(ingress, 2)
	checkUsersChanges(ingress)
	ingress.MustHavePods(ingress.Name, 2)
}

func checkUsersChanges(ingress *framework.Ingress) {
	t := ingress.T
	t.Helper()
	deployment, err := ingress.Client.AppsV1().Deployments(root).Get(t.Context(), ingress.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	service, err := ingress.Client.CoreV1().Services(root).Get(t.Context(), ingress.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	template := deployment.Spec.Template
	security, proxy := template.Spec.SecurityContext, template.Spec.Containers[0]
	for what, kept := range map[string]bool{
		"kubectl scale":           deployment.Spec.Replicas != nil && *deployment.Spec.Replicas == 2,
		"label of the pods":       template.Labels["example.com/team"] == "edge",
		"nodeSelector":            template.Spec.NodeSelector["kubernetes.io/os"] == "linux",
		"securityContext":         security != nil && len(security.SupplementalGroups) == 1 && security.SupplementalGroups[0] == 4242,
		"our securityContext":     security != nil && security.RunAsNonRoot != nil && *security.RunAsNonRoot,
		"variable":                len(proxy.Env) > 0 && proxy.Env[0].Name == "TEAM",
		"annotation of Service":   service.Annotations["example.com/dns"] == "edge",
		"affinity of the Service": service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
	} {
		if !kept {
			t.Errorf("%s: not kept", what)
		}
	}
}

// What Postern owns and somebody breaks is mended; where somebody took a field over, the status says whose it is.
func mending(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1, ingress.Settings())
	kept := ingress.MustHavePods(ingress.Name, 1)[0].UID

	ingress.Kubectl("-n", root, "delete", "service", ingress.Name)
	ingress.AwaitServed("backend")
	ingress.Kubectl("-n", root, "delete", "configmap", ingress.Name+"-snapshot")
	ingress.Await(framework.ConfigMaps, root, ingress.Name+"-snapshot", "is there again", there)
	ingress.Kubectl("-n", root, "delete", "poddisruptionbudget", ingress.Name)
	ingress.Await(framework.Budgets, root, ingress.Name, "is there again", there)
	ingress.Kubectl("-n", root, "label", "deployment", ingress.Name, "app.kubernetes.io/name-")
	ingress.Await(framework.Deployments, root, ingress.Name, "has its label again", func(object *framework.Object) error {
		if object == nil || object.GetLabels()["app.kubernetes.io/name"] != "postern-proxy" {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	ingress.Kubectl("-n", root, "patch", "service", ingress.Name, "--type=json", "-p", `[{"op":"remove","path":"/spec/ports/0"}]`)
	ingress.Eventually("the port of the Service is there again", func(ctx context.Context) error {
		service, err := ingress.Client.CoreV1().Services(root).Get(ctx, ingress.Name, metav1.GetOptions{})
		if err == nil && len(service.Spec.Ports) != 3 {
			err = fmt.Errorf("%d ports, want 80, 443 and 15021", len(service.Spec.Ports))
		}
		return err
	})
	change(ingress, 1)
	if now := ingress.MustHavePods(ingress.Name, 1)[0].UID; now != kept {
		t.Error("the pod was replaced")
	}
	takeOver(t, ingress)
}

func there(object *framework.Object) error {
	if object == nil {
		return fmt.Errorf("it is not")
	}
	return nil
}

// takeOver sets a field of Postern's by another manager: that is not fought over, but said.
func takeOver(t *testing.T, ingress *framework.Ingress) {
	ingress.Kubectl("-n", root, "patch", "service", ingress.Name, "--field-manager=somebody", "-p", `{"spec":{"type":"NodePort"}}`)
	conflict := ingress.Await(framework.IngressGateways, root, ingress.Name, "says whose the field is", framework.Says("Programmed", "False", "FieldConflict"))
	if err := mentions(framework.ConditionOf(conflict, "Programmed"), "spec.type", "somebody"); err != nil {
		t.Error(err)
	}
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "says whose the field is", func(object *framework.Object) error {
		return mentions(framework.ConditionOf(object, "Programmed"), "spec.type", "somebody")
	})
	// Given back, it is as Postern wants it.
	ingress.Kubectl("-n", root, "patch", "service", ingress.Name, "--field-manager=somebody", "-p", `{"spec":{"type":"LoadBalancer"}}`)
	ingress.Await(framework.IngressGateways, root, ingress.Name, "is programmed", framework.Programmed)
	ingress.AwaitServed("backend")
}
