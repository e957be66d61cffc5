//go:build unix

// Package openfiles ends the process with a message if it cannot open enough
// files. It does so in its init function. By then, Go has raised the limit as
// far as it can, and with fewer than eight files the init functions of other
// packages crash. The package imports little, so that it is initialized before
// them.
package openfiles

import (
	"os"
	"strconv"
	"syscall"
)

// atLeast is the number of files that quern needs: about 25 for a small
// pipeline, and some for each additional stage and plugin.
const atLeast = 64

func init() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= atLeast {
		return
	}
	_, _ = os.Stderr.WriteString("╷\n│ Error: Too many open files\n│\n" +
		"│ This process may have " + strconv.FormatUint(limit.Cur, 10) + " files open at once, but quern needs at least " +
		strconv.Itoa(atLeast) + ".\n│ Raise the limit: ulimit -n 1024\n╵\n")
	os.Exit(1)
}
