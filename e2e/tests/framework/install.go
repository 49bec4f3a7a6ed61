package framework

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// System is the namespace of the operator, RootNamespace that of the ingresses of Istio Gateways.
const (
	System        = "postern-system"
	RootNamespace = "istio-system"
)

// ownMark is the label of an installation that the tests made: one that an aborted run has left behind may be taken away.
const ownMark = "e2e.postern.dev/installed-by-tests"

// groups are those whose definitions an installation brings along.
var groups = []string{"networking.istio.io", "gateway.networking.k8s.io", "postern.dev"}

// Foreign is the first definition of an API group of ours that the cluster has and that no test installed, or empty: with one,
// installing and uninstalling would take away somebody's objects. What an aborted run of the tests has left is taken away.
func Foreign(ctx context.Context) (string, error) {
	mark, err := kubectl(ctx, "", "get", "namespaces", "-l", ownMark, "-o", "name")
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(mark) != "" {
		// It has all that the other has, and more.
		if err := Uninstall(ctx, Experimental); err != nil {
			return "", err
		}
	}
	names, err := kubectl(ctx, "", "get", "customresourcedefinitions", "-o", "name")
	if err != nil {
		return "", err
	}
	for _, name := range strings.Fields(names) {
		for _, group := range groups {
			if strings.HasSuffix(name, "."+group) {
				return name, nil
			}
		}
	}
	return "", nil
}

// Install installs Postern as a user does and waits until the operator is available.
func Install(ctx context.Context) error { return InstallFrom(ctx, Manifests) }

// Experimental is Manifests with the experimental channel of the Gateway API.
const Experimental = Manifests + "/overlays/gateway-api-experimental"

// InstallFrom is [Install] of that kustomization.
func InstallFrom(ctx context.Context, kustomization string) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if _, err := kubectl(ctx, "", "apply", "--server-side", "-k", kustomization); err != nil {
		return err
	}
	if _, err := kubectl(ctx, "", "label", "namespace", System, ownMark+"=true"); err != nil {
		return err
	}
	_, err := kubectl(ctx, "", "-n", System, "rollout", "status", "deployment/postern")
	return err
}

// managed is the selector of everything that the operator made.
const managed = "app.kubernetes.io/managed-by=postern"

// managedKinds are the kinds of those objects.
const managedKinds = "deployments,services,serviceaccounts,configmaps,secrets,poddisruptionbudgets,horizontalpodautoscalers"

// Leftovers are the objects that the operator made and that are still there.
func Leftovers(ctx context.Context) ([]string, error) {
	output, err := kubectl(ctx, "", "get", managedKinds, "-A", "-l", managed, "--no-headers", "--ignore-not-found",
		"-o", "custom-columns=:kind,:metadata.namespace,:metadata.name")
	if err != nil {
		return nil, err
	}
	var objects []string
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) > 0 {
			objects = append(objects, strings.Join(fields, " "))
		}
	}
	return objects, nil
}

// CheckUninstalled is an error when something of Postern is still in the cluster.
func CheckUninstalled(ctx context.Context) error {
	objects, err := Leftovers(ctx)
	if err != nil {
		return err
	}
	for _, kinds := range []string{"customresourcedefinitions", "clusterroles", "clusterrolebindings", "namespaces"} {
		names, err := kubectl(ctx, "", "get", kinds, "-A", "-o", "name")
		if err != nil {
			return err
		}
		for _, name := range strings.Fields(names) {
			_, plain, _ := strings.Cut(name, "/")
			ours := plain == "postern" || plain == System || plain == RootNamespace
			for _, group := range groups {
				ours = ours || strings.HasSuffix(plain, "."+group)
			}
			if ours {
				objects = append(objects, name)
			}
		}
	}
	if len(objects) > 0 {
		return fmt.Errorf("left behind: %s", strings.Join(objects, ", "))
	}
	return nil
}

// RunInstalled is a package's TestMain: it installs Postern once for all tests, and takes it away when they are over. On a cluster that
// has Istio's or the Gateway API's kinds already, the tests run and skip: skip is told why before.
func RunInstalled(m *testing.M, skip *string) int {
	ctx := context.Background()
	foreign, err := Foreign(ctx)
	if err == nil && foreign != "" {
		*skip = fmt.Sprintf("the cluster has %s already, and these tests would delete it in the end", foreign)
		return m.Run()
	}
	started := time.Now()
	if err = errors.Join(err, Install(ctx)); err != nil {
		fmt.Fprintf(os.Stderr, "install: %v\n", err)
		Diagnose(os.Stderr)
		if err := Uninstall(ctx, Manifests); err != nil {
			fmt.Fprintf(os.Stderr, "uninstall: %v\n", err)
		}
		return 1
	}
	fmt.Printf("installed in %s\n", time.Since(started).Round(time.Millisecond))
	code := m.Run()
	if code == 0 {
		if objects, err := Leftovers(ctx); err != nil || len(objects) > 0 {
			fmt.Fprintf(os.Stderr, "left behind when every object is deleted: %s %v\n", strings.Join(objects, ", "), err)
			code = 1
		}
	} else if os.Getenv("E2E_KEEP") != "" {
		return code
	}
	if err = Uninstall(ctx, Manifests); err == nil {
		err = CheckUninstalled(ctx)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "uninstall: %v\n", err)
		return max(code, 1)
	}
	return code
}

// Example is the folder of an example.
func Example(name string) string { return filepath.Join(Manifests, "examples", name) }
