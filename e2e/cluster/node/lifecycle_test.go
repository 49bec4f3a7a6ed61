//go:build lifecycle

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lifecycle drives clusterctl, as a user does, on a cluster of its own. It needs root and a warm cache to keep to its times.
type lifecycle struct {
	layout  Layout
	program string
}

const (
	// warmLimit is what bringing the cluster up may take when everything is built.
	warmLimit = 40 * time.Second
	// twiceLimit is what finding that it is up may take.
	twiceLimit = 10 * time.Second
)

func newLifecycle(t *testing.T) lifecycle {
	t.Helper()
	layout, err := NewLayout("lifecycle")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "clusterctl")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, "postern.dev/e2e/cluster")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build clusterctl: %v\n%s", err, output)
	}
	return lifecycle{layout: layout, program: program}
}

func (l lifecycle) command(arguments ...string) *exec.Cmd {
	command := exec.Command(l.program, arguments...)
	command.Env = append(os.Environ(), "E2E_CLUSTER=local", "E2E_CLUSTER_NAME="+l.layout.Name)
	return command
}

// do runs clusterctl, which must succeed, and returns how long it took.
func (l lifecycle) do(t *testing.T, arguments ...string) time.Duration {
	t.Helper()
	start := time.Now()
	if output, err := l.command(arguments...).CombinedOutput(); err != nil {
		t.Fatalf("clusterctl %v: %v\n%s", arguments, err, output)
	}
	return time.Since(start)
}

func (l lifecycle) kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := l.layout.kubectlCommand(t.Context(), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", arguments, err, output)
	}
	return string(output)
}

// works checks that the cluster still has what was put into it, and that it runs a new pod.
func (l lifecycle) works(t *testing.T) {
	t.Helper()
	if got := l.kubectl(t, "get", "configmap", "survivor", "-o", "jsonpath={.data.key}"); got != "value" {
		t.Errorf("the ConfigMap that was there before has %q", got)
	}
	l.kubectl(t, "run", "newcomer", "--image=postern-pause:1", "--image-pull-policy=Never")
	l.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "pod/newcomer")
	l.kubectl(t, "delete", "pod", "newcomer", "--grace-period=1")
}

// pid is that of a component outside of the node.
func (l lifecycle) pid(t *testing.T, component string) int {
	t.Helper()
	statuses, err := l.layout.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statuses {
		if s.Name == component && s.PID != 0 {
			return s.PID
		}
	}
	t.Fatalf("%s has no process: %+v", component, statuses)
	return 0
}

// inNode are the processes of the node whose command line has that text.
func (l lifecycle) inNode(t *testing.T, text string) []int {
	t.Helper()
	init, running := l.layout.findInit()
	if !running {
		t.Fatal("the node has no init")
	}
	// Pods have PID namespaces of their own below the node's, so the parents are followed instead.
	var found []int
	for _, pid := range descendants(init.pid) {
		commandLine, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(strings.ReplaceAll(string(commandLine), "\x00", " "), text) {
			found = append(found, pid)
		}
	}
	return found
}

// descendants are all processes below one, itself included.
func descendants(root int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

func TestLifecycle(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root")
	}
	l := newLifecycle(t)
	l.do(t, "down")
	before := machine(t)
	t.Cleanup(func() { _ = l.command("down").Run() })

	warm := l.do(t, "up") // Builds and installs what is missing.
	t.Logf("up, with whatever had to be built: %s", warm)
	l.kubectl(t, "create", "configmap", "survivor", "--from-literal=key=value")

	t.Run("twice", func(t *testing.T) {
		took := l.do(t, "up")
		t.Logf("up when it is up: %s", took)
		if took > twiceLimit {
			t.Errorf("took %s, want at most %s", took, twiceLimit)
		}
		l.works(t)
	})
	for _, c := range components() {
		t.Run("kill "+c.name, func(t *testing.T) {
			victim := l.pid(t, c.name)
			l.killAndRecover(t, victim)
			if now := l.pid(t, c.name); now == victim {
				t.Errorf("%s still is process %d", c.name, now)
			}
		})
	}
	t.Run("kill coredns", func(t *testing.T) {
		l.killAndRecover(t, one(t, l.inNode(t, "/usr/bin/coredns")))
	})
	t.Run("kill the loadbalancer", func(t *testing.T) {
		l.killAndRecover(t, one(t, l.inNode(t, "/usr/bin/loadbalancer")))
	})
	t.Run("kill every shim", func(t *testing.T) {
		shims := l.inNode(t, "containerd-shim-runc-v2")
		if len(shims) == 0 {
			t.Fatal("there is no shim")
		}
		l.killAndRecover(t, shims...)
	})
	t.Run("kill the supervisor", func(t *testing.T) {
		l.killAndRecover(t, one(t, l.inNode(t, SuperviseCommand)))
	})
	t.Run("kill the init", func(t *testing.T) {
		init, _ := l.layout.findInit()
		l.killAndRecover(t, init.pid)
	})
	t.Run("lose the network", func(t *testing.T) {
		if err := l.layout.deleteNetwork(); err != nil {
			t.Fatal(err)
		}
		l.do(t, "up")
		l.works(t)
	})
	t.Run("stopped apiserver", l.stoppedComponent)
	t.Run("killed while it comes up", l.killedWhileComingUp)
	t.Run("warm", func(t *testing.T) {
		l.do(t, "down")
		took := l.do(t, "up")
		t.Logf("up from nothing, warm: %s", took)
		if took > warmLimit {
			t.Errorf("took %s, want at most %s", took, warmLimit)
		}
	})
	t.Run("down leaves nothing", func(t *testing.T) { l.downLeavesNothing(t, before) })
}

