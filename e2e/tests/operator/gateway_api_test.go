package operator

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"postern.dev/e2e/tests/framework"
)

// controllerName is Postern's in the Gateway API.
const controllerName = "postern.dev/gateway-controller"

// gatewayAPI is a kind of the Gateway API.
func gatewayAPI(resource string) framework.Kind {
	return schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: resource}
}

// A Gateway of the Gateway API gets an ingress of its own, which serves its routes; all objects get their statuses; and with the Gateway
// its ingress goes.
func gatewayAPIObjects(t *testing.T) {
	env := newEnv(t)
	class := "postern-" + env.Namespace
	env.Apply(strings.ReplaceAll(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: CLASS}
spec: {controllerName: postern.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: CLASS
  allowedListeners: {namespaces: {from: Same}}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tls, port: 8443, protocol: TLS, hostname: tls.example.com, tls: {mode: Passthrough}}
  - {name: tcp, port: 9000, protocol: TCP}
  - {name: udp, port: 9001, protocol: UDP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more}
spec:
  parentRef: {name: edge}
  listeners: [{name: more, port: 81, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: http}
spec:
  parentRefs: [{name: edge, sectionName: http}, {kind: ListenerSet, name: more}]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc}
spec:
  hostnames: [grpc.example.com]
  parentRefs: [{name: edge, sectionName: http}]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: tls}
spec:
  hostnames: [tls.example.com]
  parentRefs: [{name: edge, sectionName: tls}]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: tcp}
spec:
  parentRefs: [{name: edge, sectionName: tcp}]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: udp}
spec:
  parentRefs: [{name: edge, sectionName: udp}]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: "", kind: Service, name: secure}]
  validation: {hostname: secure.example.com, wellKnownCACertificates: System}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: secure}
spec:
  hostnames: [secure.example.com]
  parentRefs: [{name: edge, sectionName: http}]
  rules: [{backendRefs: [{name: secure, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: secure}
spec: {selector: {app: secure}, ports: [{port: 443}]}
`, "CLASS", class))
	t.Cleanup(func() { env.Delete(gatewayAPI("gatewayclasses"), "", class) })
	env.Backend("backend", 1)
	env.Await(gatewayAPI("gatewayclasses"), "", class, "is accepted", framework.Says("Accepted", "True", "Accepted"))
	gateway := env.Await(gatewayAPI("gateways"), env.Namespace, "edge", "is programmed", framework.Programmed)
	env.Await(gatewayAPI("listenersets"), env.Namespace, "more", "is accepted", framework.Says("Accepted", "True", ""))
	for route, want := range map[string]string{"httproutes/http": "True", "grpcroutes/grpc": "True", "tlsroutes/tls": "True", "tcproutes/tcp": "True", "udproutes/udp": ""} {
		resource, name, _ := strings.Cut(route, "/")
		env.Await(gatewayAPI(resource), env.Namespace, name, "has a status of Postern's", saysAt("parents", controllerName, "Accepted", want))
	}
	env.Await(gatewayAPI("backendtlspolicies"), env.Namespace, "policy", "has a status of Postern's", saysAt("ancestors", controllerName, "Accepted", "True"))

	addresses, _ := gateway.Object["status"].(map[string]any)["addresses"].([]any)
	if len(addresses) != 1 {
		t.Fatalf("addresses: %v", addresses)
	}
	address := fmt.Sprint(addresses[0].(map[string]any)["value"])
	client := framework.NewClient(address, nil)
	for _, port := range []string{"", ":81"} {
		// The node may learn of the Service's address a moment later than the status.
		env.Eventually("port "+port+" is served", func(ctx context.Context) error {
			return client.Served(ctx, "http://any.example.com"+port+"/", "backend")
		})
	}
	env.Delete(gatewayAPI("gateways"), env.Namespace, "edge")
	env.Await(framework.Deployments, env.Namespace, "edge-"+class, "is gone", gone)
	env.Await(framework.Services, env.Namespace, "edge-"+class, "is gone", gone)
}

func gone(object *framework.Object) error {
	if object != nil {
		return fmt.Errorf("it is there")
	}
	return nil
}

// saysAt is the check that a controller's entry in a list of the status has that condition, with that status if one is given.
func saysAt(list, controller, condition, want string) func(*framework.Object) error {
	return func(object *framework.Object) error {
		got := framework.ConditionAt(object, list, controller, condition)
		if got == nil {
			return fmt.Errorf("no %s with condition %s of %s", list, condition, controller)
		}
		if want != "" && got.Status != want {
			return fmt.Errorf("%s is %s: %s", condition, got.Status, got.Message)
		}
		return nil
	}
}
