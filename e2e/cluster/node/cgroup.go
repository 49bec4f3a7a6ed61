package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// removeCgroups removes the cgroups that pods had, in each hierarchy. The processes in them must have ended.
func (l Layout) removeCgroups() error {
	var failures []error
	for _, root := range l.cgroups() {
		failures = append(failures, removeCgroup(root))
	}
	return errors.Join(failures...)
}

// cgroups are the folders of our cgroup: one on cgroup v2, one per controller on v1.
func (l Layout) cgroups() []string {
	var found []string
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		const mountPoint, fileSystem = 1, 2
		if len(fields) <= fileSystem || !strings.HasPrefix(fields[fileSystem], "cgroup") {
			continue
		}
		dir := filepath.Join(fields[mountPoint], l.cgroup())
		if _, err := os.Stat(dir); err == nil && !slices.Contains(found, dir) {
			found = append(found, dir)
		}
	}
	return found
}

// removeCgroup removes the tree below root, children first: a cgroup with children is busy.
func removeCgroup(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list cgroups: %w", err)
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		if err := removeEmptyCgroup(dir); err != nil {
			return err
		}
	}
	return nil
}

// removeEmptyCgroup waits while the kernel still counts a process that has just ended; there is no event for that on cgroup v1.
func removeEmptyCgroup(dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := unix.Rmdir(dir)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EBUSY) || time.Now().After(deadline):
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
