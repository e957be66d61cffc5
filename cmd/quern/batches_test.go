package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

const batchPipeline = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "m" {
  name     = "m"
  base_url = %[1]q
  batch    = true
  retries  = 0

  price {
    input  = 1
    output = 2
  }
}

label "llm" "kind" {
  input   = source.texts
  model   = model.m
  text    = row.text
  classes = ["cat", "dog"]
  samples = 2
}
`

const batchEvaluation = `
prompt "short" {
  user = "Say ${row.text}"
}

evaluate "prompt" "e" {
  dataset  = label.kind
  subjects = { short = { model = model.m, prompt = prompt.short } }
  judge "good" {
    model  = model.m
    kind   = "g_eval"
    rubric = "It is good."
  }
}

output "kinds" {
  value = label.kind.counts
}
`

// quernEnds runs the program in a folder and returns its output and exit code.
func quernEnds(t *testing.T, dir string, args ...string) (string, int) {
	t.Helper()
	out, err := batchCommand(dir, args...).CombinedOutput()
	ended := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	code := 0
	if ended != nil {
		code = ended.ExitCode()
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", " ")), " "), code
}

func batchCommand(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=test")
	return cmd
}

// expect runs a command that has to end with a code and to say all texts.
func expect(t *testing.T, dir string, code int, args string, texts ...string) {
	t.Helper()
	out, got := quernEnds(t, dir, strings.Fields(args)...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("quern %s does not say %q:\n%s", args, text, out)
		}
	}
	if got != code {
		t.Fatalf("quern %s ended with %d, not %d:\n%s", args, got, code, out)
	}
}

func judgeOrEcho(r *openaitest.Request) *llm.Response {
	for _, m := range r.Messages {
		switch {
		case strings.Contains(m.Content, "You prepare the grading"):
			return &llm.Response{Text: `{"steps": ["Read it."]}`}
		case strings.Contains(m.Content, "from 0 (not met at all)"):
			return &llm.Response{Text: `{"reason": "so", "score": 9}`}
		}
	}
	return openaitest.Echo(r)
}

func TestBatchesAreSubmittedOnceAndReadLater(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{Answer: judgeOrEcho})
	dir := folder(t, map[string]string{"texts.csv": "text\na cat\na dog\nno cat\n", "main.quern.hcl": fmt.Sprintf(batchPipeline, e.URL()) + batchEvaluation})
	expect(t, dir, 3, "apply -auto-approve", "3 of 3 rows wait: batch quern-", " of model.m")
	if n := len(e.Batches()); n != 1 {
		t.Fatalf("%d batches", n)
	}
	e.ProgressBatches(4)
	expect(t, dir, 3, "apply -auto-approve", "3 of 3 rows wait: "+e.Batches()[0].ID+": 4 of 6 requests are done")
	expect(t, dir, 0, "plan", "3 of 3 rows wait: "+e.Batches()[0].ID+": 4 of 6 requests are done")
	expect(t, dir, 0, "show", "3 of 3 rows wait: "+e.Batches()[0].ID)
	expect(t, dir, 0, "gc -delete -grace 0s -keep-runs 0")

	// One of the requests expires: its row waits for another batch.
	e.FinishBatches(func(last string) openaitest.Outcome { return openaitest.Outcome{Expired: last == "no cat"} })
	expect(t, dir, 3, "apply -auto-approve", "1 of 3 rows waits: batch quern-", "(2 rows new, 0 reused; 4 calls, ")
	e.FinishBatches(nil)
	// Then the evaluation asks for the steps of its judge and for all answers, and
	// for the grades when it has both.
	expect(t, dir, 3, "apply -auto-approve", "label.kind: done", "evaluate.e: pending", "batch quern-", "(4 requests)")
	e.FinishBatches(nil)
	expect(t, dir, 3, "apply -auto-approve", "(3 requests)")
	e.FinishBatches(nil)
	expect(t, dir, 0, "apply -auto-approve", "evaluate.e: done", "cat = 2")
	expect(t, dir, 0, "plan", "No changes")
	if c := e.Counts(); len(e.Batches()) != 4 || c.Distinct != 10 || c.Repeated != 3 || c.Requests != 0 {
		// Both samples of a row are one request to the endpoint.
		t.Errorf("%d batches, %+v", len(e.Batches()), c)
	}
}

// With -wait, apply checks again until the batch is done.
func TestApplyWaitsForBatches(t *testing.T) {
	t.Parallel()
	reads := 0
	var e *openaitest.Endpoint
	e = openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/batches/") {
			if reads++; reads == 2 {
				e.FinishBatches(nil)
			}
		}
		return false
	}})
	dir := folder(t, map[string]string{"texts.csv": "text\na cat\na dog\n", "main.quern.hcl": fmt.Sprintf(batchPipeline, e.URL())})
	expect(t, dir, 3, "apply -auto-approve", "2 of 2 rows wait: batch quern-")
	expect(t, dir, 0, "apply -auto-approve -wait=10m", "2 of 2 rows wait: "+e.Batches()[0].ID, "Checking again in 2s", "label.kind: done")
	if len(e.Batches()) != 1 || reads != 2 {
		t.Errorf("%d batches were read %d times", len(e.Batches()), reads)
	}
}

// Ctrl-C ends the wait, and nothing else: a later apply continues.
func TestWaitingForABatchCanBeInterrupted(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	dir := folder(t, map[string]string{"texts.csv": "text\na cat\n", "main.quern.hcl": fmt.Sprintf(batchPipeline, e.URL())})
	cmd := batchCommand(dir, "apply", "-auto-approve", "-wait=12h")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Checking again") {
			// Another command can use the environment in the meantime.
			expect(t, dir, 3, "apply -auto-approve")
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("apply ended with %d", cmd.ProcessState.ExitCode())
	}
	e.FinishBatches(nil)
	expect(t, dir, 0, "apply -auto-approve", "label.kind: done")
}

// Wherever the program is killed, a batch is created once.
func TestABatchIsSubmittedOnceIfTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		after        bool // the endpoint has carried out the call
		files        int
	}{
		{"POST", "/v1/files", false, 1},
		{"POST", "/v1/files", true, 2},
		{"POST", "/v1/batches", false, 2},
		{"POST", "/v1/batches", true, 1},
		{"GET", "/v1/files/", false, 1},
		{"GET", "/v1/batches/", true, 1},
	} {
		t.Run(fmt.Sprint(c.method, c.path, c.after), func(t *testing.T) {
			var victim *exec.Cmd
			killed := false
			e := openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
				if killed || r.Method != c.method || !strings.HasPrefix(r.URL.Path, c.path) {
					return false
				}
				killed = true
				if c.after {
					serve(httptest.NewRecorder(), r)
				}
				_ = victim.Process.Kill()
				panic(http.ErrAbortHandler)
			}})
			dir := folder(t, map[string]string{"texts.csv": "text\na cat\na dog\nno cat\n", "main.quern.hcl": fmt.Sprintf(batchPipeline, e.URL())})
			apply := func() (string, int) {
				victim = batchCommand(dir, "apply", "-auto-approve")
				var out bytes.Buffer
				victim.Stdout, victim.Stderr = &out, &out
				_ = victim.Run()
				return out.String(), victim.ProcessState.ExitCode()
			}
			for range 4 {
				out, code := apply()
				if code == 0 {
					break
				}
				if code != 3 && code != -1 {
					t.Fatalf("apply ended with %d:\n%s", code, out)
				}
				if code == 3 {
					e.FinishBatches(nil)
				}
			}
			if !killed || len(e.Batches()) != 1 || len(e.Files("batch")) != c.files {
				t.Errorf("killed: %v; %d batches, %d files", killed, len(e.Batches()), len(e.Files("batch")))
			}
			expect(t, dir, 0, "plan", "No changes")
		})
	}
}

func TestABatchThatFailsIsReported(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	dir := folder(t, map[string]string{"texts.csv": "text\na cat\n", "main.quern.hcl": fmt.Sprintf(batchPipeline, e.URL())})
	expect(t, dir, 3, "apply -auto-approve")
	e.FailBatches("The model m does not exist.")
	expect(t, dir, 1, "apply -auto-approve", "A batch ended without answers", "The model m does not exist.", "The next apply submits its requests again.")
	expect(t, dir, 3, "apply -auto-approve", "1 of 1 row waits: batch quern-")
}
