// Package install tests what a user does to install Postern: kubectl apply -k manifests, and manifests/install.sh.
package install

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/e2e/tests/framework"
)

const (
	manifests = "../../../manifests"
)

// kubectl must succeed; it returns what it printed.
func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := exec.Command("kubectl", arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

func install(t *testing.T, kustomization string) string {
	t.Helper()
	output, err := exec.Command(filepath.Join(manifests, "install.sh"), kustomization).CombinedOutput()
	if err != nil {
		t.Fatalf("install.sh %s: %v\n%s", kustomization, err, output)
	}
	return string(output)
}

// requireEmpty keeps these tests off a cluster where taking away what they install would take away somebody's objects.
func requireEmpty(t *testing.T) {
	t.Helper()
	for _, line := range strings.Fields(kubectl(t, "get", "customresourcedefinitions", "-o", "name")) {
		_, group, _ := strings.Cut(strings.TrimPrefix(line, "customresourcedefinition.apiextensions.k8s.io/"), ".")
		if slices.Contains([]string{"networking.istio.io", "gateway.networking.k8s.io", "postern.dev"}, group) {
			t.Skipf("the cluster has %s already, and these tests would delete it in the end", line)
		}
	}
}

// cleanUp takes away what a kustomization installed and waits until it is gone.
func cleanUp(t *testing.T, kustomization string) {
	t.Cleanup(func() {
		if err := framework.Uninstall(context.Background(), kustomization); err != nil {
			t.Error(err)
		}
	})
}

// Everything of the kustomization is accepted by a real apiserver, and the operator gets the rights that it is meant to have.
func TestApply(t *testing.T) {
	requireEmpty(t)
	for name, apply := range map[string]func(){
		"kubectl apply -k": func() { kubectl(t, "apply", "-k", manifests) },
		"install.sh":       func() { install(t, manifests) },
	} {
		t.Run(name, func(t *testing.T) {
			cleanUp(t, manifests)
			apply()
			apply() // Installing again changes nothing and fails at nothing.
			kubectl(t, "wait", "--for=condition=Established", "--timeout=60s",
				"crd/gateways.networking.istio.io", "crd/virtualservices.networking.istio.io", "crd/destinationrules.networking.istio.io",
				"crd/serviceentries.networking.istio.io", "crd/envoyfilters.networking.istio.io",
				"crd/gateways.gateway.networking.k8s.io", "crd/httproutes.gateway.networking.k8s.io", "crd/tcproutes.gateway.networking.k8s.io",
				"crd/udproutes.gateway.networking.k8s.io", "crd/listenersets.gateway.networking.k8s.io", "crd/ingressgateways.postern.dev")
			kubectl(t, "-n", "postern-system", "get", "deployment/postern")
			// The restricted Pod Security standard of the namespace would refuse the operator's pod if it asked for too much.
			kubectl(t, "-n", "postern-system", "wait", "--for=create", "--timeout=60s", "pod", "-l", "app.kubernetes.io/name=postern")
			checkRights(t)
		})
	}
}

func TestExperimentalOverlay(t *testing.T) {
	requireEmpty(t)
	overlay := filepath.Join(manifests, "overlays", "gateway-api-experimental")
	cleanUp(t, overlay)
	install(t, overlay)
	channel := kubectl(t, "get", "crd/httproutes.gateway.networking.k8s.io", "-o",
		`jsonpath={.metadata.annotations.gateway\.networking\.k8s\.io/channel}`)
	if channel != "experimental" {
		t.Errorf("the HTTPRoute is of the channel %q", channel)
	}
}

// checkRights asks the apiserver about rights that the operator needs, and about some that it must not have.
func checkRights(t *testing.T) {
	t.Helper()
	for question, want := range map[string]string{
		"list gateways.networking.istio.io -A":                         "yes",
		"watch httproutes.gateway.networking.k8s.io -A":                "yes",
		"patch gateways.networking.istio.io --subresource=status -n x": "yes",
		"create deployments.apps -n x":                                 "yes",
		"patch pods -n x":                                              "yes",
		"create leases.coordination.k8s.io -n postern-system":          "yes",
		"create leases.coordination.k8s.io -n kube-system":             "no",
		"patch gateways.networking.istio.io -n x":                      "yes",
		"patch envoyfilters.networking.istio.io -n x":                  "no",
		"patch gateways.gateway.networking.k8s.io -n x":                "no",
		"create pods -n x":                                             "no",
		"create pods --subresource=exec -n x":                          "no",
		"create clusterrolebindings":                                   "no",
		"list nodes":                                                   "no",
		"update secrets -n x":                                          "no",
	} {
		command := append([]string{"auth", "can-i"}, strings.Fields(question)...)
		command = append(command, "--as=system:serviceaccount:postern-system:postern")
		// It exits with 1 for "no".
		output, _ := exec.Command("kubectl", command...).Output()
		if got := strings.TrimSpace(string(output)); got != want {
			t.Errorf("may the operator %s? %q, want %q", question, got, want)
		}
	}
}

// thing is a CustomResourceDefinition whose spec has these fields, in a group of the test's own.
func thing(t *testing.T, fields ...string) string {
	t.Helper()
	properties := make(map[string]any)
	for _, field := range fields {
		properties[field] = map[string]any{"type": "string"}
	}
	definition := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "things.e2e.example.com"},
		"spec": map[string]any{
			"group": "e2e.example.com",
			"names": map[string]any{"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
			"scope": "Namespaced",
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type":       "object",
					"properties": map[string]any{"spec": map[string]any{"type": "object", "properties": properties}},
				}},
			}},
		},
	}
	text, err := json.Marshal(definition)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kustomization makes a folder for install.sh with that definition and a ConfigMap.
