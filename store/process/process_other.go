//go:build !linux

package process

import (
	"errors"
	"syscall"
)

func bootID() string { return "" }

func machineID() string { return "" }

func namespace() string { return "" }

func startOf(int) string { return "" }

func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
