package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// limited SIZE COMMAND... runs a command that can use at most SIZE memory,
// together with everything that it starts. All commands in a script with the
// same size share a control group.
func limitedScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: limited SIZE COMMAND [ARGUMENT...]")
	}
	name := "MEMORY_GROUP_" + args[0]
	group := ts.Getenv(name)
	if group == "" {
		var err error
		group, err = newMemoryGroup(args[0])
		ts.Check(err)
		ts.Setenv(name, group)
		ts.Defer(func() { removeGroup(group) })
	}
	join := []string{"-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, group}
	err := ts.Exec("sh", append(join, args[1:]...)...)
	if (err != nil) != neg {
		ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
	}
}

// newMemoryGroup creates a control group, within that of the tests, whose
// memory is limited.
func newMemoryGroup(size string) (string, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	err = errors.New("there is no control group for memory")
	for lines := bufio.NewScanner(bytes.NewReader(groups)); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3)
		parent, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case len(parts) != 3:
			continue
		case parts[1] == "memory":
			parent, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		var group string
		if group, err = os.MkdirTemp(filepath.Join(parent, parts[2]), "quern-test-"); err != nil {
			continue
		}
		if err = os.WriteFile(filepath.Join(group, file), []byte(size), 0); err == nil {
			return group, nil
		}
		_ = os.Remove(group)
	}
	return "", err
}

// removeGroup removes a control group once its last process has ended.
func removeGroup(group string) {
	for deadline := time.Now().Add(5 * time.Second); os.Remove(group) != nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}
