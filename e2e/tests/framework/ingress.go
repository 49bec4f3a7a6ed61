package framework

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Ingress is an ingress of Postern's that a test has to itself, by a selector that nobody else uses. Its Gateway `web`, VirtualService
// `web` and backend are in the test's namespace.
type Ingress struct {
	*Env
	// Label is the value of `istio` in the selector; Name is that of Deployment and Service, in [RootNamespace].
	Label, Name string
	// Host is what the Gateway serves; Credential is the Secret with its certificate, in [RootNamespace].
	Host, Credential string
	Authority        *Authority
}

// NewIngress makes a namespace and a certificate; nothing of Postern's yet. When the test is over, everything is deleted, and it fails if
// something of the ingress stays.
func NewIngress(t *testing.T) *Ingress {
	t.Helper()
	env := New(t)
	label := env.Namespace
	ingress := &Ingress{
		Env: env, Label: label, Name: "istio-" + label, Host: label + ".example.com", Credential: label, Authority: NewAuthority(t),
	}
	ingress.RenewCertificate()
	t.Cleanup(ingress.delete)
	return ingress
}

// RenewCertificate writes a new certificate into the Secret and returns its serial number.
func (i *Ingress) RenewCertificate() *big.Int {
	i.T.Helper()
	certificate, key, serial := i.Authority.Issue(i.Host)
	i.WriteSecret(certificate, key)
	return serial
}

// WriteSecret writes the Secret.
func (i *Ingress) WriteSecret(certificate, key []byte) {
	i.T.Helper()
	i.WriteSecretNamed(i.Credential, certificate, key)
}

// WriteSecretNamed writes another one into the root namespace.
func (i *Ingress) WriteSecretNamed(name string, certificate, key []byte) {
	i.T.Helper()
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: RootNamespace},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": certificate, "tls.key": key},
	}
	text, err := json.Marshal(secret)
	if err != nil {
		i.T.Fatal(err)
	}
	_, err = i.Client.CoreV1().Secrets(RootNamespace).Patch(i.T.Context(), name, types.ApplyPatchType, text,
		metav1.PatchOptions{FieldManager: "e2e"})
	if err != nil {
		i.T.Fatal(err)
	}
}

// Gateway is its Gateway's manifest: HTTPS on 443 and HTTP on 80.
func (i *Ingress) Gateway() string {
	return i.GatewayOf(map[string]string{i.Host: i.Credential}) +
		fmt.Sprintf("  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [%s]}\n", i.Host)
}

// GatewayOf is the manifest of a Gateway that serves each of these hosts on 443, with the certificate of its Secret.
func (i *Ingress) GatewayOf(credentials map[string]string) string {
	text := fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: %s}
spec:
  selector: {istio: %s}
  servers:
`, i.Namespace, i.Label)
	for number, host := range slices.Sorted(maps.Keys(credentials)) {
		text += fmt.Sprintf("  - {port: {number: 443, name: https-%d, protocol: HTTPS}, hosts: [%s], tls: {mode: SIMPLE, credentialName: %s}}\n",
			number, host, credentials[host])
	}
	return text
}

// VirtualService is the manifest that sends everything to a backend; more is put into its only route, indented by 4.
func (i *Ingress) VirtualService(backend string, more ...string) string {
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: %s}
spec:
  hosts: [%s]
  gateways: [web]
  http:
  - route:
    - destination: {host: %s, port: {number: 80}}
%s
`, i.Namespace, i.Host, backend, strings.Join(more, "\n"))
}

// Settings is the manifest of an IngressGateway for it, with these lines in its spec. Its pods end at once, so that a test that does not
// look at how they end does not wait for it.
func (i *Ingress) Settings(spec ...string) string {
	lines := append(spec, "proxy: {drainDelaySeconds: 0, drainSeconds: 1}")
	return fmt.Sprintf(`
apiVersion: postern.dev/v1alpha1
kind: IngressGateway
metadata: {name: %s, namespace: %s}
spec:
  selector: {istio: %s}
  %s
`, i.Name, RootNamespace, i.Label, strings.Join(lines, "\n  "))
}

// Start brings all of it up: a backend of that many pods, Gateway and VirtualService, and waits until it is served.
func (i *Ingress) Start(backends int, manifests ...string) {
	i.T.Helper()
	i.Backend("backend", backends)
	i.Apply(append(manifests, i.Gateway(), i.VirtualService("backend"))...)
	i.AwaitProgrammed()
	i.AwaitServed("backend")
}

// AwaitProgrammed waits for the Gateway and the VirtualService.
func (i *Ingress) AwaitProgrammed() {
	i.T.Helper()
	i.Await(Gateways, i.Namespace, "web", "is programmed", Programmed)
	i.Await(VirtualServices, i.Namespace, "web", "is programmed", Programmed)
}

// AwaitServed waits until the address answers: a load balancer may take its time.
func (i *Ingress) AwaitServed(backend string) {
	i.T.Helper()
	i.Eventually("the address of "+i.Name, func(ctx context.Context) error {
		address, err := i.AddressOf(ctx)
		if err != nil {
			return err
		}
		return NewClient(address, i.Authority.Roots()).Fresh().Served(ctx, i.URL("/"), backend)
	})
}

// URL is one of the Gateway's, with HTTPS.
func (i *Ingress) URL(path string) string { return "https://" + i.Host + path }

