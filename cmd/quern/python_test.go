package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
)

// pythonPlugin installs testdata/python/plugin.py in a pipeline's folder. The test
// is skipped if the Python that runs it is not installed.
func pythonPlugin(t *testing.T, dir string) {
	t.Helper()
	python := reference.Interpreter(t)
	if err := exec.Command(python, "-c", "import grpc_tools, pyarrow").Run(); err != nil {
		t.Skip(`the reference tools have no grpcio-tools; run "make references"`)
	}
	stubs := t.TempDir()
	generate := exec.Command(python, "-m", "grpc_tools.protoc", "-I../../sdk/proto", "--python_out="+stubs, "--grpc_python_out="+stubs,
		"quern/plugin/v1/plugin.proto")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("generate the stubs: %v\n%s", err, out)
	}
	script, err := filepath.Abs("testdata/python/plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	plugins := filepath.Join(dir, ".quern", "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	start := fmt.Sprintf("#!/bin/sh\nexec %q %q %q\n", python, script, stubs)
	if err := os.WriteFile(filepath.Join(plugins, "quern-plugin-py"), []byte(start), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAPluginInPythonReadsRowsAndCallsModels(t *testing.T) {
	dir := folder(t, map[string]string{
		"upper.sh": `while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  text=$(printf %s "$line" | sed 's/.*"content": *"\([^"]*\)".*/\1/' | tr a-z A-Z)
  printf '{"id": %s, "response": {"text": "%s", "usage": {"input": 20, "output": 5}}}\n' "$id" "$text"
done
`,
		"main.quern.hcl": `
quern {
  required_plugins {
    py = {}
  }
}

plugin "py" {
  greeting = "é hi"
}

source "py_count" "numbers" {
  rows = 4
}

model "exec" "upper" {
  command         = ["sh", "upper.sh"]
  max_concurrency = 1
}

label "py_ask" "said" {
  input      = source.numbers
  text       = row.text
  model      = model.upper
  max_errors = 1
  rule "a" {
    say = "b"
  }
}
`})
	pythonPlugin(t, dir)
	quernIn(t, dir, "init")
	quernIn(t, dir, "apply", "-auto-approve")
	got := quernIn(t, dir, "artifact", "export", "label.said", "-format=jsonl")
	// The default of step is exactly 0.1, and unit is null.
	want := `{"n":0,"text":"0.0 None","said":"é HI A=B 0.0 NONE"}
{"n":1,"text":"0.1 None","said":"é HI A=B 0.1 NONE"}
{"n":2,"text":null,"said":null}
{"n":3,"text":"0.3 None","said":"é HI A=B 0.3 NONE"}
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if again := quernIn(t, dir, "plan"); !strings.Contains(again, "1 to run, 1 unchanged") {
		t.Errorf("a second plan says\n%s", again)
	}

	// An error is reported at the user's own line.
	config := filepath.Join(dir, "main.quern.hcl")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "rows = 4", "rows = -1", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(binaries, "quern"), "plan")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "NO_COLOR=1", "QUERN_PLUGIN_PATH="+binaries)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Rows must be at least 0") || !strings.Contains(string(out), "rows = -1") {
		t.Errorf("got %v\n%s", err, out)
	}
}
