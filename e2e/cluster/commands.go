package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"postern.dev/e2e/cluster/images"
	"postern.dev/e2e/cluster/node"
	"postern.dev/e2e/cluster/provider"
)

// testImages are the sets that the end-to-end tests need.
var testImages = []string{"postern", "probe"}

// commands work with every kind of cluster.
var commands = map[string]func(context.Context, provider.Provider, images.Tree, []string) error{
	"up": func(ctx context.Context, cluster provider.Provider, _ images.Tree, _ []string) error {
		return cluster.Up(ctx)
	},
	"down": func(ctx context.Context, cluster provider.Provider, _ images.Tree, _ []string) error {
		return cluster.Down(ctx)
	},
	"env": func(ctx context.Context, cluster provider.Provider, _ images.Tree, _ []string) error {
		environment, err := cluster.Environment(ctx)
		if err == nil {
			fmt.Print(environment.Shell())
		}
		return err
	},
	"exec": func(ctx context.Context, cluster provider.Provider, _ images.Tree, command []string) error {
		if len(command) > 0 && command[0] == "--" {
			command = command[1:]
		}
		if len(command) == 0 {
			return errors.New("exec: no command")
		}
		environment, err := cluster.Environment(ctx)
		if err != nil {
			return err
		}
		return environment.Command(ctx, command).Run()
	},
	"images": func(ctx context.Context, _ provider.Provider, tree images.Tree, sets []string) error {
		archives, err := makeImages(ctx, tree, sets)
		for _, archive := range archives {
			fmt.Println(archive)
		}
		return err
	},
	"load": func(ctx context.Context, cluster provider.Provider, tree images.Tree, sets []string) error {
		archives, err := makeImages(ctx, tree, sets)
		if err != nil {
			return err
		}
		return cluster.Load(ctx, archives)
	},
	"diagnose": func(ctx context.Context, cluster provider.Provider, _ images.Tree, _ []string) error {
		return diagnose(ctx, cluster)
	},
}

func makeImages(ctx context.Context, tree images.Tree, sets []string) ([]string, error) {
	if len(sets) == 0 {
		sets = testImages
	}
	return tree.For(ctx, sets...)
}

// localCommands work with the processes of a local cluster.
var localCommands = map[string]func(context.Context, node.Layout, []string) error{
	"status": func(ctx context.Context, layout node.Layout, _ []string) error {
		statuses, err := layout.Status(ctx)
		if err != nil {
			return err
		}
		return printStatus(os.Stdout, layout, statuses)
	},
	"stop": func(ctx context.Context, layout node.Layout, components []string) error {
		return forEach(components, func(name string) error { return layout.Stop(ctx, name) })
	},
	"start": func(ctx context.Context, layout node.Layout, components []string) error {
		return forEach(components, func(name string) error { return layout.Start(ctx, name) })
	},
}

// insideCommands are those by which the program calls itself.
var insideCommands = map[string]func(context.Context, []string) error{
	node.InitCommand: func(_ context.Context, names []string) error {
		return onLayout(names, node.Init)
	},
	node.SuperviseCommand: func(_ context.Context, names []string) error {
		return onLayout(names, node.Supervise)
	},
	node.AwaitDNSCommand: func(ctx context.Context, _ []string) error { return node.AwaitDNS(ctx) },
}

func onLayout(names []string, act func(node.Layout) error) error {
	if len(names) != 1 {
		return errors.New("want one cluster name")
	}
	layout, err := node.NewLayout(names[0])
	if err != nil {
		return err
	}
	return act(layout)
}

func forEach(names []string, act func(string) error) error {
	if len(names) == 0 {
		return errors.New("which component?")
	}
	for _, name := range names {
		if err := act(name); err != nil {
			return err
		}
	}
	return nil
}

func printStatus(out io.Writer, layout node.Layout, statuses []node.Status) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tSTATE\tREADY\tPID\tRESTARTS\tLOG")
	for _, s := range statuses {
		ready := "yes"
		if s.NotReady != "" {
			ready = "no: " + s.NotReady
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", s.Name, s.State, ready, s.PID, s.Restarts, layout.ComponentLog(s.Name))
	}
	return table.Flush()
}

// questions are what diagnose asks, each as a kubectl command line.
var questions = [][]string{
	{"get", "nodes,pods,services,endpointslices", "-A", "-o", "wide"},
	{"get", "events", "-A", "--sort-by=.lastTimestamp"},
	{"describe", "pods", "-A"},
	{"logs", "-n", "postern-system", "-l", "app.kubernetes.io/name=postern", "--tail=300", "--prefix"},
	{"logs", "-n", "postern-system", "-l", "app.kubernetes.io/name=postern", "--tail=100", "--prefix", "--previous"},
	{"logs", "-n", "istio-system", "-l", "app.kubernetes.io/managed-by=postern", "--tail=100", "--prefix"},
}

// diagnose goes on after a failure: whatever still answers may be the clue.
func diagnose(ctx context.Context, cluster provider.Provider) error {
	environment, err := cluster.Environment(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, question := range questions {
		fmt.Printf("--- kubectl %v\n", question)
		if err := environment.Command(ctx, append([]string{"kubectl"}, question...)).Run(); err != nil {
			failures = append(failures, fmt.Errorf("kubectl %v: %w", question, err))
		}
	}
	return errors.Join(failures...)
}
