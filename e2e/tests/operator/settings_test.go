package operator

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

// An IngressGateway says how the ingress runs, before there is one and later.
func settings(t *testing.T) {
	ingress := newIngress(t)
	t.Cleanup(func() { ingress.Delete(framework.IngressGateways, root, ingress.Name) })
	ingress.Backend("backend", 1)
	ingress.Apply(ingress.Gateway(), ingress.VirtualService("backend"), ingress.Settings(
		"replicas: 2",
		"resources: {requests: {cpu: 20m}, limits: {memory: 256Mi}}",
		"service: {type: NodePort, annotations: {example.com/kind: internal}, ports: [{port: 443, name: secure}]}",
		"podOverlay: {metadata: {annotations: {example.com/team: edge}}, spec: {containers: [{name: proxy, env: [{name: TEAM, value: edge}]}]}}",
	))
	ingress.AwaitProgrammed()
	pods := ingress.MustHavePods(ingress.Name, 2)
	for index := range pods {
		checkPod(t, &pods[index])
	}
	service, err := ingress.Client.CoreV1().Services(root).Get(t.Context(), ingress.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if service.Spec.Type != corev1.ServiceTypeNodePort || service.Annotations["example.com/kind"] != "internal" {
		t.Errorf("the Service is of type %s with annotations %v", service.Spec.Type, service.Annotations)
	}
	names := make(map[int32]string)
	for _, port := range service.Spec.Ports {
		names[port.Port] = port.Name
	}
	if names[443] != "secure" || names[80] == "" {
		t.Errorf("names of the Service's ports: %v", names)
	}
	ingress.Await(framework.IngressGateways, root, ingress.Name, "is programmed", framework.Programmed)

	ingress.Apply(ingress.Settings("replicas: 1"))
	ingress.MustHavePods(ingress.Name, 1)
	ingress.Eventually("the Service is as it was by default", func(ctx context.Context) error {
		service, err := ingress.Client.CoreV1().Services(root).Get(ctx, ingress.Name, metav1.GetOptions{})
		if err == nil && (service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.Annotations["example.com/kind"] != "") {
			err = fmt.Errorf("type %s, annotations %v", service.Spec.Type, service.Annotations)
		}
		return err
	})
	ingress.AwaitServed("backend")
}

func checkPod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	proxy := pod.Spec.Containers[0]
	if got := proxy.Resources.Requests.Cpu().String(); got != "20m" {
		t.Errorf("%s requests %s CPU", pod.Name, got)
	}
	if got := proxy.Resources.Limits.Memory().String(); got != "256Mi" {
		t.Errorf("%s is limited to %s memory", pod.Name, got)
	}
	if pod.Annotations["example.com/team"] != "edge" {
		t.Errorf("%s lacks the overlay's annotation: %v", pod.Name, pod.Annotations)
	}
	if len(proxy.Env) == 0 || proxy.Env[0].Name != "TEAM" {
		t.Errorf("%s lacks the overlay's variable: %v", pod.Name, proxy.Env)
	}
}

// Of two with the same selector the older one counts, and the other says so.
func twoSettings(t *testing.T) {
	ingress := newIngress(t)
	second := ingress.Name + "-second"
	t.Cleanup(func() { ingress.Delete(framework.IngressGateways, root, second) })
	ingress.Start(1, ingress.Settings("replicas: 2"))
	ingress.MustHavePods(ingress.Name, 2)
	ingress.Apply(fmt.Sprintf(`
apiVersion: postern.dev/v1alpha1
kind: IngressGateway
metadata: {name: %s, namespace: %s}
spec: {selector: {istio: %s}, replicas: 3}
`, second, root, ingress.Label))
	conflicted := ingress.Await(framework.IngressGateways, root, second, "says that the other counts", framework.Says("Accepted", "False", "Conflicted"))
	if err := mentions(framework.ConditionOf(conflicted, "Accepted"), ingress.Name); err != nil {
		t.Error(err)
	}
	ingress.MustHavePods(ingress.Name, 2)
	ingress.Delete(framework.IngressGateways, root, ingress.Name)
	ingress.Await(framework.IngressGateways, root, second, "counts", framework.Says("Accepted", "True", ""))
	ingress.MustHavePods(ingress.Name, 3)
}

// The HorizontalPodAutoscaler of an IngressGateway.
func autoscalerOfIngressGateway(t *testing.T) {
	ingress := newIngress(t)
	ingress.Start(1, ingress.Settings("autoscaling: {minReplicas: 2, maxReplicas: 3}"))
	ingress.MustHavePods(ingress.Name, 2)
	ingress.Read(framework.Autoscalers, root, ingress.Name)
	// The number that it chose stays when it goes.
	ingress.Apply(ingress.Settings())
	ingress.Await(framework.Autoscalers, root, ingress.Name, "is deleted", framework.Gone)
	change(ingress, 1)
	ingress.MustHavePods(ingress.Name, 2)
}