// AddressOf is where the ingress can be reached from here.
func (i *Ingress) AddressOf(ctx context.Context) (string, error) {
	return i.addressOf(ctx, i.Name)
}

// addressOf is the address of the Service of an ingress in the root namespace.
func (e *Env) addressOf(ctx context.Context, name string) (string, error) {
	service, err := e.Client.CoreV1().Services(RootNamespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	for _, entry := range service.Status.LoadBalancer.Ingress {
		if entry.IP != "" {
			return entry.IP, nil
		}
		if entry.Hostname != "" {
			return entry.Hostname, nil
		}
	}
	return "", ErrNoAddress
}

// Curl is a client of an ingress in the root namespace, by the address of its Service.
func (e *Env) Curl(name string, roots *x509.CertPool) *Client {
	e.T.Helper()
	var address string
	e.Eventually("address of "+name, func(ctx context.Context) (err error) {
		address, err = e.addressOf(ctx, name)
		return err
	})
	client := NewClient(address, roots)
	e.T.Cleanup(client.Close)
	return client
}

// Connect is a client of this ingress.
func (i *Ingress) Connect() *Client {
	i.T.Helper()
	return i.Curl(i.Name, i.Authority.Roots())
}

// Pods are the pods of an ingress in the root namespace that are not about to end, sorted by name.
func (e *Env) Pods(ctx context.Context, ingress string) ([]corev1.Pod, error) {
	list, err := e.Client.CoreV1().Pods(RootNamespace).List(ctx, metav1.ListOptions{LabelSelector: "postern.dev/ingress=" + ingress})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil }), nil
}

// MustHavePods are those pods; there must be that many, and all ready.
func (e *Env) MustHavePods(ingress string, count int) []corev1.Pod {
	e.T.Helper()
	var pods []corev1.Pod
	e.Eventually("pods of "+ingress, func(ctx context.Context) (err error) {
		if pods, err = e.Pods(ctx, ingress); err != nil {
			return err
		}
		if len(pods) != count {
			return fmt.Errorf("%d pods, want %d", len(pods), count)
		}
		for i := range pods {
			if !Ready(&pods[i]) {
				return fmt.Errorf("%s is not ready: %s", pods[i].Name, describeContainers(&pods[i]))
			}
		}
		return nil
	})
	return pods
}

// Ready says whether a pod is.
func Ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// Ack is the hash of the snapshot that a proxy says it serves.
func (e *Env) Ack(ctx context.Context, pod *corev1.Pod) (string, error) {
	body, err := Get(ctx, "http://"+net.JoinHostPort(pod.Status.PodIP, "15021")+"/snapshot")
	if err != nil {
		return "", err
	}
	var ack struct{ Applied struct{ Hash string } }
	if err := json.Unmarshal([]byte(body), &ack); err != nil {
		return "", err
	}
	if ack.Applied.Hash == "" {
		return "", fmt.Errorf("%s serves nothing: %s", pod.Name, body)
	}
	return ack.Applied.Hash, nil
}

// ServedByEveryPod is an error unless each pod of an ingress answers the URL with 200 by that backend, each over a new connection.
func (e *Env) ServedByEveryPod(ctx context.Context, ingress string, roots *x509.CertPool, url string, also func(Answer) error) error {
	pods, err := e.Pods(ctx, ingress)
	if err != nil {
		return err
	}
	served := 0
	for index := range pods {
		pod := &pods[index]
		if !Ready(pod) {
			continue
		}
		answer, err := NewClient(pod.Status.PodIP, roots).Fresh().Ask(ctx, url)
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", answer.Status, answer.Body)
		}
		if err == nil && also != nil {
			err = also(answer)
		}
		if err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		served++
	}
	if served == 0 {
		return errors.New("no pod is ready")
	}
	return nil
}

// AwaitIngressGone waits until nothing of an ingress is there.
func (e *Env) AwaitIngressGone(name string) {
	e.T.Helper()
	for _, kind := range []Kind{Deployments, Services, ServiceAccounts, Budgets, Autoscalers} {
		e.Await(kind, RootNamespace, name, "is deleted", Gone)
	}
	e.Await(ConfigMaps, RootNamespace, name+"-snapshot", "is deleted", Gone)
	e.Await(Secrets, RootNamespace, name+"-keys", "is deleted", Gone)
	e.Eventually("all of "+name+" is deleted", func(ctx context.Context) error {
		left, err := kubectl(ctx, "", "get", managedKinds+",pods,replicasets", "-n", RootNamespace, "-l", "postern.dev/ingress="+name, "-o", "name")
		if err == nil && strings.TrimSpace(left) != "" {
			err = fmt.Errorf("still there: %s", strings.Fields(left))
		}
		return err
	})
}

// delete takes away what the test made, and waits until the operator has done the same.
func (i *Ingress) delete() {
	i.DiagnoseFailure()
	i.T.Helper()
	for _, kind := range []Kind{Gateways, VirtualServices, DestinationRules, EnvoyFilters} {
		i.deleteAll(kind, i.Namespace)
	}
	i.Delete(Secrets, RootNamespace, i.Credential)
	// Not before the ingress: with it go its settings of how to end.
	i.AwaitIngressGone(i.Name)
	i.Delete(IngressGateways, RootNamespace, i.Name)
}