func one(t *testing.T, pids []int) int {
	t.Helper()
	if len(pids) != 1 {
		t.Fatalf("want one process, found %v", pids)
	}
	return pids[0]
}

func (l lifecycle) killAndRecover(t *testing.T, victims ...int) {
	t.Helper()
	for _, victim := range victims {
		if err := unix.Kill(victim, unix.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", victim, err)
		}
	}
	t.Logf("up after kill -9: %s", l.do(t, "up"))
	l.works(t)
}

// stoppedComponent checks the commands that take a component away for as long as a test wants.
func (l lifecycle) stoppedComponent(t *testing.T) {
	l.do(t, "stop", "kube-apiserver")
	if output, err := l.layout.kubectlCommand(t.Context(), "get", "nodes", "--request-timeout=5s").CombinedOutput(); err == nil {
		t.Errorf("the apiserver answers although it is stopped: %s", output)
	}
	l.do(t, "up")
	l.works(t)
}

// killedWhileComingUp interrupts a start from nothing at several points.
func (l lifecycle) killedWhileComingUp(t *testing.T) {
	for _, delay := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 6 * time.Second} {
		l.do(t, "down")
		interrupted := l.command("up")
		if err := interrupted.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		_ = interrupted.Process.Kill()
		_ = interrupted.Wait()
		t.Logf("killed after %s; the next up: %s", delay, l.do(t, "up"))
		l.kubectl(t, "create", "configmap", "survivor", "--from-literal=key=value")
		l.works(t)
	}
}

func (l lifecycle) downLeavesNothing(t *testing.T, before map[string]string) {
	init, running := l.layout.findInit()
	if !running {
		t.Fatal("the node has no init")
	}
	var processes []process
	for _, pid := range descendants(init.pid) {
		if p, alive := findProcess(pid); alive {
			processes = append(processes, p)
		}
	}
	if len(processes) < len(components()) {
		t.Fatalf("only %d processes", len(processes))
	}
	t.Logf("down with %d processes: %s", len(processes), l.do(t, "down"))
	for _, p := range processes {
		if p.alive() {
			commandLine, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
			t.Errorf("process %d is still there: %q", p.pid, commandLine)
		}
	}
	for what, now := range machine(t) {
		if now != before[what] {
			t.Errorf("%s changed.\nbefore:\n%s\nafter:\n%s", what, before[what], now)
		}
	}
	t.Logf("down when it is down: %s", l.do(t, "down"))
}

// machine is everything of the machine that a cluster could leave traces in. Another cluster may run beside this one, so what changes
// through that is left out.
func machine(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{
		"mounts":       read(t, "/proc/self/mounts"),
		"nft rules":    output(t, "nft", "list", "ruleset"),
		"interfaces":   output(t, "ip", "-brief", "link"),
		"routes":       output(t, "ip", "route"),
		"named netns":  output(t, "ip", "netns", "list"),
		"our netns":    owners(t, "net"),
		"cgroups":      glob(t, "/sys/fs/cgroup/*postern-lifecycle*", "/sys/fs/cgroup/*/*postern-lifecycle*"),
		"files":        glob(t, "/var/lib/postern-cluster/lifecycle*", "/run/lock/postern-cluster-lifecycle", "/run/containerd/*", "/run/netns/*"),
		"other places": glob(t, "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers", "/etc/cni/net.d/*", "/opt/containerd", "/opt/cni"),
	}
	if _, err := exec.LookPath("iptables-save"); err == nil {
		state["iptables rules"] = output(t, "iptables-save")
	}
	return state
}

// owners lists processes of the lifecycle cluster by their command line, with their namespace of that type.
func owners(t *testing.T, namespace string) string {
	t.Helper()
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		commandLine, _ := os.ReadFile(path)
		if strings.Contains(string(commandLine), "postern-cluster/lifecycle") {
			link, _ := os.Readlink(filepath.Join(filepath.Dir(path), "ns", namespace))
			found = append(found, fmt.Sprintf("%s %q", link, commandLine))
		}
	}
	slices.Sort(found)
	return strings.Join(found, "\n")
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func output(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	text, err := exec.CommandContext(context.Background(), name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, arguments, err, text)
	}
	return string(text)
}

func glob(t *testing.T, patterns ...string) string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return strings.Join(all, "\n")
}
