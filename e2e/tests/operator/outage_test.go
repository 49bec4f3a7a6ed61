package operator

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

const system = framework.System

// operators are the pods of the operator that are not about to end.
func operators(ctx context.Context, env *framework.Env) ([]corev1.Pod, error) {
	list, err := env.Client.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=postern"})
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// In the middle of 50 changes the operator is killed, and the last one is served all the same.
func TestOperatorIsKilledAmongChanges(t *testing.T) {
	const changes = 50
	ingress := newIngress(t)
	ingress.Start(1, ingress.Settings("replicas: 1"))
	for n := 1; n <= changes; n++ {
		write(ingress, n)
		if n == changes/2 {
			pods, err := operators(t.Context(), ingress.Env)
			if err != nil || len(pods) != 1 {
				t.Fatalf("%d operators, %v", len(pods), err)
			}
			ingress.KillContainer(&pods[0], "postern")
		}
		time.Sleep(50 * time.Millisecond) // So that it is killed among them, not before or after all.
	}
	start := time.Now()
	ingress.Await(framework.VirtualServices, ingress.Namespace, "web", "is programmed", framework.Programmed)
	t.Logf("the last change was programmed %s after it was written", time.Since(start).Round(time.Millisecond))
	err := ingress.ServedByEveryPod(t.Context(), ingress.Name, ingress.Authority.Roots(), ingress.URL("/"), has(changes))
	if err != nil {
		t.Error(err)
	}
	ingress.Kubectl("-n", system, "rollout", "status", "deployment/postern", "--timeout=60s")
}

// Without an apiserver the proxies serve on, and one that is restarted serves what it served before.
func TestApiserverIsGone(t *testing.T) {
	const outage = 30 * time.Second
	ingress := newIngress(t)
	ingress.RequireControl()
	ingress.Start(2, ingress.Settings("replicas: 2"))
	change(ingress, 1)
	pods := ingress.MustHavePods(ingress.Name, 2)
	clientOf := func(pod corev1.Pod) *framework.Client {
		return framework.NewClient(pod.Status.PodIP, ingress.Authority.Roots())
	}
	load := framework.StartLoad(t, clientOf(pods[0]), ingress.URL("/"), 50)
	gone := time.Now()
	start := func() error { return ingress.Component("start", "kube-apiserver") }
	t.Cleanup(func() {
		if err := start(); err != nil {
			t.Error(err)
		}
	})
	if err := ingress.Component("stop", "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	if _, err := ingress.AddressOf(t.Context()); err == nil {
		t.Fatal("the apiserver still answers")
	}
	ingress.KillContainer(&pods[1], "postern-proxy")
	restarted := clientOf(pods[1]).Fresh()
	ingress.Eventually("the proxy that was killed serves again", func(ctx context.Context) error {
		answer, err := restarted.Ask(ctx, ingress.URL("/"))
		if err == nil {
			err = errors.Join(has(1)(answer), wantBackend(answer))
		}
		return err
	})
	t.Logf("a proxy that was killed without an apiserver serves again %s later", time.Since(gone).Round(time.Millisecond))
	time.Sleep(time.Until(gone.Add(outage))) // How long it is gone is what the test is about.
	load.MustServeAll(t, fmt.Sprintf("%s without apiserver", outage))
	if err := start(); err != nil {
		t.Fatal(err)
	}
	ingress.Eventually("the apiserver answers", func(ctx context.Context) error {
		_, err := ingress.AddressOf(ctx)
		return err
	})
	back := time.Now()
	change(ingress, 2)
	t.Logf("a change was programmed %s after the apiserver was back", time.Since(back).Round(time.Millisecond))
	if err := ingress.ServedByEveryPod(t.Context(), ingress.Name, ingress.Authority.Roots(), ingress.URL("/"), has(2)); err != nil {
		t.Error(err)
	}
}

func wantBackend(answer framework.Answer) error {
	if answer.Service() != "backend" {
		return fmt.Errorf("%d %s", answer.Status, answer.Body)
	}
	return nil
}

// Of two operators one writes; when it hangs and is killed, the other does within 15 s.
func TestStandbyTakesOver(t *testing.T) {
	const limit = 15 * time.Second
	ingress := newIngress(t)
	scale := func(replicas string) {
		ingress.Kubectl("-n", system, "scale", "deployment/postern", "--replicas="+replicas)
		ingress.Kubectl("-n", system, "rollout", "status", "deployment/postern", "--timeout=120s")
	}
	t.Cleanup(func() { scale("1") })
	ingress.Start(1, ingress.Settings("replicas: 1"))
	scale("2")
	leader := holder(ingress.Read(framework.Leases, system, "postern"))
	pods, err := operators(t.Context(), ingress.Env)
	if err != nil {
		t.Fatal(err)
	}
	var leading *corev1.Pod
	for index := range pods {
		if pods[index].Name == leader {
			leading = &pods[index]
		}
	}
	if leading == nil || len(pods) != 2 {
		t.Fatalf("%q leads, of %d operators", leader, len(pods))
	}
	// Stopped, it cannot give the lease back when kubelet ends it.
	ingress.Signal(leading, "postern", syscall.SIGSTOP)
	start := time.Now()
	write(ingress, 1)
	ingress.Kubectl("-n", system, "delete", "pod", leader, "--grace-period=0", "--force")
	ingress.Await(framework.Leases, system, "postern", "has another holder", func(lease *framework.Object) error {
		if now := holder(lease); now == leader || now == "" {
			return fmt.Errorf("it is held by %q", now)
		}
		return nil
	})
	took := time.Since(start)
	ingress.Await(framework.VirtualServices, ingress.Namespace, "web", "is programmed", framework.Programmed)
	t.Logf("the standby held the lease after %s, and what had changed meanwhile was programmed after %s",
		took.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	if took > limit {
		t.Errorf("it took longer than %s", limit)
	}
	if err := ingress.ServedByEveryPod(t.Context(), ingress.Name, ingress.Authority.Roots(), ingress.URL("/"), has(1)); err != nil {
		t.Error(err)
	}
}

func holder(lease *framework.Object) string {
	if lease == nil {
		return ""
	}
	spec, _ := lease.Object["spec"].(map[string]any)
	name, _ := spec["holderIdentity"].(string)
	return name
}
