package frame

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"postern.dev/e2e/tests/framework"
)

func TestNamesResolve(t *testing.T) {
	t.Parallel()
	env := framework.New(t)
	pod := env.RunPod("client", framework.ProbePod())
	service := env.Service("web", "client", corev1.ServiceTypeClusterIP, nil)
	headless := env.Service("headless", "client", corev1.ServiceTypeClusterIP, func(service *corev1.Service) {
		service.Spec.ClusterIP = corev1.ClusterIPNone
	})
	for name, want := range map[string]string{
		"web":                           service.Spec.ClusterIP,
		"web." + env.Namespace:          service.Spec.ClusterIP,
		"web." + env.Namespace + ".svc": service.Spec.ClusterIP,
		"web." + env.Namespace + ".svc.cluster.local": service.Spec.ClusterIP,
		headless.Name: pod.Status.PodIP,
	} {
		env.Eventually("resolve "+name, func(ctx context.Context) error {
			got, err := env.Ask(ctx, "client", "resolve", "host", name)
			if err == nil && strings.TrimSpace(got) != want {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
			return err
		})
	}
	start := time.Now()
	if got, err := env.Ask(t.Context(), "client", "resolve", "host", "no-such-name."+env.Namespace+".svc.cluster.local"); err == nil {
		t.Errorf("a name that does not exist resolves to %q", got)
	} else if took := time.Since(start); took > 2*time.Second {
		t.Errorf("that a name does not exist took %s: %v", took, err)
	}
}

func TestPodToPod(t *testing.T) {
	t.Parallel()
	env := framework.New(t)
	env.RunPod("client", framework.ProbePod())
	server := env.RunPod("server", framework.ProbePod())
	url := fmt.Sprintf("http://%s:%d/name", server.Status.PodIP, framework.ProbePort)
	got, err := env.Ask(t.Context(), "client", "get", "url", url)
	if err != nil {
		t.Fatal(err)
	}
	if got != "server" {
		t.Errorf("%s: %q answered", url, got)
	}
}

func TestLogsAndExec(t *testing.T) {
	t.Parallel()
	env := framework.New(t)
	env.RunPod("talker", framework.ProbePod())
	logs, err := env.Logs(t.Context(), "talker")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logs, "probe serves on :8080") {
		t.Errorf("logs: %q", logs)
	}
	stdout, stderr, err := env.Exec(t.Context(), "talker", "/usr/bin/probe", "get", "http://127.0.0.1:8080/name")
	if err != nil {
		t.Fatalf("exec: %v: %s", err, stderr)
	}
	if stdout != "talker" {
		t.Errorf("exec printed %q", stdout)
	}
	if _, stderr, err = env.Exec(t.Context(), "talker", "/usr/bin/probe", "read", "/no/such/file"); err == nil {
		t.Error("a command that fails in the pod does not fail here")
	} else if !strings.Contains(stderr, "no such file") {
		t.Errorf("exec: %v: %q", err, stderr)
	}
}

// What the operator relies on: kubelet reads a mounted ConfigMap anew as soon as the pod changes.
//
// Kubelet looks at the containers of a pod once a second, and handles a change of the pod only after it has looked once since the
// change before. So a change after a quiet second is seen at once, and one of a quick succession after up to a second and a bit.
func TestMountedConfigMapChangesWhenPodIsPatched(t *testing.T) {
	const (
		limit = time.Second
		quiet = 1500 * time.Millisecond
	)
	env := framework.New(t)
	reader := newConfigReader(env)
	var single, quick []time.Duration
	for range 10 {
		time.Sleep(quiet) // Not a wait for something: it is what makes a change a single one.
		single = append(single, reader.change())
	}
	for range 5 {
		quick = append(quick, reader.change())
	}
	t.Logf("from writing the ConfigMap to reading it in the pod: single changes %v, in quick succession %v", single, quick)
	slices.Sort(single)
	if slowest := single[len(single)-1]; slowest > limit {
		t.Errorf("the slowest single change took %s, want at most %s", slowest, limit)
	}
}

// configReader is a pod with a mounted ConfigMap.
type configReader struct {
	env    *framework.Env
	config *corev1.ConfigMap
	round  int
}

func newConfigReader(env *framework.Env) *configReader {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "config"}, Data: map[string]string{"key": "0"}}
	if _, err := env.Client.CoreV1().ConfigMaps(env.Namespace).Create(env.T.Context(), config, metav1.CreateOptions{}); err != nil {
		env.T.Fatal(err)
	}
	env.RunPod("reader", framework.ProbePod(corev1.Volume{Name: "config", VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
			ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}},
		}}},
	}}))
	return &configReader{env: env, config: config}
}

// change writes the ConfigMap, patches the pod, and returns how long it took until the pod reads the new value.
func (r *configReader) change() time.Duration {
	t, ctx := r.env.T, r.env.T.Context()
	r.round++
	value := fmt.Sprint(r.round)
	r.config.Data["key"] = value
	start := time.Now()
	if _, err := r.env.Client.CoreV1().ConfigMaps(r.env.Namespace).Update(ctx, r.config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"postern.dev/nudge":%q}}}`, value)
	_, err := r.env.Client.CoreV1().Pods(r.env.Namespace).
		Patch(ctx, "reader", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.env.Eventually("the change in the pod", func(ctx context.Context) error {
		got, err := r.env.Ask(ctx, "reader", "read", "file", "/mnt/config/key")
		if err == nil && got != value {
			err = fmt.Errorf("it still reads %q", got)
		}
		return err
	})
	return time.Since(start).Round(time.Millisecond)
}
