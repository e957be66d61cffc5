package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// folder creates a folder with files, by name.
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

// quernIn runs the program in a folder and returns its output.
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
	return out.String() + problems.String()
}

func TestModelsOfTheSameNameAtTwoEndpointsShareNoAnswers(t *testing.T) {
	here, there := openaitest.Serve(t, openaitest.Options{}), openaitest.Serve(t, openaitest.Options{})
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

func TestDrawsOfAModelWithASeedUseConsecutiveSeeds(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		return &llm.Response{Text: fmt.Sprint("seed ", r.Body()["seed"])}
	}})
	dir := folder(t, map[string]string{"a.csv": "text\ncat\n", "main.quern.hcl": fmt.Sprintf(`
source "csv" "a" {
  path = "a.csv"
}

model "openai" "m" {
  name        = "m"
  base_url    = %q
  seed        = 7
  temperature = 0
}

prompt "p" {
  user = row.text
}

evaluate "prompt" "e" {
  dataset  = source.a
  subjects = { m = { model = model.m, prompt = prompt.p } }
  metrics  = { seed = tonumber(trimprefix(output.text, "seed ")) }
  repeats  = 3
}

output "mean" {
  value = evaluate.e.subjects.m.seed.value
}
`, e.URL())})
	if said := quernIn(t, dir, "apply", "-auto-approve"); !strings.Contains(said, "mean = 8") || !strings.Contains(said, "Repeated samples will be nearly identical") {
		t.Errorf("apply says\n%s", said)
	}
}

func TestARowIsNeverAnExampleForItself(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		question := r.Messages[len(r.Messages)-1].Content
		for _, m := range r.Messages[:len(r.Messages)-1] {
			if m.Role == llm.User && strings.Contains(question, m.Content) {
				return &llm.Response{Text: "leak"}
			}
		}
		return &llm.Response{Text: fmt.Sprint(len(r.Messages))}
	}})
	dir := folder(t, map[string]string{"a.csv": "text,label\nOne letter,a\nTwo letters,b\nThree letters,c\n", "main.quern.hcl": fmt.Sprintf(`
source "csv" "a" {
  path = "a.csv"
}

model "openai" "m" {
  name     = "m"
  base_url = %q
}

prompt "p" {
  user = "Sort this: ${row.text}. Say a, b or c."
  examples {
    dataset   = source.a
    user      = row.text
    assistant = row.label
    count     = 3
    select    = "random"
  }
}

label "llm" "kind" {
  input  = source.a
  model  = model.m
  prompt = prompt.p
}

output "kinds" {
  value = label.kind.counts.kind
}
`, e.URL())})
	// Two examples of two messages each, and the question.
	if said := quernIn(t, dir, "apply", "-auto-approve"); !strings.Contains(said, `"5" = 3`) {
		t.Errorf("apply says\n%s", said)
	}
}

const failing = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "m" {
  name     = "m"
  base_url = %q
  retries  = %d
}

label "llm" "said" {
  input      = source.texts
  model      = model.m
  text       = row.text
  max_errors = 1
}
`

func TestAModelsBlockSetsTheNumberOfRetries(t *testing.T) {
	t.Parallel()
	for _, retries := range []int64{0, 1} {
		e := openaitest.Serve(t, openaitest.Options{FailEvery: 1})
		dir := folder(t, map[string]string{"texts.csv": "text\na\n", "main.quern.hcl": fmt.Sprintf(failing, e.URL(), retries)})
		quernIn(t, dir, "apply", "-auto-approve")
		if got := e.Counts().Requests; got != retries+1 {
			t.Errorf("with %d retries a request was made %d times", retries, got)
		}
	}
}
