package main

import (
	"net/url"
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

// gitRepository returns the URL of the repository that the current folder is in: of
// the remote "origin", without credentials, or of the folder. It returns "" if the
// folder is not in a repository.
func gitRepository() string {
	if out, err := exec.Command("git", "remote", "get-url", "origin").Output(); err == nil {
		return repositoryURL(strings.TrimSpace(string(out)))
	}
	out, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: "file", Path: strings.TrimSpace(string(out))}).String()
}

// repositoryURL returns the URL of a Git remote, which can also have the form of scp:
// git@host:path.
func repositoryURL(remote string) string {
	if host, path, ok := strings.Cut(remote, ":"); ok && !strings.Contains(remote, "://") && !strings.HasPrefix(remote, "/") {
		return "ssh://" + host[strings.LastIndexByte(host, '@')+1:] + "/" + strings.TrimPrefix(path, "/")
	}
	u, err := url.Parse(remote)
	if err != nil {
		return ""
	}
	if u.Scheme == "" {
		u.Scheme = "file"
	}
	u.User = nil
	return u.String()
}
