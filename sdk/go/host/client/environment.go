package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// kept are the variables that every plugin gets.
var kept = []string{
	"PATH", "HOME", "USER", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "TZ",
	"SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA",
}

// environment returns a plugin's environment: the kept variables and the
// further ones, each NAME=VALUE or NAME for this process's value.
func environment(further []string) []string {
	var out []string
	for _, name := range kept {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	for _, f := range further {
		if strings.Contains(f, "=") {
			out = append(out, f)
		} else if v, ok := os.LookupEnv(f); ok {
			out = append(out, f+"="+v)
		}
	}
	return out
}

// maxTempDir is the maximum length of a temporary folder's path: a socket's
// path is limited to a little over a hundred bytes.
const maxTempDir = 40

// socketDir creates a folder for a plugin's sockets. Its name contains this
// process's ID, so that other processes can tell when it is no longer needed.
func socketDir() (string, error) {
	base := os.TempDir()
	if len(base) > maxTempDir {
		base = "/tmp"
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, fmt.Sprintf("quern-%d-plugin-", os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("create a folder for sockets: %w", err)
	}
	return dir, nil
}

var sweepOnce sync.Once

// sweep removes the folders of processes that were killed.
func sweep(base string) {
	sweepOnce.Do(func() {
		left, _ := filepath.Glob(filepath.Join(base, "quern-*-plugin-*"))
		for _, dir := range left {
			pid, err := strconv.Atoi(strings.Split(filepath.Base(dir), "-")[1])
			if err == nil && !alive(pid) {
				// Another user's folder cannot be removed, and should not be.
				_ = os.RemoveAll(dir)
			}
		}
	})
}
