// Package framework gives a test its own namespace on the cluster that `make e2e` brought up, and ways to ask the cluster and to look
// out of a pod.
package framework

import (
	"cmp"
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ProbeImage is the image of e2e/cluster/probe.
var ProbeImage = cmp.Or(os.Getenv("E2E_PROBE_IMAGE"), "postern-probe:dev")

// Timeout is what anything may take that the cluster does by itself: start a pod, hand out an address. It is long because a cloud's
// load balancer can take minutes; on a local cluster all of it takes seconds.
const Timeout = 3 * time.Minute

// pollInterval is how often [Eventually] tries.
const pollInterval = 20 * time.Millisecond

// Env is one test's access to the cluster.
type Env struct {
	T *testing.T
	// Namespace exists for this test alone, and is gone when the test is over.
	Namespace string
	Client    kubernetes.Interface
	Dynamic   dynamic.Interface
	Config    *rest.Config

	diagnosed bool
}

// New connects to the cluster of KUBECONFIG and makes a namespace.
func New(t *testing.T) *Env {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatalf("no cluster (run this by make e2e): %v", err)
	}
	// The client's own limit of 5 requests a second would be what a test measures.
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	anything, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	namespace, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: map[string]string{"app.kubernetes.io/part-of": "postern-e2e"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	env := &Env{T: t, Namespace: namespace.Name, Client: client, Dynamic: anything, Config: config}
	t.Cleanup(env.deleteNamespace)
	t.Cleanup(env.DiagnoseFailure)
	return env
}

// deleteNamespace waits until all that was in it is gone, so that the next test finds the cluster as this one did.
func (e *Env) deleteNamespace() {
	// The test's own context has ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	namespaces := e.Client.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, e.Namespace, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		e.T.Errorf("delete namespace %s: %v", e.Namespace, err)
		return
	}
	for ctx.Err() == nil {
		if _, err := namespaces.Get(ctx, e.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return
		}
		time.Sleep(pollInterval)
	}
	e.T.Errorf("namespace %s is still there after %s", e.Namespace, Timeout)
}

// Eventually tries until there is no error, and fails the test with the last one after [Timeout].
func (e *Env) Eventually(what string, try func(context.Context) error) {
	e.T.Helper()
	ctx, cancel := context.WithTimeout(e.context(), Timeout)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			e.T.Fatalf("%s: %v (for %s)", what, err, Timeout)
		case <-time.After(pollInterval):
		}
	}
}

// context is the test's own, or, in its cleanups, when that has ended, another.
func (e *Env) context() context.Context {
	if e.T.Context().Err() != nil {
		return context.Background()
	}
	return e.T.Context()
}
