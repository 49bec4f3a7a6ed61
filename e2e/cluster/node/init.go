package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The hidden subcommands by which the program starts itself inside the node.
const (
	// InitCommand is the node's first process.
	InitCommand = "node-init"
	// SuperviseCommand is the process below it that runs the components.
	SuperviseCommand = "node-supervise"
)

// environment is all that the node's processes inherit: nothing of the user's session, a proxy setting for example, reaches them.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
}

// launch starts the init of the node in new PID and mount namespaces and in the node's network namespace. It goes on after the
// caller ends: it is in a session of its own, and its output goes to a file.
func (l Layout) launch() (process, error) {
	log, err := openLog(l.ComponentLog("supervisor"))
	if err != nil {
		return process{}, err
	}
	defer log.Close()
	command := exec.Command("nsenter", "--net="+l.NetworkNamespace(), l.Lib("bin", "clusterctl"), InitCommand, l.Name)
	command.Stdout, command.Stderr = log, log
	command.Env = environment
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	if err := command.Start(); err != nil {
		return process{}, fmt.Errorf("start the node: %w", err)
	}
	started, exists := findProcess(command.Process.Pid)
	if !exists {
		return process{}, l.explain("supervisor", errors.New("the node's first process ended at once"))
	}
	// So that it does not stay as a zombie if it ends before this program does.
	go command.Wait()
	return started, nil
}

// openLog opens the log of a component; what was there before stays as NAME.log.old.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// Init is the node's first process: it arranges the mounts, starts the supervisor and collects the processes whose parents have
// ended. It returns when the supervisor ends, and then the kernel ends everything else in the node.
func Init(layout Layout) error {
	if os.Getpid() != 1 {
		return errors.New(InitCommand + " is not for calling by hand")
	}
	if err := layout.arrangeMounts(); err != nil {
		return err
	}
	// Pods of an earlier run are gone with their namespaces; only the addresses that they had would still be taken.
	if err := os.RemoveAll(libDir + "/cni/networks"); err != nil {
		return err
	}
	supervisor, err := os.StartProcess("/proc/self/exe", []string{"clusterctl", SuperviseCommand, layout.Name}, &os.ProcAttr{
		Files: []*os.File{nil, os.Stdout, os.Stderr},
		Env:   environment,
	})
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid == supervisor.Pid:
			return fmt.Errorf("the supervisor ended: %v", describe(status))
		}
	}
}

// nodeDir is where the node finds its Dir while /var/lib is replaced.
const nodeDir = "/run/postern-node"

// arrangeMounts gives the node a /var/lib, /var/log and /run of its own.
func (l Layout) arrangeMounts() error {
	steps := []struct {
		source, target, fs string
		flags              uintptr
	}{
		// From here on nothing that is mounted inside shows outside.
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
		{l.Dir, nodeDir, "", unix.MS_BIND},
		{nodeDir + "/log", logDir, "", unix.MS_BIND},
		{nodeDir + "/lib", libDir, "", unix.MS_BIND},
		// Within the node mounts propagate, as kubelet expects.
		{"", "/", "", unix.MS_REC | unix.MS_SHARED},
	}
	for _, step := range steps {
		if step.target == nodeDir {
			if err := os.Mkdir(nodeDir, 0o700); err != nil {
				return err
			}
		}
		if err := unix.Mount(step.source, step.target, step.fs, step.flags, ""); err != nil {
			return fmt.Errorf("mount %q on %s: %w", step.source, step.target, err)
		}
	}
	return os.MkdirAll("/run/lock", 0o755)
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}
