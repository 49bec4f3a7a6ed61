package operator

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"postern.dev/e2e/tests/framework"
)

// A Secret that goes missing, or bad, costs no more than its own server, and that keeps the last good certificate.
func certificates(t *testing.T) {
	ingress := newIngress(t)
	ingress.Backend("backend", 1)
	other, never := "other."+ingress.Host, "never."+ingress.Host
	otherCredential := ingress.Credential + "-other"
	t.Cleanup(func() { ingress.Delete(framework.Secrets, root, otherCredential) })
	certificate, key, _ := ingress.Authority.Issue(other)
	ingress.WriteSecretNamed(otherCredential, certificate, key)
	ingress.Apply(ingress.GatewayOf(map[string]string{ingress.Host: ingress.Credential, other: otherCredential}), everything(ingress))
	ingress.AwaitProgrammed()
	ingress.AwaitServed("backend")

	good := serialOf(t, ingress, ingress.Host)
	ingress.Delete(framework.Secrets, root, ingress.Credential)
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "says that the Secret is missing", refers(ingress.Credential))
	keepsServing(t, ingress, good, other)

	// A certificate whose key is another's.
	wrong, _, _ := ingress.Authority.Issue(ingress.Host)
	_, anothers, _ := ingress.Authority.Issue(ingress.Host)
	ingress.WriteSecret(wrong, anothers)
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "says that the Secret is bad", refers(ingress.Credential))
	keepsServing(t, ingress, good, other)

	renewed := ingress.RenewCertificate()
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "has all it refers to", framework.Says("ResolvedRefs", "True", ""))
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "is programmed", framework.Programmed)
	ingress.Eventually("the renewed certificate", func(context.Context) error {
		return same(serialOf(t, ingress, ingress.Host), renewed)
	})

	// One that was never there costs its server, and only that.
	ingress.Apply(ingress.GatewayOf(map[string]string{
		ingress.Host: ingress.Credential, other: otherCredential, never: ingress.Credential + "-never",
	}))
	ingress.Await(framework.Gateways, ingress.Namespace, "web", "says that the Secret is missing", refers(ingress.Credential+"-never"))
	keepsServing(t, ingress, renewed, other)
	if err := ingress.Connect().Fresh().Served(t.Context(), "https://"+never+"/", "backend"); err == nil {
		t.Error("a server without a certificate is served")
	}
}

// everything sends whatever comes in to the backend.
func everything(ingress *framework.Ingress) string {
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: %s}
spec:
  hosts: ["*"]
  gateways: [web]
  http: [{route: [{destination: {host: backend, port: {number: 80}}}]}]
`, ingress.Namespace)
}

// refers is the check that ResolvedRefs is False and names the Secret and the field.
func refers(credential string) func(*framework.Object) error {
	return func(object *framework.Object) error {
		if err := framework.Says("ResolvedRefs", "False", "")(object); err != nil {
			return err
		}
		return mentions(framework.ConditionOf(object, "ResolvedRefs"), credential, "credentialName")
	}
}

func serialOf(t *testing.T, ingress *framework.Ingress, host string) *big.Int {
	t.Helper()
	answer, err := ingress.Connect().Fresh().Ask(t.Context(), "https://"+host+"/")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Certificate.SerialNumber
}

func same(got, want *big.Int) error {
	if got.Cmp(want) != 0 {
		return errors.New("it is another certificate")
	}
	return nil
}

// keepsServing checks that the Gateway's own host has still that certificate, and that the other host is served.
func keepsServing(t *testing.T, ingress *framework.Ingress, serial *big.Int, other string) {
	t.Helper()
	if err := same(serialOf(t, ingress, ingress.Host), serial); err != nil {
		t.Errorf("the last good certificate is not kept: %v", err)
	}
	for _, host := range []string{ingress.Host, other} {
		if err := ingress.Connect().Fresh().Served(t.Context(), "https://"+host+"/", "backend"); err != nil {
			t.Error(err)
		}
	}
}
