package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folders are the types of deployments to a folder, and the argument for what they deploy.
var folders = map[string]string{"directory": "artifact", "dataset": "dataset"}

// TestReplacementOfFolders kills applies that replace a deployment by one at another path,
// or of another type, at random moments. With the same type, the old or the new one must
// be there. Another apply must leave only the new one.
func TestReplacementOfFolders(t *testing.T) {
	dir := folder(t, map[string]string{"rows.jsonl": "{\"text\": \"a\"}\n{\"text\": \"b\"}\n"})
	configure := func(typ, path string) {
		t.Helper()
		text := fmt.Sprintf("source \"jsonl\" \"rows\" { path = \"rows.jsonl\" }\n\ndeploy %q \"live\" {\n  %s = source.rows\n  path = %q\n}\n", typ, folders[typ], path)
		if err := os.WriteFile(filepath.Join(dir, "main.quern.hcl"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	typ, path := "directory", "one"
	configure(typ, path)
	began := time.Now()
	quernIn(t, dir, "apply", "-auto-approve")
	undisturbed := time.Since(began)

	for range crashes(t) {
		was, at := typ, path
		for typ == was && path == at {
			typ, path = []string{"directory", "dataset"}[random.IntN(2)], []string{"one", "two", "three"}[random.IntN(3)]
		}
		configure(typ, path)
		cmd := batchCommand(dir, "apply", "-auto-approve")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(undisturbed))))
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()

		there := deployedFolders(t, dir)
		if typ == was && len(there) == 0 {
			t.Fatalf("seed %d: on the way from %s to %s, neither is there", seed, at, path)
		}
		quernIn(t, dir, "apply", "-auto-approve")
		if now := deployedFolders(t, dir); !slices.Equal(now, []string{path}) {
			t.Fatalf("seed %d: after a crash on the way from %s at %s to %s at %s, with %v there, %v are there", seed, was, at, typ, path, there, now)
		}
		if releases, _ := filepath.Glob(filepath.Join(dir, ".*.quern")); !slices.Equal(releases, []string{filepath.Join(dir, "."+path+".quern")}) {
			t.Fatalf("seed %d: releases are left: %v", seed, releases)
		}
		if said := quernIn(t, dir, "plan"); !strings.Contains(said, "No changes") {
			t.Fatalf("seed %d: after an apply, the plan is\n%s", seed, said)
		}
	}
}

// deployedFolders returns the paths at which something is deployed, sorted.
func deployedFolders(t *testing.T, dir string) []string {
	t.Helper()
	var there []string
	for _, name := range []string{"one", "three", "two"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			there = append(there, name)
		}
	}
	return there
}
