package framework

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// KillContainer sends SIGKILL to the process of a pod whose program has that name, as `kill -9` on its node does. It skips the test where
// the node's processes cannot be seen from here.
func (e *Env) KillContainer(pod *corev1.Pod, program string) {
	e.T.Helper()
	e.Signal(pod, program, syscall.SIGKILL)
}

// Signal is the same with another signal.
func (e *Env) Signal(pod *corev1.Pod, program string, signal syscall.Signal) {
	e.T.Helper()
	pid, err := processOf(pod, program)
	if err != nil {
		e.T.Skipf("this needs the node's processes: %v", err)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		e.T.Fatalf("%v to %d: %v", signal, pid, err)
	}
}

// processOf finds it by its mounts: kubelet keeps a pod's volumes and its /etc/hosts in a folder with the pod's uid.
func processOf(pod *corev1.Pod, program string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		// A process that has ended meanwhile is not the one.
		mounts, _ := os.ReadFile(file)
		if !strings.Contains(string(mounts), "/pods/"+string(pod.UID)+"/") {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		first, _, _ := strings.Cut(string(command), "\x00")
		if filepath.Base(first) == program {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("no process %s of pod %s", program, pod.Name)
}

// errNoControl is that nobody here can stop a component of the cluster.
var errNoControl = errors.New("only a local cluster's components can be stopped")

// Component stops or starts a component of a local cluster, such as kube-apiserver.
func (e *Env) Component(action, component string) error {
	program := os.Getenv("E2E_CLUSTERCTL")
	if program == "" {
		return errNoControl
	}
	command := exec.Command(program, action, component)
	command.Env = append(os.Environ(), "E2E_CLUSTER=local")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("clusterctl %s %s: %w: %s", action, component, err, output)
	}
	return nil
}

// RequireControl skips the test where components cannot be stopped.
func (e *Env) RequireControl() {
	e.T.Helper()
	if os.Getenv("E2E_CLUSTERCTL") == "" {
		e.T.Skip(errNoControl)
	}
}
