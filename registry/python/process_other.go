//go:build !linux

package python

import "syscall"

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func onOneThread(f func() error) error { return f() }

func syncFolder(string) error {
	syscall.Sync()
	return nil
}
