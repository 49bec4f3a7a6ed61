package framework

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// deletion is what deleting a kustomization may take: a lost wake-up of the apiserver costs 5 minutes.
	deletion = 6 * time.Minute
	// patience is when [Uninstall] takes it that the wake-up was lost.
	patience = 10 * time.Second
)

// Uninstall deletes what a kustomization installed, and waits until it is gone.
//
// The apiserver's finalizer of CustomResourceDefinitions (apiextensions, crd_finalizer.go, v1.34) can lose one: it fails to list the
// instances of a kind that nobody has asked for yet ("storage is (re)initializing"), says so in the status, tries again with what its
// cache held before that, and takes the conflict for a change that will wake it up. But a change of that condition alone never does; what
// does is the next resync, every 5 minutes, or any other change. So this makes one.
func Uninstall(ctx context.Context, kustomization string) error {
	ctx, cancel := context.WithTimeout(ctx, deletion)
	defer cancel()
	definitions, err := definitionsOf(ctx, kustomization)
	if err != nil {
		return err
	}
	if _, err := kubectl(ctx, "", "delete", "-k", kustomization, "--ignore-not-found", "--wait=false"); err != nil {
		return err
	}
	for _, definition := range definitions {
		if err := awaitDefinitionGone(ctx, definition); err != nil {
			return err
		}
	}
	if _, err := kubectl(ctx, "", "delete", "-k", kustomization, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	return nil
}

// DeleteDefinition deletes a CustomResourceDefinition, and waits until it is gone.
func DeleteDefinition(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, deletion)
	defer cancel()
	definition := "customresourcedefinition.apiextensions.k8s.io/" + name
	if _, err := kubectl(ctx, "", "delete", "--wait=false", definition); err != nil {
		return err
	}
	return awaitDefinitionGone(ctx, definition)
}

// DeleteNamespaces deletes the namespaces whose names begin so, and waits until they are gone.
func DeleteNamespaces(ctx context.Context, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, deletion)
	defer cancel()
	list, err := kubectl(ctx, "", "get", "namespaces", "-o", "name")
	if err != nil {
		return err
	}
	var found []string
	for name := range strings.Lines(list) {
		if name = strings.TrimSpace(name); strings.HasPrefix(name, "namespace/"+prefix) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return nil
	}
	_, err = kubectl(ctx, "", append([]string{"delete", "--ignore-not-found", "--wait"}, found...)...)
	return err
}

// awaitDefinitionGone waits, and wakes the apiserver's finalizer where it sleeps.
func awaitDefinitionGone(ctx context.Context, definition string) error {
	err := waitForDeletion(ctx, definition, patience)
	for round := 0; err != nil && ctx.Err() == nil; round++ {
		touch := fmt.Sprintf("e2e.postern.dev/look-again=%d", round)
		// It may be gone by now.
		_, _ = kubectl(ctx, "", "annotate", "--overwrite", definition, touch)
		err = waitForDeletion(ctx, definition, patience)
	}
	if err != nil {
		return errors.Join(err, describeDefinition(definition))
	}
	return nil
}

// definitionsOf are the CustomResourceDefinitions of a kustomization, as kubectl names them.
func definitionsOf(ctx context.Context, kustomization string) ([]string, error) {
	text, err := kubectl(ctx, "", "kustomize", kustomization)
	if err != nil {
		return nil, err
	}
	names, err := kubectl(ctx, text, "create", "--dry-run=client", "-o", "name", "-f", "-")
	if err != nil {
		return nil, err
	}
	var definitions []string
	for _, name := range strings.Fields(names) {
		if strings.HasPrefix(name, "customresourcedefinition.apiextensions.k8s.io/") {
			definitions = append(definitions, name)
		}
	}
	return definitions, nil
}

func waitForDeletion(ctx context.Context, object string, timeout time.Duration) error {
	_, err := kubectl(ctx, "", "wait", "--for=delete", fmt.Sprintf("--timeout=%s", timeout), object)
	return err
}

// describeDefinition says why a definition does not go away.
func describeDefinition(definition string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conditions, err := kubectl(ctx, "", "get", definition, "-o", "jsonpath={.metadata.finalizers} {.status.conditions}")
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %s", definition, conditions)
}
