package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pullRequest measures what CI does for a pull request: it plans only the stages that a
// change touches, and gives an environment of its own the results of another one.
func pullRequest(b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "since")
	if err := writeStages(dir, 500); err != nil {
		return nil, err
	}
	if err := writeFiles(dir, map[string]string{".gitignore": ".quern\n"}); err != nil {
		return nil, err
	}
	if err := commit(dir); err != nil {
		return nil, err
	}
	main := filepath.Join(dir, "main.quern.hcl")
	text, err := os.ReadFile(main)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(main, []byte(strings.Replace(string(text), "${row.text} 7", "${row.text} seven", 3)), 0o644); err != nil {
		return nil, err
	}
	plan := func(int) (usage, error) { return b.command(dir, "plan", "-since=HEAD") }
	if _, err := plan(0); err != nil { // the schemas of plugins are cached from now on
		return nil, err
	}
	since, err := median(timesShort, plan)
	if err != nil {
		return nil, err
	}
	p, err := b.pipeline("environment", b.rows)
	if err != nil {
		return nil, err
	}
	if _, err := p.apply(); err != nil {
		return nil, err
	}
	before, err := size(p.dir)
	if err != nil {
		return nil, err
	}
	promote, err := p.command(p.dir, "promote", "-auto-approve", "default", "pr-123")
	if err != nil {
		return nil, err
	}
	after, err := size(p.dir)
	if err != nil {
		return nil, err
	}
	return []result{
		atMost("500 stages, 3 changed: plan -since=HEAD", since.wall, time.Second, seconds),
		atMost(fmt.Sprintf("an environment with the results of another one, %d rows", b.rows), promote.wall, time.Second, seconds),
		atMost("… its size", after-before, 1e6, megabytes),
	}, nil
}

// commit makes a folder a repository with one commit.
func commit(dir string) error {
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", "pipeline"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// size returns the bytes of all files in a folder.
func size(dir string) (int64, error) {
	var all int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all += info.Size()
		}
		return err
	})
	return all, err
}
