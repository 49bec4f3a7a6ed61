package node

import (
	"os"
	"os/exec"
	"testing"
)

func TestNamespacedPIDs(t *testing.T) {
	for _, c := range []struct {
		status       string
		outer, inner int
		ok           bool
	}{
		{"Name:\tx\nNSpid:\t4711\t1\nNSsid:\t1\t0\n", 4711, 1, true},
		{"NSpid:\t4711\t12\t1\n", 4711, 1, true},
		{"NSpid:\t4711\n", 4711, 4711, true},
		{"NSpid:\n", 0, 0, false},
		{"Name:\tx\n", 0, 0, false},
	} {
		outer, inner, ok := namespacedPIDs(c.status)
		if outer != c.outer || inner != c.inner || ok != c.ok {
			t.Errorf("%q: %d %d %v", c.status, outer, inner, ok)
		}
	}
}

func TestKillWaitsForTheEndOfThatProcess(t *testing.T) {
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	found, exists := findProcess(command.Process.Pid)
	if !exists || !found.alive() {
		t.Fatal("the process was not found")
	}
	if err := found.kill(); err != nil {
		t.Fatal(err)
	}
	if found.alive() {
		t.Error("it is still alive")
	}
	_ = command.Wait()
	if err := found.kill(); err != nil {
		t.Errorf("killing it again: %v", err)
	}
}

// A later process that got the id of an earlier one is not taken for it.
func TestKillSparesALaterProcessOfTheSameID(t *testing.T) {
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	earlier := process{pid: command.Process.Pid, started: "1"}
	if earlier.alive() {
		t.Error("a process of another start time counts as alive")
	}
	if err := earlier.kill(); err != nil {
		t.Error(err)
	}
	if _, exists := findProcess(command.Process.Pid); !exists {
		t.Error("the later process was killed")
	}
}

func TestFindProcessOfOurselves(t *testing.T) {
	if self, exists := findProcess(os.Getpid()); !exists || !self.alive() {
		t.Error("not found")
	}
}

func TestLayoutRefusesNamesThatCannotBePaths(t *testing.T) {
	for _, name := range []string{"", "A", "a/b", "..", "-a", "a name", "a23456789012345678901234567890123"} {
		if _, err := NewLayout(name); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
