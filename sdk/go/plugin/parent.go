package plugin

import (
	"os"
	"os/signal"
	"syscall"
)

// parentSignal receives when the process is told to end, by the kernel when
// quern is gone, for instance.
func parentSignal() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	return c
}

// endGroup ends this process's group, if it has one of its own: what the plugin
// started would go on otherwise.
func endGroup() {
	if syscall.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
}
