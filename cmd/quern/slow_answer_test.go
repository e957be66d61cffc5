package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/llm"
)

const slowPipeline = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "m" {
  name            = "m"
  base_url        = %q
  max_concurrency = 64
}

prompt "p" {
  user = row.text
}
`

// The stages that call a model for each row, and the number of calls per row.
var slowStages = []struct {
	name, address, block string
	rows, perRow         int
}{
	{"labels", "label.kind", `
label "llm" "kind" {
  input  = source.texts
  model  = model.m
  prompt = prompt.p
}
`, 500, 1},
	{"labels by several draws", "label.kind", `
label "llm" "kind" {
  input   = source.texts
  model   = model.m
  prompt  = prompt.p
  samples = 3
}
`, 100, 3},
	{"an evaluation", "evaluate.e", `
evaluate "prompt" "e" {
  dataset  = source.texts
  subjects = { m = { model = model.m, prompt = prompt.p } }
  metrics  = { exact = output.text == row.text }
}
`, 3000, 1},
	{"an evaluation of models as classifiers", "evaluate.e", `
evaluate "classification" "e" {
  dataset  = source.texts
  target   = row.label
  classes  = ["yes", "no"]
  subjects = { m = { model = model.m, prompt = prompt.p } }
}
`, 3000, 1},
}

// While the answer for the first row is missing, all others are requested and
// counted: no batch waits for it, and none is counted twice or beyond the
// total. The answer comes only after the progress has shown this.
func TestASlowAnswerDelaysNoOther(t *testing.T) {
	for _, c := range slowStages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			counted := make(chan struct{})
			e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
				if r.Last == "text 0" {
					<-counted
				}
				return openaitest.Echo(r)
			}})
			texts := "text,label\n"
			for i := range c.rows {
				texts += fmt.Sprintf("text %d,yes\n", i)
			}
			dir := folder(t, map[string]string{"texts.csv": texts, "main.quern.hcl": fmt.Sprintf(slowPipeline, e.URL()) + c.block})
			asked := int64(c.rows * c.perRow)
			done := int64(0)
			applyWatched(t, dir, c.address, func(p *events.Progress) {
				if p.Done < done || p.Done > int64(c.rows) || p.Total != int64(c.rows) {
					t.Errorf("after %d rows the progress says %d of %d", done, p.Done, p.Total)
				}
				if done = p.Done; done != int64(c.rows)-1 || isClosed(counted) {
					return
				}
				if n := e.Counts().Requests; n != asked {
					t.Errorf("%d requests have come when all rows but one are done, not %d", n, asked)
				}
				close(counted)
			}, func() { close(counted) })
			if done != int64(c.rows) {
				t.Errorf("the last progress says %d of %d rows", done, c.rows)
			}
			if n := e.Counts().Requests; n != asked {
				t.Errorf("%d requests came in all, not %d", n, asked)
			}
		})
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// applyWatched applies the pipeline in a folder and calls watch for the
// progress of a stage. If the run makes no progress for a minute, the test
// fails, and unblock is called.
func applyWatched(t *testing.T, dir, address string, watch func(*events.Progress), unblock func()) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "quern"), "apply", "-auto-approve", "-json")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=test")
	stuck := time.AfterFunc(time.Minute, func() {
		t.Error("nothing goes on any more")
		unblock()
	})
	defer stuck.Stop()
	var last events.Event
	err := follow(t, cmd, func(e events.Event) {
		last = e
		if e.Type == events.StageProgress && e.Address == address {
			watch(e.Progress)
		}
	})
	if err != nil {
		t.Fatalf("quern apply: %v; the last event was %+v", err, last)
	}
}

// follow runs a command and calls each for the events that it writes.
func follow(t *testing.T, cmd *exec.Cmd, each func(events.Event)) error {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(out); ; {
		var e events.Event
		if dec.Decode(&e) != nil {
			return cmd.Wait()
		}
		each(e)
	}
}
