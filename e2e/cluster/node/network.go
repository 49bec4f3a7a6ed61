package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// createNetwork makes the network namespace with the node's address in it, or does nothing when that is there. No interface of it
// leads out.
func (l Layout) createNetwork() error {
	if l.networkComplete() {
		return nil
	}
	if err := l.deleteNetwork(); err != nil {
		return err
	}
	if err := os.WriteFile(l.NetworkNamespace(), nil, 0o444); err != nil {
		return err
	}
	if err := run("unshare", "--net="+l.NetworkNamespace(), "true"); err != nil {
		return err
	}
	inside := [][]string{
		{"ip", "link", "set", "lo", "up"},
		// The kernels of some machines have no dummy device; a veth pair with both ends here does as well.
		{"ip", "link", "add", "node0", "type", "veth", "peer", "name", "node1"},
		{"ip", "link", "set", "node1", "up"},
		{"ip", "link", "set", "node0", "up"},
		{"ip", "address", "add", Address + "/" + addressPrefix, "dev", "node0"},
		{"sysctl", "-qw", "net.ipv4.ip_forward=1"},
		// Last, because networkComplete looks for it. The route is there for addresses that kube-proxy translates: without one
		// the kernel would refuse them before it gets to do so.
		{"ip", "route", "add", "default", "via", gateway, "dev", "node0"},
	}
	for _, command := range inside {
		if err := run("nsenter", append([]string{"--net=" + l.NetworkNamespace()}, command...)...); err != nil {
			return err
		}
	}
	return nil
}

// networkComplete says whether createNetwork ran to its end.
func (l Layout) networkComplete() bool {
	if !l.networkExists() {
		return false
	}
	routes, err := exec.Command("nsenter", "--net="+l.NetworkNamespace(), "ip", "-4", "route", "show", "default").Output()
	return err == nil && strings.Contains(string(routes), gateway)
}

// networkExists says whether the file of the namespace is a namespace: after a crash it can be an empty file.
func (l Layout) networkExists() bool {
	var fs unix.Statfs_t
	return unix.Statfs(l.NetworkNamespace(), &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// deleteNetwork takes the namespace away, and with it its interfaces, routes and all of kube-proxy's rules.
func (l Layout) deleteNetwork() error {
	for l.networkExists() {
		if err := unix.Unmount(l.NetworkNamespace(), unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", l.NetworkNamespace(), err)
		}
	}
	if err := os.Remove(l.NetworkNamespace()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// run runs a command that says something only when it fails.
func run(name string, arguments ...string) error {
	var output bytes.Buffer
	command := exec.Command(name, arguments...)
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}
