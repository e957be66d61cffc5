package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestThePreCommitHooksRun runs the hooks as pre-commit does: with the files that match,
// unless a hook takes none.
func TestThePreCommitHooksRun(t *testing.T) {
	text, err := os.ReadFile("../../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct {
		ID, Name, Entry, Language, Files, Exclude string
		PassFilenames                             *bool `yaml:"pass_filenames"`
	}
	if err := yaml.Unmarshal(text, &hooks); err != nil {
		t.Fatal(err)
	}
	good := map[string]string{
		"main.quern.hcl": "# A pipeline.\nlocals {\n  a = 1\n}\n", "a.quern-test.hcl": "run \"a\" {\n}\n", "quern.vars.hcl": "", "x.tf": "a=1",
	}
	readme := folder(t, good)
	if out, err := exec.Command(filepath.Join(binaries, "quern"), "-chdir="+readme, "docs").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	documented, err := os.ReadFile(filepath.Join(readme, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	good["README.md"] = string(documented)
	run := func(i int, files map[string]string) (string, error) {
		h, dir := hooks[i], folder(t, files)
		args := strings.Fields(h.Entry)
		for name := range files {
			excluded := h.Exclude != "" && regexp.MustCompile(h.Exclude).MatchString(name)
			if regexp.MustCompile(h.Files).MatchString(name) && !excluded && (h.PassFilenames == nil || *h.PassFilenames) {
				args = append(args, name)
			}
		}
		cmd := exec.Command(filepath.Join(binaries, args[0]), args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil && files["main.quern.hcl"] != good["main.quern.hcl"] {
			// pre-commit fails if a hook changes files.
			if now, _ := os.ReadFile(filepath.Join(dir, "main.quern.hcl")); string(now) == good["main.quern.hcl"] {
				return string(out), os.ErrExist
			}
		}
		return string(out), err
	}
	bad := map[string]map[string]string{
		"quern-fmt":      {"main.quern.hcl": "# A pipeline.\nlocals {\na = 1\n}\n"},
		"quern-validate": {"main.quern.hcl": "locals { a = var.missing }\n"},
		"quern-docs":     {"main.quern.hcl": "# A pipeline.\nvariable \"a\" {}\n"},
	}
	if len(hooks) != len(bad) {
		t.Errorf("%d hooks", len(hooks))
	}
	for i, h := range hooks {
		if h.Language != "system" {
			t.Errorf("%s builds quern", h.ID)
		}
		if h.ID == "quern-fmt" && !regexp.MustCompile(h.Exclude).MatchString("quern_modules/text-1/main.quern.hcl") {
			t.Error("quern-fmt changes modules")
		}
		if out, err := run(i, good); err != nil {
			t.Errorf("%s: %v\n%s", h.ID, err, out)
		}
		wrong := map[string]string{"README.md": good["README.md"]}
		for name, text := range bad[h.ID] {
			wrong[name] = text
		}
		if out, err := run(i, wrong); err == nil {
			t.Errorf("%s accepts %v\n%s", h.ID, bad[h.ID], out)
		}
	}
}
