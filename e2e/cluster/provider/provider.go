// Package provider has the kinds of cluster that the end-to-end tests can run against, behind one small interface.
package provider

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"postern.dev/e2e/cluster/addons"
	"postern.dev/e2e/cluster/images"
)

// Provider is a cluster to test against. The tests are the same for all; what differs is here.
type Provider interface {
	// Up brings the cluster up, or what is missing of it, with addresses for LoadBalancer Services. It can be called at any time.
	Up(ctx context.Context) error
	// Load makes the images in these archives available to pods.
	Load(ctx context.Context, archives []string) error
	// Environment says how to reach it; it is an error when the cluster is not up.
	Environment(ctx context.Context) (Environment, error)
	// Down takes away what Up made.
	Down(ctx context.Context) error
}

// Environment is how a program reaches a cluster.
type Environment struct {
	// Variables to add, as NAME=value. KUBECONFIG is always among them.
	Variables []string
	// Path is a folder to put before PATH, or empty.
	Path string
	// Enter is a command to put in front of another, so that it runs where the apiserver and LoadBalancer addresses can be reached;
	// empty when that is here.
	Enter []string
}

// poolVariable tells the tests that the addresses come from our own controller, and from which range.
const poolVariable = "E2E_LOADBALANCER_POOL=" + addons.LoadBalancerPool

// Kinds of cluster: the values of E2E_CLUSTER.
const (
	KindLocal   = "local"
	KindKind    = "kind"
	KindCurrent = "current"
)

// Select returns the provider of that kind. Without one it is kind where Docker answers, else local.
func Select(ctx context.Context, kind string, tree images.Tree, name string, progress io.Writer) (Provider, error) {
	if kind == "" {
		kind = KindLocal
		if exec.CommandContext(ctx, "docker", "version").Run() == nil {
			kind = KindKind
		}
	}
	switch kind {
	case KindLocal:
		return newLocal(tree, name, progress)
	case KindKind:
		return newKind(tree, name, progress), nil
	case KindCurrent:
		return current{progress}, nil
	}
	return nil, fmt.Errorf("E2E_CLUSTER=%s: want %s, %s or %s", kind, KindKind, KindLocal, KindCurrent)
}

// Command is a command that runs where the cluster can be reached.
func (e Environment) Command(ctx context.Context, command []string) *exec.Cmd {
	full := append(append([]string{}, e.Enter...), command...)
	prepared := exec.CommandContext(ctx, full[0], full[1:]...)
	prepared.Env = e.environ()
	prepared.Stdin, prepared.Stdout, prepared.Stderr = os.Stdin, os.Stdout, os.Stderr
	return prepared
}

func (e Environment) environ() []string {
	environ := append(os.Environ(), e.Variables...)
	if e.Path != "" {
		environ = append(environ, "PATH="+e.Path+":"+os.Getenv("PATH"))
	}
	return environ
}

// Shell is what a POSIX shell evaluates to work with the cluster.
func (e Environment) Shell() string {
	var script strings.Builder
	for _, variable := range e.Variables {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&script, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	if e.Path != "" {
		// Not twice, when this is evaluated again.
		fmt.Fprintf(&script, "case \":$PATH:\" in *:%[1]s:*) ;; *) export PATH='%[1]s':\"$PATH\" ;; esac\n", e.Path)
	}
	return script.String()
}
