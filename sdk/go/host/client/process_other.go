//go:build !linux

package client

import (
	"errors"
	"os"
	"syscall"
)

// attributes put a plugin into a process group of its own. That it ends with
// its parent is left to its stdin.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func onSpawnThread(start func() error) error { return start() }

// endGroupWithLeader does nothing: here a process can't be waited for without
// reaping it.
func endGroupWithLeader(int) {}

func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	_ = p.Kill()
}

// alive says whether there is a process of that number.
func alive(pid int) bool {
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
