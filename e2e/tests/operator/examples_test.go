package operator

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

const (
	stable = "istio-ingressgateway"
	canary = "istio-canary-ingressgateway"
	root   = framework.RootNamespace

	// elsewhere is the Gateway of another namespace.
	elsewhere = "elsewhere"

	appURL = "https://example.com/app"
	apiURL = "https://api.example.com/v1"
)

// The examples, word for word, one after the other: each is the one before and something more.
func examples(t *testing.T) {
	env := newEnv(t)
	t.Cleanup(func() {
		env.DiagnoseFailure()
		env.Delete(framework.Gateways, env.Namespace, elsewhere)
		for _, name := range []string{"canary", "multi-domain", "web-gateway"} {
			env.Kubectl("delete", "--ignore-not-found", "-f", framework.Example(name))
		}
		env.AwaitIngressGone(stable)
		env.AwaitIngressGone(canary)
	})
	roots := env.ExampleRoots()
	run := func(name string, story func(*framework.Env, *x509.CertPool)) {
		if t.Failed() {
			return
		}
		t.Run(name, func(t *testing.T) {
			env := *env
			env.T = t
			story(&env, roots)
		})
	}
	run("web-gateway", webGateway)
	run("multi-domain", multiDomain)
	run("canary", canaryGateway)
	run("canary is deleted", deleteCanary)
	run("last server is gone", deleteServers)
}

// programmed is `kubectl wait` for Gateways of the root namespace.
func programmed(env *framework.Env, gateways ...string) {
	env.T.Helper()
	arguments := []string{"-n", root, "wait", "--for=condition=Programmed", "--timeout=120s"}
	for _, name := range gateways {
		arguments = append(arguments, "gateway.networking.istio.io/"+name)
	}
	env.Kubectl(arguments...)
}

func webGateway(env *framework.Env, roots *x509.CertPool) {
	t := env.T
	start := time.Now()
	env.Kubectl("apply", "-f", framework.Example("web-gateway"))
	programmed(env, "web-gateway")
	// Not "soon after": now.
	if err := env.ServedByEveryPod(t.Context(), stable, roots, "https://example.com/other", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a path without a route, right after kubectl wait: %v, want 404", err)
	}
	t.Logf("from kubectl apply to Programmed, with a new ingress: %s", time.Since(start).Round(time.Millisecond))
	env.Kubectl("-n", "default", "wait", "--for=condition=Programmed", "--timeout=60s", "virtualservice/web-routing")
	env.Kubectl("-n", "default", "rollout", "status", "deployment/app-service", "--timeout=120s")

	curl := env.Curl(stable, roots)
	env.Eventually("curl "+appURL, func(ctx context.Context) error { return curl.Served(ctx, appURL, "app-service") })
	if err := curl.Answers(t.Context(), "https://example.com/", http.StatusNotFound); err != nil {
		t.Error(err)
	}
	checkChildren(env, stable, "ingressgateway")
}

// checkChildren looks at what runs an ingress.
func checkChildren(env *framework.Env, name, istio string) {
	t := env.T
	t.Helper()
	labels := map[string]string{
		"app.kubernetes.io/managed-by": "postern", "app.kubernetes.io/name": "postern-proxy", "postern.dev/ingress": name,
	}
	for _, kind := range []framework.Kind{
		framework.Deployments, framework.Services, framework.ServiceAccounts, framework.Budgets,
	} {
		has := env.Read(kind, root, name).GetLabels()
		for key, value := range labels {
			if has[key] != value {
				t.Errorf("%s %s: label %s is %q, want %q", kind.Resource, name, key, has[key], value)
			}
		}
	}
	pods := env.MustHavePods(name, 1)
	if got := pods[0].Labels["istio"]; got != istio {
		t.Errorf("label istio of the pod is %q, want %q", got, istio)
	}
	if token := pods[0].Spec.AutomountServiceAccountToken; token == nil || *token {
		t.Error("the proxy gets a ServiceAccount token")
	}
	service, err := env.Client.CoreV1().Services(root).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		t.Errorf("the Service is of type %s", service.Spec.Type)
	}
	ports := make(map[int32]bool)
	for _, port := range service.Spec.Ports {
		ports[port.Port] = true
	}
	if !ports[443] || !ports[15021] {
		t.Errorf("ports of the Service: %v, want 443 and 15021", ports)
	}
}

