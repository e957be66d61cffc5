package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Each stage has a model of its name, so that its requests can be counted.
const faultyPipeline = `
source "csv" "rows" {
  path = "rows.csv"
}

model "openai" "m" {
  for_each        = toset(["class", "score", "schema", "pair", "text", "prompt", "rubric", "relevance", "classification"])
  name            = each.key
  base_url        = %q
  retries         = 1
  max_concurrency = 64
}

prompt "p" {
  user = row.text
}

label "llm" "class" {
  input      = source.rows
  model      = model.m["class"]
  text       = row.text
  classes    = ["yes", "no"]
  max_errors = 100
}

label "llm" "score" {
  input      = source.rows
  model      = model.m["score"]
  text       = row.text
  range      = [0, 10]
  max_errors = 100
}

label "llm" "schema" {
  input      = source.rows
  model      = model.m["schema"]
  text       = row.text
  schema     = { type = "object", properties = { a = { type = "string" } }, required = ["a"] }
  max_errors = 100
}

label "llm" "pair" {
  input      = source.rows
  model      = model.m["pair"]
  text       = row.text
  pairwise   = { x = row.text, y = row.id }
  max_errors = 100
}

label "llm" "free" {
  input      = source.rows
  model      = model.m["text"]
  text       = row.text
  max_errors = 100
}

evaluate "prompt" "prompt" {
  dataset  = source.rows
  subjects = { m = { model = model.m["prompt"], prompt = prompt.p } }
  metrics  = { long = length(output.text) > 0 }
}

evaluate "prompt" "judged" {
  dataset  = source.rows
  subjects = { column = row.text }
  judge "rubric" {
    model     = model.m["rubric"]
    rubric    = "It is good."
    threshold = 0
  }
  judge "relevance" {
    model    = model.m["relevance"]
    kind     = "relevance"
    question = row.id
  }
}

evaluate "classification" "classification" {
  dataset  = source.rows
  target   = row.id
  classes  = ["yes", "no"]
  subjects = { m = { model = model.m["classification"], prompt = prompt.p } }
}

output "passed" {
  value = evaluate.judged.subjects.column.passed.value
}

output "errors" {
  value = evaluate.prompt.subjects.m.errors
}
`

// faulty is an endpoint that has the fault that a request names, until it is
// healed. It counts requests by model and fault.
type faulty struct {
	mu     sync.Mutex
	healed bool
	counts map[string]int
}

func (f *faulty) fault(r *openaitest.Request) *openaitest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range openaitest.Faults() {
		for _, m := range r.Messages {
			if !strings.Contains(m.Content, "["+one.Name+"]") {
				continue
			}
			f.counts[r.Model+": "+one.Name]++
			if f.healed {
				return nil
			}
			return &one
		}
	}
	f.counts[r.Model+": no fault"]++
	return nil
}

func (f *faulty) take() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.counts
	f.counts = map[string]int{}
	return out
}

// Each stage retries a faulty endpoint only as often as a retry can help. It
// never counts or caches a failure as an answer. The next apply sends requests
// only for what is missing, and the apply after that has no changes.
func TestFaultsOfEndpointsInEveryStage(t *testing.T) {
	f := &faulty{counts: map[string]int{}}
	e := openaitest.Serve(t, openaitest.Options{Fault: f.fault, Answer: func(r *openaitest.Request) *llm.Response {
		if r.Model == "rubric" || r.Model == "relevance" {
			return &llm.Response{Text: `{"explanation": "So it is.", "score": 1}`}
		}
		return openaitest.Echo(r)
	}})
	rows := "id,text\nno,no fault\n"
	faults := openaitest.Faults()
	failing := 0
	for _, one := range faults {
		rows += fmt.Sprintf("yes,%q\n", "["+one.Name+"]")
		if one.Fails {
			failing++
		}
	}
	dir := folder(t, map[string]string{"rows.csv": rows, "main.quern.hcl": fmt.Sprintf(faultyPipeline, e.URL())})
	apply := func() string {
		t.Helper()
		cmd := exec.Command(filepath.Join(binaries, "quern"), "apply", "-auto-approve")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=test")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	said := apply()
	countedRequests(t, "the first apply", f.take(), func(one openaitest.Fault) int {
		if one.Passes {
			return 2
		}
		return 1
	}, faults)
	all := len(faults) + 1
	for _, want := range []string{
		fmt.Sprintf("passed = %.4f", float64(all-failing)/float64(all)), fmt.Sprintf("errors = %d", failing),
		fmt.Sprintf("%d of %d grades of \"rubric\" are missing", failing, all), fmt.Sprintf("%d of %d answers of subject \"m\" failed", failing, all),
	} {
		if !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("the first apply does not say %q:\n%s", want, said)
		}
	}
	f.healed = true
	said = apply()
	countedRequests(t, "the second apply", f.take(), func(one openaitest.Fault) int {
		if one.Fails {
			return 1
		}
		return 0
	}, faults)
	if !strings.Contains(said, "passed = 1") || !strings.Contains(said, "errors = 0") {
		t.Errorf("the second apply:\n%s", said)
	}
	if said = apply(); !strings.Contains(said, "No changes") || len(f.take()) > 0 {
		t.Errorf("the third apply does something:\n%s", said)
	}
}

// countedRequests checks how often each model was asked with each fault.
func countedRequests(t *testing.T, when string, got map[string]int, want func(openaitest.Fault) int, faults []openaitest.Fault) {
	t.Helper()
	for model, perRow := range map[string]int{
		"class": 1, "score": 1, "schema": 1, "pair": 2, "text": 1, "prompt": 1, "rubric": 1, "relevance": 1, "classification": 1,
	} {
		for _, one := range faults {
			if n := got[model+": "+one.Name]; n != want(one)*perRow {
				t.Errorf("%s asked %q %d times about %q, not %d", when, model, n, one.Name, want(one)*perRow)
			}
		}
	}
}
