package node

import (
	"errors"
	"os"
)

// Down ends every process of the node and removes all that it made on this machine. It does nothing when there is nothing.
func (l Layout) Down() error {
	unlock, err := l.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.remove(); err != nil {
		return err
	}
	if err := os.Remove(l.lock()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// remove can be interrupted at any point and called again.
func (l Layout) remove() error {
	if err := os.Remove(l.stamp()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// With the init ends everything in its PID namespace, and with that the mount namespace and its mounts.
	if init, running := l.findInit(); running {
		if err := init.kill(); err != nil {
			return err
		}
	}
	if err := l.removeCgroups(); err != nil {
		return err
	}
	if err := l.deleteNetwork(); err != nil {
		return err
	}
	return os.RemoveAll(l.Dir)
}
