package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Parts are what the node is made of besides Debian's packages.
type Parts struct {
	// Binaries are the programs by their names inside the node: clusterctl, kubernetes and etcd.
	Binaries map[string]string
	// Images are archives to load before the first pod starts.
	Images []string
	// PauseImage is the name of the image, among Images, that holds a pod's namespaces.
	PauseImage string
	// Addons are manifests to apply when the apiserver answers.
	Addons []byte
	// Deployments of the namespace kube-system to wait for.
	Deployments []string
	// Version identifies all of the above: a node of another version is replaced.
	Version string
}

const (
	// startTimeout is how long the components may take until all are ready.
	startTimeout = 2 * time.Minute
	// patience is how often a component may end by itself before bringing the node up is given up.
	patience = 3
	// pollInterval is how often the supervisor is asked while the node comes up.
	pollInterval = 100 * time.Millisecond
)

// Up brings the node up, or what is missing of it. It returns when the node is Ready and CoreDNS answers.
func (l Layout) Up(ctx context.Context, parts Parts, progress io.Writer) error {
	unlock, err := l.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := InstallPackages(progress); err != nil {
		return err
	}
	if err := l.prepare(parts, progress); err != nil {
		return err
	}
	if err := l.ensureRunning(ctx, progress); err != nil {
		return err
	}
	loaded := make(chan error, 1)
	go func() { loaded <- l.loadWhenReady(ctx, parts.Images) }()
	if err := l.awaitComponents(ctx); err != nil {
		return err
	}
	fmt.Fprintln(progress, "the control plane answers")
	if err := <-loaded; err != nil {
		return err
	}
	return l.finish(ctx, parts, progress)
}