func multiDomain(env *framework.Env, roots *x509.CertPool) {
	t := env.T
	before := env.MustHavePods(stable, 1)[0].UID
	env.Kubectl("apply", "-f", framework.Example("multi-domain"))
	programmed(env, "web-gateway", "api-gateway")
	env.Kubectl("-n", "default", "wait", "--for=condition=Programmed", "--timeout=60s", "virtualservice/web-routing", "virtualservice/api-routing")
	env.Kubectl("-n", "default", "rollout", "status", "deployment/api-service", "--timeout=120s")

	curl := env.Curl(stable, roots)
	for url, backend := range map[string]string{appURL: "app-service", apiURL: "api-service"} {
		env.Eventually("curl "+url, func(ctx context.Context) error { return curl.Served(ctx, url, backend) })
		answer, err := curl.Ask(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if host := strings.Split(url, "/")[2]; answer.Certificate.VerifyHostname(host) != nil || len(answer.Certificate.DNSNames) != 1 {
			t.Errorf("%s has the certificate of %v", url, answer.Certificate.DNSNames)
		}
	}
	env.Eventually("http redirects", func(ctx context.Context) error {
		answer, err := curl.Ask(ctx, "http://example.com/app")
		if err == nil && (answer.Status != http.StatusMovedPermanently || answer.Header.Get("location") != appURL) {
			err = fmt.Errorf("%d to %q, want 301 to %s", answer.Status, answer.Header.Get("location"), appURL)
		}
		return err
	})
	fromAnotherNamespace(env, curl)
	if after := env.MustHavePods(stable, 1)[0].UID; after != before {
		t.Error("the pod was replaced")
	}
}

// fromAnotherNamespace adds a Gateway of this test's namespace to the same deployment.
func fromAnotherNamespace(env *framework.Env, curl *framework.Client) {
	t := env.T
	host := env.Namespace + ".example.com"
	env.Apply(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: elsewhere}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["./%[1]s"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: elsewhere}
spec:
  hosts: [%[1]s]
  gateways: [elsewhere]
  http:
  - route:
    - destination: {host: app-service.default.svc.cluster.local, port: {number: 80}}
`, host))
	env.Await(framework.Gateways, env.Namespace, elsewhere, "is programmed", framework.Programmed)
	env.Await(framework.VirtualServices, env.Namespace, elsewhere, "is programmed", framework.Programmed)
	if err := curl.Served(t.Context(), "http://"+host+"/", "app-service"); err != nil {
		t.Error(err)
	}
}

// rateLimit is a patch that lets a single request through.
const rateLimit = `
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          stat_prefix: canary
          token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 3600s}
          filter_enabled: {default_value: {numerator: 100, denominator: HUNDRED}}
          filter_enforced: {default_value: {numerator: 100, denominator: HUNDRED}}
`

// unsupported is a patch that Postern does not honour.
const unsupported = `
  - applyTo: BOOTSTRAP
    patch:
      operation: MERGE
      value: {stats_flush_interval: 1s}
`

func canaryFilter(patches string) string {
	return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: canary-filter, namespace: istio-system}
spec:
  workloadSelector: {labels: {istio: canary-ingressgateway}}
  configPatches:` + patches
}

func canaryGateway(env *framework.Env, roots *x509.CertPool) {
	t := env.T
	env.Kubectl("apply", "-f", framework.Example("canary"))
	programmed(env, "web-gateway", "api-gateway", "canary-gateway")
	env.Kubectl("-n", "default", "wait", "--for=condition=Programmed", "--timeout=60s", "virtualservice/web-routing")
	checkChildren(env, canary, "canary-ingressgateway")
	try := env.Curl(canary, roots)
	env.Eventually("curl the canary", func(ctx context.Context) error { return try.Served(ctx, appURL, "app-service") })

	filter := filepath.Join(framework.Example("canary"), "canary-filter.yaml")
	env.Kubectl("delete", "-f", filter)
	env.Eventually("the canary without the EnvoyFilter", func(ctx context.Context) error { return fromIngress(ctx, try, "") })

	before := fingerprint(env, stable)
	open := env.Curl(stable, roots)
	if err := open.Served(t.Context(), appURL, "app-service"); err != nil {
		t.Fatal(err)
	}
	env.Kubectl("apply", "-f", filter)
	env.Await(framework.EnvoyFilters, root, "canary-filter", "is programmed", framework.Programmed)
	if err := fromIngress(t.Context(), try, "canary"); err != nil {
		t.Errorf("the canary with the EnvoyFilter: %v", err)
	}
	if err := fromIngress(t.Context(), open, ""); err != nil {
		t.Errorf("the stable ingress with the canary's EnvoyFilter: %v", err)
	}
	env.Apply(canaryFilter(rateLimit))
	env.Await(framework.EnvoyFilters, root, "canary-filter", "is programmed", framework.Programmed)
	if err := try.Served(t.Context(), appURL, "app-service"); err != nil {
		t.Errorf("the first request to the canary: %v", err)
	}
	if err := try.Answers(t.Context(), appURL, http.StatusTooManyRequests); err != nil {
		t.Errorf("the second request to the canary: %v", err)
	}
	if err := open.ServedOnOpenConnection(t.Context(), appURL, "app-service"); err != nil {
		t.Errorf("the stable ingress's open connection: %v", err)
	}
	if after := fingerprint(env, stable); after != before {
		t.Errorf("the stable ingress was touched:\nbefore %s\nafter  %s", before, after)
	}
	env.Apply(canaryFilter(rateLimit + unsupported))
	refused := env.Await(framework.EnvoyFilters, root, "canary-filter", "says what is unsupported",
		framework.Says("Programmed", "False", "UnsupportedPatch"))
	if message := framework.ConditionOf(refused, "Programmed").Message; !strings.Contains(message, "configPatches[1]") ||
		!strings.Contains(message, "BOOTSTRAP") {
		t.Errorf("the message %q does not name the patch", message)
	}
	env.Delete(framework.EnvoyFilters, root, "canary-filter")
	env.Eventually("without the EnvoyFilter", func(ctx context.Context) error {
		return errors.Join(try.Served(ctx, appURL, "app-service"), try.Served(ctx, appURL, "app-service"))
	})
}

