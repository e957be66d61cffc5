package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The number of repetitions for measurements of less than a second, and of
// seconds.
const (
	timesShort = 9
	timesLong  = 3
)

// demo applies the example from scratch, and then plans when there is nothing
// to do.
func demo(b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "banking77")
	if err := copyExample(filepath.Join(b.source, "examples", "banking77"), dir); err != nil {
		return nil, err
	}
	first, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	results := []result{
		atMost("demo: first apply", first.wall, 20*time.Second, seconds),
		atMost("demo: largest process", first.peak(), 400e6, megabytes),
		figure("demo: peak memory by program", largest(first)),
	}
	again, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return results, err
	}
	results = append(results, figure("demo: apply again, nothing to do", seconds(again.wall)))
	plan, err := median(timesShort, func(int) (usage, error) { return b.command(dir, "plan") })
	if err != nil {
		return results, err
	}
	return append(results, atMost("demo: plan, nothing to do", plan.wall, 150*time.Millisecond, seconds)), nil
}

// copyExample copies an example without the files that it produced.
func copyExample(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if rel == ".quern" || rel == "serve" {
			return filepath.SkipDir
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), content, 0o644)
	})
}
