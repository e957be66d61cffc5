package plugin

import (
	"os"
	"os/signal"
	"syscall"
)

// parentSignal returns a channel that receives when the process is told to end,
// for example by the kernel when quern has ended.
func parentSignal() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	return c
}

// endGroup kills this process's group, if it leads one: the processes that the
// plugin started would go on otherwise.
func endGroup() {
	if syscall.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
}
