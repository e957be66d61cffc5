package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheLabelerOfTheDocsWorks does what docs/plugins.md says, to the letter.
func TestTheLabelerOfTheDocsWorks(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "\n## A labeler in ten minutes\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	home, pipeline := t.TempDir(), t.TempDir()
	plugin := filepath.Join(home, "quern-plugin-langid")
	do := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "QUERN_PLUGIN_PATH="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	quern := filepath.Join(binaries, "quern")
	do(home, quern, "plugin", "new", "-replace="+root, "label", "langid")
	code, tests, _ := strings.Cut(strings.Join(fenced(chapter, "go"), "\n"), "\npackage main\n")
	write(t, plugin, "mapper.go", code)
	write(t, plugin, "mapper_test.go", "package main\n"+tests)
	do(plugin, "go", "test", "./...")
	do(plugin, "go", "build", "-o", filepath.Join(home, "quern-plugin-langid.out"), ".")
	if err := os.RemoveAll(plugin); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(home, "quern-plugin-langid.out"), plugin); err != nil {
		t.Fatal(err)
	}
	write(t, pipeline, "mails.csv", strings.Join(fenced(chapter, "csv"), ""))
	write(t, pipeline, "main.quern.hcl", strings.Join(fenced(chapter, "hcl"), ""))
	do(pipeline, quern, "init")
	if out := do(pipeline, quern, "apply", "-auto-approve"); !strings.Contains(out, "de = 1") || !strings.Contains(out, "en = 1") {
		t.Errorf("it printed:\n%s", out)
	}
}

// fenced are the blocks of code of a language.
func fenced(markdown, language string) []string {
	var blocks []string
	for {
		_, rest, found := strings.Cut(markdown, "```"+language+"\n")
		if !found {
			return blocks
		}
		var block string
		block, markdown, _ = strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
