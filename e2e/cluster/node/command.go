package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

// AwaitDNSCommand is the hidden subcommand that runs [AwaitDNS] inside the network namespace.
const AwaitDNSCommand = "await-dns"

// Command is a command that runs inside the network namespace.
type Command struct{ *exec.Cmd }

// Command makes a command that enters the network namespace. Files, users and processes stay those of the machine.
func (l Layout) Command(ctx context.Context, name string, arguments ...string) Command {
	return Command{exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + l.NetworkNamespace(), "--", name}, arguments...)...)}
}

// run adds to an error what the command said.
func (c Command) run() error {
	output, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args[3:], " "), err, bytes.TrimSpace(output))
	}
	return nil
}

func (l Layout) kubectlCommand(ctx context.Context, arguments ...string) Command {
	return l.Command(ctx, l.Kubectl(), append([]string{"--kubeconfig=" + l.Kubeconfig()}, arguments...)...)
}

func (l Layout) kubectl(ctx context.Context, input []byte, arguments ...string) error {
	command := l.kubectlCommand(ctx, arguments...)
	command.Stdin = bytes.NewReader(input)
	return command.run()
}

// describePods says what the pods of a Deployment of kube-system wait for.
func (l Layout) describePods(ctx context.Context, deployment string) string {
	output, err := l.kubectlCommand(ctx, "-n", "kube-system", "describe", "pods", "-l", "app="+deployment).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return lastLines(string(output), 20)
}

// AwaitDNS returns when the cluster's DNS knows the Service of the apiserver. Call it inside the network namespace.
func AwaitDNS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: time.Second}
		return dialer.DialContext(ctx, network, net.JoinHostPort(DNSClusterIP, "53"))
	}}
	name := "kubernetes.default.svc." + ClusterDomain + "."
	for {
		// A lost packet shall cost a second, not what resolv.conf of this machine says.
		attempt, done := context.WithTimeout(ctx, time.Second)
		addresses, err := resolver.LookupHost(attempt, name)
		done()
		if err == nil && len(addresses) == 1 && addresses[0] == apiserverClusterIP {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("%s: %v, %w", name, addresses, err))
		case <-time.After(pollInterval):
		}
	}
}