// fromIngress is an error unless the answer's header that the example's EnvoyFilter sets has that value.
func fromIngress(ctx context.Context, client *framework.Client, want string) error {
	answer, err := client.Ask(ctx, appURL)
	if err == nil && (answer.Status != http.StatusOK || answer.Header.Get("x-ingress") != want) {
		err = fmt.Errorf("%d with x-ingress %q, want 200 with %q", answer.Status, answer.Header.Get("x-ingress"), want)
	}
	return err
}

// fingerprint is all by which one would see that an ingress was touched.
func fingerprint(env *framework.Env, ingress string) string {
	env.T.Helper()
	var text strings.Builder
	for _, pod := range env.MustHavePods(ingress, 1) {
		hash, err := env.Ack(env.T.Context(), &pod)
		if err != nil {
			env.T.Fatal(err)
		}
		fmt.Fprintf(&text, "pod %s %s version %s serves %s; ", pod.Name, pod.UID, pod.ResourceVersion, hash)
	}
	for _, object := range []*framework.Object{
		env.Read(framework.ConfigMaps, root, ingress+"-snapshot"), env.Read(framework.Secrets, root, ingress+"-keys"),
		env.Read(framework.Deployments, root, ingress), env.Read(framework.Services, root, ingress),
	} {
		fmt.Fprintf(&text, "%s %s version %s; ", object.GetKind(), object.GetName(), object.GetResourceVersion())
	}
	return text.String()
}

// longRequest is answered after a while.
func longRequest(client *framework.Client, url string) <-chan error {
	done := make(chan error, 1)
	go func() {
		answer, err := client.Ask(context.Background(), url)
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", answer.Status, answer.Body)
		}
		done <- err
	}()
	return done
}

func deleteCanary(env *framework.Env, roots *x509.CertPool) {
	t := env.T
	before := env.MustHavePods(stable, 1)[0].UID
	started, request := time.Now(), longRequest(env.Curl(canary, roots), appURL+"/delay/8000")
	awaitInFlight()
	env.Kubectl("-n", root, "delete", "gateway.networking.istio.io", "canary-gateway")
	if err := <-request; err != nil {
		t.Errorf("the request that was in flight: %v", err)
	} else if took := time.Since(started); took < 8*time.Second {
		t.Errorf("it took only %s", took)
	}
	env.AwaitIngressGone(canary)
	if after := env.MustHavePods(stable, 1)[0].UID; after != before {
		t.Error("the pod of the stable ingress was replaced")
	}
}

// awaitInFlight gives a request that was just begun the time to get to its backend: nothing tells from outside that it is there.
func awaitInFlight() { time.Sleep(time.Second) }

func deleteServers(env *framework.Env, roots *x509.CertPool) {
	t := env.T
	env.Kubectl("-n", root, "delete", "gateway.networking.istio.io", "api-gateway")
	env.Kubectl("-n", env.Namespace, "delete", "gateway.networking.istio.io", elsewhere)
	env.Eventually("only web-gateway is served", func(ctx context.Context) error {
		// Its certificate is gone, so a handshake with its name fails.
		if err := env.Curl(stable, roots).Fresh().Served(ctx, apiURL, "api-service"); err == nil {
			return errors.New("api-gateway is still served")
		}
		return env.Curl(stable, roots).Fresh().Served(ctx, appURL, "app-service")
	})
	request := longRequest(env.Curl(stable, roots), appURL+"/delay/8000")
	awaitInFlight()
	env.Kubectl("-n", root, "patch", "gateway.networking.istio.io", "web-gateway", "--type=merge", "-p", `{"spec":{"servers":[]}}`)
	if err := <-request; err != nil {
		t.Errorf("the request that was in flight: %v", err)
	}
	env.AwaitIngressGone(stable)
}
