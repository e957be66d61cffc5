package main

import (
	"os/exec"
	"strings"
)

// gitCommit is the commit that the current folder is at, and whether there
// are uncommitted changes; empty if the folder is not in a repository.
func gitCommit() (commit string, dirty bool) {
	out, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "", false
	}
	status, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ".").Output()
	return strings.TrimSpace(string(out)), err == nil && len(status) > 0
}
