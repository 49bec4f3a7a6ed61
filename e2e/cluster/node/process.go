package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one process, told apart from a later one that got the same id by when it started.
type process struct {
	pid int
	// started is in clock ticks since boot: field 22 of /proc/PID/stat.
	started string
}

// findProcess returns the process that now has this id, or false.
func findProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The second field is the command in parentheses and may itself hold spaces and parentheses.
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := strings.Fields(string(rest))
	const state, startTime = 0, 19
	if !found || len(fields) <= startTime || fields[state] == "Z" {
		return process{}, false
	}
	return process{pid: pid, started: fields[startTime]}, true
}

// findInit returns the init of the node of this name. It is found by what it is, not by a file that could be stale or lost: the first
// process of a PID namespace, called as [Layout.launch] calls it.
func (l Layout) findInit() (process, bool) {
	called := "\x00" + InitCommand + "\x00" + l.Name + "\x00"
	commandLines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commandLines {
		commandLine, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(commandLine), called) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if err != nil {
			continue
		}
		if host, nested, ok := namespacedPIDs(string(status)); ok && host != nested && nested == 1 {
			return findProcess(host)
		}
	}
	return process{}, false
}

func (p process) alive() bool {
	now, exists := findProcess(p.pid)
	return exists && now == p
}

// kill ends the process and waits until it is gone. A pidfd is used so that the signal cannot reach a later process of the same id.
func (p process) kill() error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.pid, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.pid, err)
	}
	// The init of a PID namespace is reported as ended only after all others in it have ended.
	const milliseconds = 30_000
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, milliseconds)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", p.pid, err)
		case n == 0:
			return fmt.Errorf("process %d did not end within %d ms of SIGKILL", p.pid, milliseconds)
		}
		return nil
	}
}

// hostPIDs maps the ids that processes have inside the PID namespace of init to those that they have here.
func hostPIDs(init process) map[int]int {
	inside := make(map[int]int)
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init.pid))
	if err != nil {
		return inside
	}
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, status := range statuses {
		if link, err := os.Readlink(filepath.Join(filepath.Dir(status), "ns/pid")); err != nil || link != namespace {
			continue
		}
		text, err := os.ReadFile(status)
		if err != nil {
			continue
		}
		if host, nested, ok := namespacedPIDs(string(text)); ok {
			inside[nested] = host
		}
	}
	return inside
}

// namespacedPIDs reads the line NSpid of /proc/PID/status: the outermost and the innermost id.
func namespacedPIDs(status string) (outer, inner int, ok bool) {
	for line := range strings.Lines(status) {
		ids, found := strings.CutPrefix(line, "NSpid:")
		if !found {
			continue
		}
		fields := strings.Fields(ids)
		if len(fields) == 0 {
			return 0, 0, false
		}
		outer, err1 := strconv.Atoi(fields[0])
		inner, err2 := strconv.Atoi(fields[len(fields)-1])
		return outer, inner, err1 == nil && err2 == nil
	}
	return 0, 0, false
}
