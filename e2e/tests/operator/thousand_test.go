package operator

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

// A thousand VirtualServices at once: all are served, and all say so.
func TestThousandVirtualServices(t *testing.T) {
	const (
		count   = 1000
		writers = 20
		limit   = time.Minute
	)
	ingress := newIngress(t)
	ingress.Start(1, ingress.Settings("replicas: 1"))
	ingress.Patch(framework.Gateways, ingress.Namespace, "web", map[string]any{"spec": map[string]any{"servers": []any{map[string]any{
		"port":  map[string]any{"number": 80, "name": "http", "protocol": "HTTP"},
		"hosts": []any{"*." + ingress.Host},
	}}}})
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "is programmed", framework.Programmed)

	host := func(n int) string { return fmt.Sprintf("n%d.%s", n, ingress.Host) }
	start := time.Now()
	numbers := make(chan int)
	var done sync.WaitGroup
	for range writers {
		done.Go(func() {
			for n := range numbers {
				if err := create(t.Context(), ingress, n, host(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range count {
		numbers <- n
	}
	close(numbers)
	done.Wait()
	written := time.Since(start)
	ingress.Eventually("all VirtualServices are programmed", func(ctx context.Context) error {
		list, err := ingress.Dynamic.Resource(framework.VirtualServices).Namespace(ingress.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "thousand"})
		if err != nil {
			return err
		}
		programmed := 0
		for index := range list.Items {
			if framework.Programmed(&list.Items[index]) == nil {
				programmed++
			}
		}
		if programmed != count {
			return fmt.Errorf("%d of %d are", programmed, count)
		}
		return nil
	})
	took := time.Since(start)
	t.Logf("%d VirtualServices: written in %s, all programmed %s after the first", count, written.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > limit {
		t.Errorf("want at most %s", limit)
	}
	client := ingress.Connect()
	for n := range count {
		if err := client.Served(t.Context(), "http://"+host(n)+"/", "backend"); err != nil {
			t.Fatal(err)
		}
	}
}

func create(ctx context.Context, ingress *framework.Ingress, n int, host string) error {
	object := &framework.Object{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
		"metadata": map[string]any{"name": fmt.Sprintf("n%d", n), "labels": map[string]any{"thousand": ""}},
		"spec": map[string]any{
			"hosts": []any{host}, "gateways": []any{"web"},
			"http": []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "backend", "port": map[string]any{"number": int64(80)}}}}}},
		},
	}}
	_, err := ingress.Dynamic.Resource(framework.VirtualServices).Namespace(ingress.Namespace).Create(ctx, object, metav1.CreateOptions{})
	return err
}
