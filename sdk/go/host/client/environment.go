package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// kept are the variables that every plugin sees.
var kept = []string{
	"PATH", "HOME", "USER", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "TZ",
	"SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA",
}

// environment is a plugin's environment: the kept variables and the further
// ones, each NAME=VALUE or NAME for this process's value.
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

// maxTempDir is how long a path may be for sockets to have room below it: a
// socket's path may have a little over a hundred bytes.
const maxTempDir = 40

// socketDir makes a folder for a plugin's sockets. It bears this process's
// number, so that others see when nobody needs it any more.
func socketDir() (string, error) {
	base := os.TempDir()
	if len(base) > maxTempDir {
		base = "/tmp"
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, fmt.Sprintf("quern-%d-plugin-", os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("make a folder for sockets: %w", err)
	}
	return dir, nil
}

var sweepOnce sync.Once

// sweep removes the folders that killed processes left behind.
func sweep(base string) {
	sweepOnce.Do(func() {
		left, _ := filepath.Glob(filepath.Join(base, "quern-*-plugin-*"))
		for _, dir := range left {
			pid, err := strconv.Atoi(strings.Split(filepath.Base(dir), "-")[1])
			if err == nil && !alive(pid) {
				// Another user's folder stays; that is as it should be.
				_ = os.RemoveAll(dir)
			}
		}
	})
}
