package main

import (
	"os/exec"
	"strings"
)

// gitCommit returns the commit of the current folder, and whether there are
// uncommitted changes. It returns "" if the folder is not in a repository.
func gitCommit() (commit string, dirty bool) {
	out, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "", false
	}
	status, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ".").Output()
	return strings.TrimSpace(string(out)), err == nil && len(status) > 0
}
