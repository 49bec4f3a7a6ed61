package node

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// State of a component.
const (
	// StateWaiting is before its first start: what it comes after is not ready.
	StateWaiting = "waiting"
	// StateRunning is while its process runs, ready or not.
	StateRunning = "running"
	// StateRestarting is after its process ended by itself.
	StateRestarting = "restarting"
	// StateStopped is after it was told to stop.
	StateStopped = "stopped"
)

const (
	// restartDelay is the pause before a component that ended is started again.
	restartDelay = 500 * time.Millisecond
	// probeInterval is how often a component is asked while others wait for it.
	probeInterval = 50 * time.Millisecond
	// stopGrace is how long a component may take to stop before it is killed.
	stopGrace = 10 * time.Second
)

// Status is what the supervisor knows about a component.
type Status struct {
	Name  string `json:"name"`
	State string `json:"state"`
	// PID is the process inside the node, 0 when there is none. [Layout.Status] replaces it by the one outside.
	PID int `json:"pid"`
	// Restarts counts how often it ended by itself.
	Restarts int `json:"restarts"`
	// LastExit is how it ended the last time, if it did.
	LastExit string `json:"lastExit,omitempty"`
	// NotReady is what its readiness check says; empty when it is ready.
	NotReady string `json:"notReady,omitempty"`
}

// supervised is a component with its process.
type supervised struct {
	component
	logPath string

	mu sync.Mutex
	// wanted is false while the component is stopped on purpose; changed wakes up who waits for it.
	wanted   bool
	changed  *sync.Cond
	state    string
	process  *os.Process
	restarts int
	lastExit string
}

// Supervise runs the components and answers on the control socket. It returns only when it cannot go on.
func Supervise(layout Layout) error {
	ctx := context.Background()
	byName := make(map[string]*supervised)
	var all []*supervised
	for _, c := range components() {
		s := &supervised{component: c, logPath: logDir + "/postern/" + c.name + ".log", wanted: true, state: StateWaiting}
		s.changed = sync.NewCond(&s.mu)
		byName[c.name] = s
		all = append(all, s)
	}
	for _, s := range all {
		go func() {
			for _, name := range s.after {
				byName[name].awaitReady(ctx)
			}
			s.run()
		}()
	}
	return serveControl(nodeDir+"/control.sock", all)
}

// awaitReady returns when the component answers.
func (s *supervised) awaitReady(ctx context.Context) {
	for s.ready(ctx) != nil {
		time.Sleep(probeInterval)
	}
}

// run keeps the component's process running for as long as it is wanted.
func (s *supervised) run() {
	for {
		s.mu.Lock()
		for !s.wanted {
			s.state = StateStopped
			s.changed.Wait()
		}
		s.mu.Unlock()
		err := s.runOnce()
		s.mu.Lock()
		s.process = nil
		s.lastExit = fmt.Sprint(err)
		ended := s.wanted
		if ended {
			s.restarts++
			s.state = StateRestarting
			log.Printf("%s ended by itself: %v", s.name, err)
		}
		s.changed.Broadcast()
		s.mu.Unlock()
		if ended {
			time.Sleep(restartDelay)
		}
	}
}

// runOnce runs the process to its end. The error says how it ended, and is never nil.
func (s *supervised) runOnce() error {
	file, err := openLog(s.logPath)
	if err != nil {
		return err
	}
	defer file.Close()
	command := exec.Command(s.command[0], s.command[1:]...)
	command.Stdout, command.Stderr = file, file
	command.Env = environment
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.mu.Lock()
	if !s.wanted {
		s.mu.Unlock()
		return fmt.Errorf("stopped before it started")
	}
	if err := command.Start(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.process, s.state = command.Process, StateRunning
	s.mu.Unlock()
	if err := command.Wait(); err != nil {
		return err
	}
	return fmt.Errorf("exit code 0")
}

// status asks the component whether it is ready.
func (s *supervised) status(ctx context.Context) Status {
	s.mu.Lock()
	status := Status{Name: s.name, State: s.state, Restarts: s.restarts, LastExit: s.lastExit}
	if s.process != nil {
		status.PID = s.process.Pid
	}
	s.mu.Unlock()
	if status.State != StateRunning {
		status.NotReady = status.State
	} else if err := s.ready(ctx); err != nil {
		status.NotReady = err.Error()
	}
	return status
}

// start lets the component run again after a stop.
func (s *supervised) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
	s.changed.Broadcast()
}

// stop ends the component and returns when its process is gone.
func (s *supervised) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = false
	if s.process == nil {
		return
	}
	stopping := s.process
	_ = stopping.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopGrace, func() { _ = stopping.Kill() })
	defer kill.Stop()
	for s.process == stopping {
		s.changed.Wait()
	}
}
