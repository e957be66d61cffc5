package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/llm"
)

const keptEstimate = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "m" {
  name            = "m"
  base_url        = %q
  max_concurrency = 8
  price {
    input  = 1
    output = 1
  }
}

label "llm" "kind" {
  input   = source.texts
  model   = model.m
  text    = row.text
  classes = ["cat", "dog"]
}
`

// A run that is stopped halfway leaves rows and answers. The next plan counts
// the rows, but does not claim to know the answers.
func TestAPlanEstimatesNoCallsForRowsOfAStoppedRun(t *testing.T) {
	t.Parallel()
	const rows = 600
	more := make(chan struct{}, rows)
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		<-more
		return openaitest.Echo(r)
	}})
	texts := "text\n"
	for i := range rows {
		texts += fmt.Sprintf("cat %d\n", i)
	}
	dir := folder(t, map[string]string{"texts.csv": texts, "main.quern.hcl": fmt.Sprintf(keptEstimate, e.URL())})
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.texts")
	if got := estimateOf(t, dir, "label.kind"); got.Calls != rows || got.CallsAtMost {
		t.Errorf("before anything was asked: %+v", got)
	}
	for range 200 {
		more <- struct{}{}
	}
	stopAt(t, dir, 200)
	close(more)
	got := estimateOf(t, dir, "label.kind")
	// Rows are committed in order, so some that have an answer wait for others.
	if got.Calls >= rows || got.Calls < rows-200 || got.NewRows != got.Calls || !got.CallsAtMost {
		t.Errorf("when some 200 of %d rows are there: %+v", rows, got)
	}
	said := strings.Join(strings.Fields(quernIn(t, dir, "plan")), " ")
	for _, want := range []string{
		fmt.Sprintf("600 rows, at most %d of them new, at most %d calls", got.NewRows, got.Calls), "costs at most", "; cached answers are not requested again",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the plan does not say %q:\n%s", want, said)
		}
	}
	before := e.Counts().Requests
	quernIn(t, dir, "apply", "-auto-approve")
	if n := e.Counts().Requests - before; n > got.Calls || n != rows-200 {
		t.Errorf("%d requests were made, and at most %d foreseen", n, got.Calls)
	}
}

// stopAt applies the pipeline in a folder, and interrupts it after the given
// number of rows.
func stopAt(t *testing.T, dir string, rows int64) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "quern"), "apply", "-auto-approve", "-json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=test")
	stopped := false
	err := follow(t, cmd, func(e events.Event) {
		if e.Type == events.StageProgress && e.Progress.Done >= rows && !stopped {
			stopped = true
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || !stopped {
		t.Fatalf("the run was not stopped: %v", err)
	}
}