// finish applies the add-ons and waits for node, Deployments and DNS.
func (l Layout) finish(ctx context.Context, parts Parts, progress io.Writer) error {
	if err := l.kubectl(ctx, parts.Addons, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	if err := l.kubectl(ctx, nil, "wait", "--for=create", "--timeout=60s", "node/"+HostName); err != nil {
		return l.explain("kubelet", err)
	}
	if err := l.kubectl(ctx, nil, "wait", "--for=condition=Ready", "--timeout=60s", "node/"+HostName); err != nil {
		return l.explain("kubelet", err)
	}
	fmt.Fprintln(progress, "the node is Ready")
	for _, deployment := range parts.Deployments {
		if err := l.kubectl(ctx, nil, "-n", "kube-system", "rollout", "status", "--timeout=90s", "deployment/"+deployment); err != nil {
			return fmt.Errorf("%w\n%s", err, l.describePods(ctx, deployment))
		}
	}
	if err := l.Command(ctx, l.Lib("bin", "clusterctl"), AwaitDNSCommand).run(); err != nil {
		return fmt.Errorf("CoreDNS: %w", err)
	}
	fmt.Fprintln(progress, "CoreDNS answers")
	return nil
}

// prepare makes Dir and the network, and throws away what an earlier version or another boot of the machine left.
func (l Layout) prepare(parts Parts, progress io.Writer) error {
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	stamp := parts.Version + "\n" + string(bootID)
	existing, err := os.ReadFile(l.stamp())
	if err == nil && string(existing) == stamp {
		return nil
	}
	if l.Exists() {
		fmt.Fprintf(progress, "what is left of an earlier cluster in %s is removed\n", l.Dir)
		if err := l.remove(); err != nil {
			return err
		}
	}
	if err := l.write(parts); err != nil {
		return err
	}
	return os.WriteFile(l.stamp(), []byte(stamp), 0o644)
}

// write makes everything in Dir.
func (l Layout) write(parts Parts) error {
	for _, dir := range []string{
		l.Bin(), l.Lib("bin"), l.Lib("cni"), l.Lib("containerd"), l.Lib("etcd"), l.Lib("kubelet"), l.Lib("kubernetes"),
		l.Log("kubernetes"), l.Log("postern"), l.Log("pods"), l.Log("containers"),
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for name, source := range parts.Binaries {
		if err := copyFile(source, l.Lib("bin", name)); err != nil {
			return err
		}
	}
	// The binary goes by the name that it is called by.
	if err := os.Symlink("kubernetes", l.Kubectl()); err != nil {
		return err
	}
	if err := os.WriteFile(l.Lib("kubelet", "resolv.conf"), nil, 0o644); err != nil {
		return err
	}
	authority, err := writePKI(l)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := writeKubeconfigs(l, authority); err != nil {
		return err
	}
	if err := writeConfig(l, parts.PauseImage); err != nil {
		return err
	}
	return l.writeCommands()
}

// writeCommands writes the commands for the user's PATH.
func (l Layout) writeCommands() error {
	enter := "exec nsenter --net=" + l.NetworkNamespace() + " "
	for name, script := range map[string]string{
		"kubectl":      enter + l.Kubectl() + ` "$@"`,
		"cluster-exec": enter + `-- "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(l.Bin(), name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// ensureRunning starts the node's processes unless they run and answer.
func (l Layout) ensureRunning(ctx context.Context, progress io.Writer) error {
	init, running := l.findInit()
	if running && l.networkComplete() {
		if statuses, err := l.Status(ctx); err == nil {
			return l.startStopped(ctx, statuses)
		}
	}
	if running {
		fmt.Fprintln(progress, "the node does not answer and is started again")
		if err := init.kill(); err != nil {
			return err
		}
	}
	if err := l.removeCgroups(); err != nil {
		return err
	}
	if err := l.createNetwork(); err != nil {
		return err
	}
	if err := os.Remove(l.control()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err := l.launch()
	return err
}

// startStopped starts what somebody stopped on purpose.
func (l Layout) startStopped(ctx context.Context, statuses []Status) error {
	for _, s := range statuses {
		if s.State != StateStopped {
			continue
		}
		if err := l.Start(ctx, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// awaitComponents returns when every component is ready, or with the reason why that will not be.
func (l Layout) awaitComponents(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var before map[string]int
	var last Status
	for {
		statuses, err := l.Status(ctx)
		if err == nil && before == nil {
			before = restarts(statuses)
		}
		ready := err == nil
		for _, s := range statuses {
			if s.Restarts-before[s.Name] >= patience {
				return l.explain(s.Name, fmt.Errorf("%s ended %d times, the last time with %s", s.Name, s.Restarts, s.LastExit))
			}
			if s.NotReady != "" {
				if ready {
					last = s
				}
				ready = false
			}
		}
		if ready {
			return nil
		}
		if _, running := l.findInit(); !running {
			return l.explain("supervisor", errors.New("the node's processes ended"))
		}
		select {
		case <-ctx.Done():
			if last.Name == "" {
				return l.explain("supervisor", fmt.Errorf("%w: %w", ctx.Err(), err))
			}
			return l.explain(last.Name, fmt.Errorf("%s is not ready: %s", last.Name, last.NotReady))
		case <-time.After(pollInterval):
		}
	}
}

func restarts(statuses []Status) map[string]int {
	counts := make(map[string]int, len(statuses))
	for _, s := range statuses {
		counts[s.Name] = s.Restarts
	}
	return counts
}

// explain adds the end of the component's log, and where it is, to an error. What it wrote before its last restart counts too.
func (l Layout) explain(component string, err error) error {
	path := l.ComponentLog(component)
	text, _ := os.ReadFile(path)
	if strings.TrimSpace(string(text)) == "" {
		text, _ = os.ReadFile(path + ".old")
	}
	return fmt.Errorf("%w\nthe last lines of %s:\n%s", err, path, lastLines(string(text), 15))
}

// Lock makes the caller the only one that changes this cluster, waiting for another to finish. The kernel lets go of it when the
// process ends, however it ends.
func (l Layout) Lock() (unlock func(), err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this needs root: it makes namespaces and runs containers")
	}
	file, err := os.OpenFile(l.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", l.lock(), err)
	}
	return func() { file.Close() }, nil
}

func copyFile(source, target string) error {
	content, err := os.Open(source)
	if err != nil {
		return err
	}
	defer content.Close()
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
