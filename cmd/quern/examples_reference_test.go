package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The examples of the reference are parts of pipelines: they refer to stages, models,
// and files that do not exist. Nothing else may be wrong with them.
func TestExamplesInTheReferenceAreValid(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	section, example := regexp.MustCompile(`(?ms)^## (\w+ "\w+")$(.*?)(?:\z|^## )`), regexp.MustCompile("(?s)```hcl\n(.*?)```")
	// These ask a server when they are planned.
	remote := []string{`source "azure"`, `source "gcs"`, `source "git"`, `source "http"`, `source "huggingface"`, `source "s3"`, `source "sql"`}
	dir, found := allPrograms(t), 0
	for at := 0; at < len(text); {
		m := section.FindSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		name, body := string(text[at+m[2]:at+m[3]]), text[at+m[4]:at+m[5]]
		at += m[5]
		if slices.Contains(remote, name) {
			continue
		}
		for _, block := range example.FindAllSubmatch(body, -1) {
			found++
			for _, problem := range problemsOf(t, dir, block[1]) {
				t.Errorf("the example of %s: %s", name, problem)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d examples were found", found)
	}
}

// missing matches the errors about what an example refers to.
var missing = regexp.MustCompile(`^(Undeclared |No file matches|The file .* does not exist|Invalid function argument|Unreadable file)`)

// problemsOf returns the errors of a configuration, without those about what it
// refers to.
func problemsOf(t *testing.T, programs string, configuration []byte) (problems []string) {
	t.Helper()
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "main.quern.hcl"), configuration, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "quern"), "validate", "-json")
	cmd.Dir = work
	out, err := cmd.Output()
	if err == nil {
		return nil
	}
	var found struct {
		Diagnostics []struct{ Severity, Summary string }
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, d := range found.Diagnostics {
		if d.Severity == "error" && !missing.MatchString(d.Summary) {
			problems = append(problems, d.Summary)
		}
	}
	return problems
}
