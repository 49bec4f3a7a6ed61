package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"postern.dev/e2e/cluster/oci"
)

// current is the cluster of the kubeconfig's context. It is somebody's: nothing of it is made or taken away here.
type current struct{ progress io.Writer }

func (c current) Up(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "kubectl", "version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the current context's cluster does not answer: %w\n%s", err, output)
	}
	return nil
}

// Load cannot reach the nodes of a cluster that it knows nothing about. Where E2E_LOAD names a command, it is called with the paths of
// the archives; otherwise the images must be there already.
func (c current) Load(ctx context.Context, archives []string) error {
	if loader := os.Getenv("E2E_LOAD"); loader != "" {
		command := exec.CommandContext(ctx, loader, archives...)
		command.Stdout, command.Stderr = c.progress, c.progress
		return command.Run()
	}
	var names []string
	for _, archive := range archives {
		images, err := oci.Images(archive)
		if err != nil {
			return err
		}
		for _, image := range images {
			names = append(names, image.Name)
		}
	}
	fmt.Fprintf(c.progress, "E2E_LOAD is not set; the nodes must have these images: %s\n", strings.Join(names, " "))
	return nil
}

func (c current) Environment(context.Context) (Environment, error) {
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Environment{}, err
		}
		kubeconfig = filepath.Join(home, ".kube", "config")
	}
	if _, err := os.Stat(kubeconfig); err != nil {
		return Environment{}, errors.Join(errors.New("E2E_CLUSTER=current needs a kubeconfig"), err)
	}
	return Environment{Variables: []string{"KUBECONFIG=" + kubeconfig}}, nil
}

func (c current) Down(context.Context) error { return nil }
