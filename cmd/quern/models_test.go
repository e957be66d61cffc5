package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

// served starts an endpoint for the test.
func served(t *testing.T, o openaitest.Options) *openaitest.Endpoint {
	t.Helper()
	e, err := openaitest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// folder is a folder with files, by name.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// quernIn runs the program in a folder and returns what it prints.
func quernIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=test")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("quern %v: %v\n%s%s", args, err, &out, &problems)
	}
	return out.String()
}

func TestModelsOfOneNameAtTwoEndpointsShareNoAnswers(t *testing.T) {
	here, there := served(t, openaitest.Options{}), served(t, openaitest.Options{})
	dir := folder(t, map[string]string{"a.csv": "text\ncat\ndog\n", "main.quern.hcl": `
variable "base" {
  type = string
}

variable "address" {
  type    = string
  default = null
}

source "csv" "a" {
  path = "a.csv"
}

model "openai" "m" {
  name     = "llama-3"
  base_url = var.base
  address  = var.address
}

label "llm" "kind" {
  input   = source.a
  model   = model.m
  text    = row.text
  classes = ["cat", "dog"]
}
`})
	apply := func(base, address string) {
		t.Helper()
		args := []string{"apply", "-auto-approve", "-var", "base=" + base}
		if address != "" {
			args = append(args, "-var", "address="+address)
		}
		quernIn(t, dir, args...)
	}
	asked := func(when string, atHere, atThere int64) {
		t.Helper()
		if got, want := fmt.Sprint(here.Counts().Requests, there.Counts().Requests), fmt.Sprint(atHere, atThere); got != want {
			t.Errorf("%s the endpoints were asked %s times, not %s", when, got, want)
		}
	}
	apply(here.URL(), "")
	asked("at first", 2, 0)
	apply(there.URL(), "")
	asked("of the same name at another endpoint", 2, 2)
	apply(here.URL(), "")
	asked("back again", 2, 2)
	apply(here.URL(), there.URL())
	asked("after a move that address tells of", 2, 2)
	dog := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(dog, []byte("text\ncat\ndog\ncow\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	apply(here.URL(), there.URL())
	asked("with a new row after the move", 2, 3)
}