func kustomization(t *testing.T, definition string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"kustomization.yaml": "resources: [crd.yaml, own.yaml]\n",
		"crd.yaml":           definition,
		"own.yaml":           "{apiVersion: v1, kind: ConfigMap, metadata: {name: install-test, namespace: default}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Whoever has installed another version of a kind keeps it, is told so, and the rest is installed all the same.
func TestForeignDefinitionIsLeftAlone(t *testing.T) {
	ours := kustomization(t, thing(t, "old"))
	theirs := filepath.Join(t.TempDir(), "theirs.yaml")
	if err := os.WriteFile(theirs, []byte(thing(t, "old", "new")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"server-side apply": {"apply", "--server-side", "--field-manager=helm", "-f", theirs},
		"client-side apply": {"apply", "-f", theirs},
		"create":            {"create", "--field-manager=istioctl", "-f", theirs},
	} {
		t.Run(name, func(t *testing.T) {
			cleanUp(t, ours)
			kubectl(t, command...)
			output := install(t, ours)
			if want := "things.e2e.example.com: left as it is"; !strings.Contains(output, want) {
				t.Errorf("want %q in the output:\n%s", want, output)
			}
			if !hasField(t, "new") {
				t.Error("their field is gone")
			}
			kubectl(t, "get", "configmap/install-test")
		})
	}
}

// What we installed ourselves is upgraded, and so is what nobody changed.
func TestOwnDefinitionIsUpgraded(t *testing.T) {
	before, after := kustomization(t, thing(t, "old")), kustomization(t, thing(t, "old", "new"))
	cleanUp(t, after)
	install(t, before)
	if output := install(t, after); strings.Contains(output, "left as it is") {
		t.Errorf("output:\n%s", output)
	}
	if !hasField(t, "new") {
		t.Error("the new field is missing")
	}
}

func hasField(t *testing.T, field string) bool {
	t.Helper()
	text := kubectl(t, "get", "crd/things.e2e.example.com", "-o",
		fmt.Sprintf("jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.%s.type}", field))
	return text == "string"
}

// An installation that fails says so by its exit code.
func TestInstallFailsWhereItCannotInstall(t *testing.T) {
	dir := kustomization(t, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"bad.e2e.example.com"},"spec":{}}`)
	command := exec.Command(filepath.Join(manifests, "install.sh"), dir)
	command.WaitDelay = time.Second
	if output, err := command.CombinedOutput(); err == nil {
		t.Errorf("exit code 0:\n%s", output)
	}
}
