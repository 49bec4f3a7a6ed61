package provider

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"postern.dev/e2e/cluster/addons"
	"postern.dev/e2e/cluster/build"
	"postern.dev/e2e/cluster/images"
)

// kindModule is kind at the version whose node image is Kubernetes 1.34. It is run by its import path, so that the go command gets it.
const kindModule = "sigs.k8s.io/kind@v0.30.0"

// kind is a cluster of kind: Kubernetes in a Docker container. As with [local], commands enter the node's network namespace, where
// LoadBalancer addresses answer; that takes Linux, Docker on the same machine, and root.
type kind struct {
	tree     images.Tree
	name     string
	progress io.Writer
}

func newKind(tree images.Tree, name string, progress io.Writer) Provider {
	return kind{tree: tree, name: "postern-" + name, progress: progress}
}

func (k kind) Up(ctx context.Context) error {
	clusters, err := k.kind(ctx, "get", "clusters")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(clusters), k.name) {
		fmt.Fprintf(k.progress, "kind creates the cluster %s\n", k.name)
		if _, err := k.kind(ctx, "create", "cluster", "--name", k.name, "--wait", "120s"); err != nil {
			return err
		}
	}
	archives, err := k.tree.For(ctx, "loadbalancer")
	if err != nil {
		return err
	}
	if err := k.Load(ctx, archives); err != nil {
		return err
	}
	manifests, err := addons.Manifests(addons.Values{LoadBalancerImage: images.LoadBalancer}, "loadbalancer")
	if err != nil {
		return err
	}
	if err := k.kubectl(ctx, manifests, "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	return k.kubectl(ctx, nil, "-n", "kube-system", "rollout", "status", "--timeout=90s", "deployment/postern-loadbalancer")
}

func (k kind) Load(ctx context.Context, archives []string) error {
	for _, archive := range archives {
		if _, err := k.kind(ctx, "load", "image-archive", archive, "--name", k.name); err != nil {
			return err
		}
	}
	return nil
}

func (k kind) Environment(ctx context.Context) (Environment, error) {
	pid, err := output(ctx, nil, "docker", "inspect", "--format", "{{.State.Pid}}", k.node())
	if err != nil {
		return Environment{}, fmt.Errorf("the kind cluster %s is not up: %w", k.name, err)
	}
	config, err := output(ctx, nil, "docker", "exec", k.node(), "cat", "/etc/kubernetes/admin.conf")
	if err != nil {
		return Environment{}, err
	}
	cache, err := build.CacheDir()
	if err != nil {
		return Environment{}, err
	}
	kubeconfig := filepath.Join(cache, k.name+".kubeconfig")
	// In the node's own network the apiserver is on its loopback address, which is in its certificate; its name is not known here.
	config = strings.Replace(config, "https://"+k.node()+":", "https://127.0.0.1:", 1)
	if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
		return Environment{}, err
	}
	return Environment{
		Variables: []string{"KUBECONFIG=" + kubeconfig, poolVariable},
		Enter:     []string{"nsenter", "--net=/proc/" + strings.TrimSpace(pid) + "/ns/net", "--"},
	}, nil
}

func (k kind) Down(ctx context.Context) error {
	_, err := k.kind(ctx, "delete", "cluster", "--name", k.name)
	return err
}

// node is the container that is the cluster's only node.
func (k kind) node() string { return k.name + "-control-plane" }

func (k kind) kind(ctx context.Context, arguments ...string) (string, error) {
	return output(ctx, nil, "go", append([]string{"run", kindModule}, arguments...)...)
}

// kubectl runs the node's own.
func (k kind) kubectl(ctx context.Context, input []byte, arguments ...string) error {
	command := []string{"exec", "-i", k.node(), "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"}
	_, err := output(ctx, input, "docker", append(command, arguments...)...)
	return err
}

// output runs a command and returns what it prints; an error has what it complains about.
func output(ctx context.Context, input []byte, name string, arguments ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, name, arguments...)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
