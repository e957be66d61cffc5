package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Each stage has a model with the stage's name, so that its requests can be
// counted.
const faultyPipeline = `
source "csv" "rows" {
  path = "rows.csv"
}

model "openai" "m" {
  for_each        = toset(["class", "score", "schema", "pair", "text", "prompt", "rubric", "relevance", "classification"])
  name            = each.key
  base_url        = %[1]q
  retries         = %[2]d
  max_concurrency = %[3]d
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

// faulty is an endpoint with the fault that a request names, until it is
// healed. It counts requests by model and fault.
type faulty struct {
	mu     sync.Mutex
	healed bool
	counts map[string]int
}

func (f *faulty) fault(r *openaitest.Request) *openaitest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	texts := []string{r.Last}
	for _, m := range r.Messages {
		texts = append(texts, m.Content)
	}
	said := strings.Join(texts, "\n")
	for _, one := range openaitest.Faults() {
		if !strings.Contains(said, "["+one.Name+"]") {
			continue
		}
		f.counts[r.Model+": "+one.Name]++
		if f.healed {
			return nil
		}
		return &one
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
	faultsInEveryStage(t, 1, 64)
}

// The same with each number of retries and any concurrency.
func TestHuntFaultsOfEndpointsInEveryStage(t *testing.T) {
	if !reference.Hunting() {
		t.Skip("make hunt runs it")
	}
	for i := range 16 {
		retries, concurrency := i%4, 1+rand.IntN(64)
		t.Run(fmt.Sprintf("%d retries, %d at a time", retries, concurrency), func(t *testing.T) {
			faultsInEveryStage(t, retries, concurrency)
			faultsOfEmbeddings(t, retries, concurrency)
		})
	}
}

func faultsInEveryStage(t *testing.T, retries, concurrency int) {
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
	dir := folder(t, map[string]string{"rows.csv": rows, "main.quern.hcl": fmt.Sprintf(faultyPipeline, e.URL(), retries, concurrency)})
	apply := func() string {
		t.Helper()
		said, err := applyHere(dir)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		return said
	}
	said := apply()
	countedRequests(t, "the first apply", f.take(), func(one openaitest.Fault) int { return attempts(one, retries) }, faults)
	all := len(faults) + 1
	for _, want := range []string{
		"passed = " + strings.TrimRight(fmt.Sprintf("%.4f", float64(all-failing)/float64(all)), "0"), fmt.Sprintf("errors = %d", failing),
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

func namesOf(t *testing.T, faults []openaitest.Fault) string {
	t.Helper()
	var names []string
	for _, one := range faults {
		names = append(names, one.Name)
	}
	text, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// attempts returns the number of requests that an apply makes with a fault.
func attempts(f openaitest.Fault, retries int) int {
	switch {
	case f.Passes:
		return 1 + retries
	}
	return 1
}

// countedRequests checks how often each model was called with each fault.
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

func applyHere(dir string) (said string, err error) {
	cmd := exec.Command(filepath.Join(binaries, "quern"), "apply", "-auto-approve")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=test")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

const strayPipeline = `
source "csv" "rows" {
  path = "rows.csv"
}

model "openai" "m" {
  name            = "m"
  base_url        = %q
  retries         = 1
  timeout         = "1s"
  max_concurrency = 1
}

label "llm" "x" {
  input      = source.rows
  model      = model.m
  text       = row.text
  max_errors = 2
}
`

// An endpoint that sends one byte a second is given up after the timeout. One
// that redirects is given up at once, without a request to the redirect's
// target. The next apply sends the failed requests again.
func TestDripsTimeOutAndRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	defer other.Close()
	for name, c := range map[string]struct {
		fault    openaitest.Fault
		ends     bool // whether the stage ends
		says     string
		requests int64
	}{
		"drip":     {openaitest.Drip(time.Second), false, "no answer within 1s", 4},
		"redirect": {openaitest.Redirect(http.StatusPermanentRedirect, other.URL), true, "the endpoint redirects to " + other.URL, 1},
		"loop":     {openaitest.Redirect(http.StatusFound, "/v1/chat/completions"), true, "the endpoint redirects to /v1/chat/completions", 1},
	} {
		var healed atomic.Bool
		e := openaitest.Serve(t, openaitest.Options{Key: "test", Fault: func(*openaitest.Request) *openaitest.Fault {
			if healed.Load() {
				return nil
			}
			return &c.fault
		}})
		dir := folder(t, map[string]string{"rows.csv": "text\na\nb\n", "main.quern.hcl": fmt.Sprintf(strayPipeline, e.URL())})
		said, err := applyHere(dir)
		if (err != nil) != c.ends || !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(said, "│", "")), " "), c.says) {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		if n := e.Counts().Requests; n != c.requests {
			t.Errorf("%s: %d requests, not %d", name, n, c.requests)
		}
		healed.Store(true)
		said, err = applyHere(dir)
		if n := e.Counts().Requests - c.requests; err != nil || n != 2 {
			t.Errorf("%s: the next apply makes %d requests: %v\n%s", name, n, err, said)
		}
	}
	if n := strayed.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

const embeddingPipeline = `
source "csv" "rows" {
  path = "rows.csv"
}

model "openai" "embedding" {
  name            = "text-embedding-3-small"
  base_url        = %q
  retries         = %d
  max_concurrency = %d
}

evaluate "prompt" "similar" {
  for_each = toset(jsondecode(file("faults.json")))
  dataset  = source.rows
  subjects = { column = "[${each.key}] ${row.text}" }
  similar "near" {
    model    = model.embedding
    expected = row.id
  }
}
`

// A stage that gets no embeddings fails, and the next apply requests only
// these.
func TestFaultsOfEndpointsForEmbeddings(t *testing.T) {
	t.Parallel()
	faultsOfEmbeddings(t, 1, 16)
}

func faultsOfEmbeddings(t *testing.T, retries, concurrency int) {
	t.Helper()
	f := &faulty{counts: map[string]int{}}
	e := openaitest.Serve(t, openaitest.Options{Fault: f.fault})
	faults := openaitest.EmbeddingFaults()
	dir := folder(t, map[string]string{
		"rows.csv": "id,text\nno,hello\n", "faults.json": namesOf(t, faults), "main.quern.hcl": fmt.Sprintf(embeddingPipeline, e.URL(), retries, concurrency),
	})
	said, err := applyHere(dir)
	said = strings.Join(strings.Fields(strings.ReplaceAll(said, "│", "")), " ")
	asked := f.take()
	for _, one := range faults {
		if n := asked["text-embedding-3-small: "+one.Name]; n != attempts(one, retries) {
			t.Errorf("the first apply asks %d times about %q, not %d", n, one.Name, attempts(one, retries))
		}
		if one.Fails && !strings.Contains(said, one.Says) {
			t.Errorf("the first apply does not say %q", one.Says)
		}
	}
	if err == nil {
		t.Errorf("the first apply succeeds:\n%s", said)
	}
	f.healed = true
	if said, err := applyHere(dir); err != nil {
		t.Errorf("the second apply: %v\n%s", err, said)
	}
	asked = f.take()
	for _, one := range faults {
		if n := asked["text-embedding-3-small: "+one.Name]; (n == 1) != one.Fails {
			t.Errorf("the second apply asks %d times about %q", n, one.Name)
		}
	}
	if said, err := applyHere(dir); err != nil || !strings.Contains(said, "No changes") {
		t.Errorf("the third apply: %v\n%s", err, said)
	}
}
