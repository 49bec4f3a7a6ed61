// Command clusterctl brings up a Kubernetes cluster for tests, builds and loads images, and runs programs where they reach it.
//
//	clusterctl up               bring the cluster up, or what is missing of it
//	clusterctl down             take it away completely
//	clusterctl env              print shell commands that make kubectl use it
//	clusterctl exec COMMAND     run a command where its apiserver and LoadBalancer addresses answer
//	clusterctl images [SET...]  build image archives and print their paths
//	clusterctl load [SET...]    build them and load them into the cluster
//	clusterctl status           list the components of a local cluster
//	clusterctl stop|start NAME  stop a component of a local cluster, or let it run again
//	clusterctl diagnose         print what helps to find out why something failed
//
// E2E_CLUSTER says which: local, kind or current; unset is kind where Docker answers, else local. E2E_CLUSTER_NAME, by default "e2e",
// tells clusters on one machine apart.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"postern.dev/e2e/cluster/images"
	"postern.dev/e2e/cluster/node"
	"postern.dev/e2e/cluster/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(os.Args) > 1 && os.Args[1] == "exec" {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "clusterctl: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("usage: clusterctl up|down|env|exec|images|load|status|stop|start|diagnose")
	}
	name, rest := arguments[0], arguments[1:]
	if inside, known := insideCommands[name]; known {
		return inside(ctx, rest)
	}
	tree, err := workTree()
	if err != nil {
		return err
	}
	clusterName := cmp.Or(os.Getenv("E2E_CLUSTER_NAME"), "e2e")
	if onLocal, known := localCommands[name]; known {
		layout, err := node.NewLayout(clusterName)
		if err != nil {
			return err
		}
		return onLocal(ctx, layout, rest)
	}
	command, known := commands[name]
	if !known {
		return fmt.Errorf("no command %q", name)
	}
	cluster, err := provider.Select(ctx, os.Getenv("E2E_CLUSTER"), tree, clusterName, os.Stderr)
	if err != nil {
		return err
	}
	return command(ctx, cluster, tree, rest)
}

// workTree finds the work tree that the current folder is in.
func workTree() (images.Tree, error) {
	dir, err := os.Getwd()
	if err != nil {
		return images.Tree{}, err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "cluster", "go.mod")); err == nil {
			return images.Tree{Root: dir, Progress: os.Stderr}, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return images.Tree{}, errors.New("not in a work tree of Postern")
		}
		dir = parent
	}
}
