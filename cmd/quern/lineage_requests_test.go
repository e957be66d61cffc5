package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/responses"
)

const askedPipeline = `
variable "tone" {
  type      = string
  sensitive = true
}

source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "chat" {
  name     = "chat"
  base_url = %[1]q
  price {
    input  = 1000
    output = 2000
  }
}

model "openai" "uncached" {
  name     = "chat"
  base_url = %[1]q
  cache    = false
}

prompt "kind" {
  user = "Which is it? ${row.text}"
}

prompt "toned" {
  system = "Be ${var.tone}."
  user   = row.text
}

transform "filter" "some" {
  input = source.texts
  where = row.text != "skip"
}

label "llm" "kind" {
  input   = transform.some
  model   = model.chat
  prompt  = prompt.kind
  classes = ["cat", "dog"]
}

label "llm" "toned" {
  input   = label.kind
  model   = model.chat
  prompt  = prompt.toned
  classes = ["cat", "dog"]
  samples = 2
}

label "llm" "fleeting" {
  input   = source.texts
  model   = model.uncached
  text    = row.text
  classes = ["cat", "dog", "skip"]
}

evaluate "prompt" "quality" {
  dataset = source.texts
  subjects = {
    plain = { model = model.chat, prompt = prompt.kind }
  }
  metrics = { any = output.text != "" }
}
`

// lineageOf returns the lineage of a row with its requests.
func lineageOf(t *testing.T, dir, address string, row int) *inspect.Row {
	t.Helper()
	said := quernIn(t, dir, "lineage", "-calls", "-json", "-var=tone=terse", fmt.Sprint("-row=", row), address)
	found := &inspect.Row{}
	if err := json.Unmarshal([]byte(said), found); err != nil {
		t.Fatalf("%v in\n%s", err, said)
	}
	return found
}

// withAnswers calls f with the cached answers of a project.
func withAnswers(t *testing.T, dir string, f func(*responses.Cache)) {
	t.Helper()
	cache, err := responses.Open(filepath.Join(dir, ".quern", "responses"), responses.Options{Aside: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f(cache)
	if err := cache.Close(); err != nil {
		t.Fatal(err)
	}
}

func answerKey(t *testing.T, digest string) responses.Key {
	t.Helper()
	key, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil || len(key) != 32 {
		t.Fatalf("%q is not a digest", digest)
	}
	return responses.Key(key)
}

// The lineage of a row shows which requests to models were made for it, without making
// any: also a request that was repeated because its answer was not valid, and several
// samples with a sensitive value. It says what it cannot know.
func TestTheLineageOfARowShowsItsRequests(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		if r.Last == "Which is it? a small dog" {
			return &llm.Response{Text: "perhaps"}
		}
		return openaitest.Echo(r)
	}})
	config := fmt.Sprintf(askedPipeline, e.URL())
	dir := folder(t, map[string]string{"texts.csv": "text\na cat\nskip\na small dog\n", "main.quern.hcl": config})
	quernIn(t, dir, "apply", "-auto-approve", "-var=tone=terse")
	requests := e.Counts().Requests

	toned := lineageOf(t, dir, "label.toned", 1)
	if len(toned.Requests) != 2 || toned.Requests[0].Draw != 0 || toned.Requests[1].Draw != 1 {
		t.Errorf("the requests of two samples are %+v", toned.Requests)
	}
	kind := toned.From[0]
	if len(kind.Requests) != 2 || kind.Requests[0].Digest == kind.Requests[1].Digest {
		t.Fatalf("the requests of a repeated question are %+v", kind.Requests)
	}
	if one := lineageOf(t, dir, "label.kind", 0); len(one.Requests) != 1 || one.Requests[0].Digest == kind.Requests[0].Digest {
		t.Errorf("the requests of another row are %+v", one.Requests)
	}
	withAnswers(t, dir, func(cache *responses.Cache) {
		for _, q := range append(toned.Requests, kind.Requests...) {
			_, stored, ok := cache.GetStored(answerKey(t, q.Digest))
			cost := float64(q.Usage.Input)/1000 + 2*float64(q.Usage.Output)/1000
			if !ok || !q.Cached || !q.Asked.Equal(stored) || q.Model != "model.chat" || q.Usage.Output == 0 || q.Cost == nil || *q.Cost < cost-1e-9 || *q.Cost > cost+1e-9 {
				t.Errorf("a request is shown as %+v, stored %v at %v, which costs %g", q, ok, stored, cost)
			}
		}
	})
	if uncached := lineageOf(t, dir, "label.fleeting", 0); len(uncached.Requests) != 1 || uncached.Requests[0].Cached || uncached.Requests[0].Digest != "" {
		t.Errorf("the requests to a model without a cache are %+v", uncached.Requests)
	}
	plain := lineageOf(t, dir, "evaluate.quality.rows", 0)
	if want := lineageOf(t, dir, "label.kind", 0); len(plain.Requests) != 1 || !plain.Requests[0].Cached || plain.Requests[0].Digest == want.Requests[0].Digest || plain.Requests[0].Cost == nil {
		t.Errorf("the requests of a row of an evaluation are %+v", plain.Requests)
	}

	said := quernIn(t, dir, "lineage", "-calls", "-var=tone=terse", "-row=1", "label.kind")
	for _, want := range []string{"├─ model.chat", "│  ├─ request " + kind.Requests[0].Digest[:19], "│  └─ request " + kind.Requests[1].Digest[:19], " tokens in, ", "cost ", "cached 20"} {
		if !strings.Contains(said, want) {
			t.Errorf("the text lacks %q:\n%s", want, said)
		}
	}
	if said := quernIn(t, dir, "lineage", "-calls", "-var=tone=terse", "-row=1", "-format=mermaid", "label.kind"); strings.Count(said, "request sha256:") != 2 {
		t.Errorf("the flowchart is\n%s", said)
	}

	// Without the first answer, nobody knows that the question was repeated.
	withAnswers(t, dir, func(cache *responses.Cache) {
		if err := cache.Delete(answerKey(t, kind.Requests[0].Digest)); err != nil {
			t.Fatal(err)
		}
	})
	left := lineageOf(t, dir, "label.kind", 1)
	if len(left.Requests) != 1 || left.Requests[0].Digest != kind.Requests[0].Digest || left.Requests[0].Cached || left.Requests[0].Cost != nil {
		t.Errorf("without the first answer, the requests are %+v", left.Requests)
	}
	if said := quernIn(t, dir, "lineage", "-calls", "-var=tone=terse", "-row=1", "label.kind"); !strings.Contains(said, "its answer is not in the cache") {
		t.Errorf("without the first answer, the text is\n%s", said)
	}
	withAnswers(t, dir, func(cache *responses.Cache) {
		if _, ok := cache.Get(answerKey(t, kind.Requests[1].Digest)); !ok {
			t.Error("to look for answers has removed one")
		}
	})

	withAnswers(t, dir, func(*responses.Cache) { // as another process
		said, status := quernEnds(t, dir, "lineage", "-calls", "-var=tone=terse", "-row=1", "label.kind")
		if status != 1 || !strings.Contains(said, "Another process uses the answers") {
			t.Errorf("while another process has the answers, quern says\n%s", said)
		}
	})

	changed := strings.Replace(config, "Which is it?", "What is it?", 1)
	if err := os.WriteFile(filepath.Join(dir, "main.quern.hcl"), []byte(changed), 0o666); err != nil {
		t.Fatal(err)
	}
	if row := lineageOf(t, dir, "label.kind", 1); row.Requests != nil || row.RequestsUnknown != "the configuration or an input has changed since" {
		t.Errorf("after a change, the requests are %+v %q", row.Requests, row.RequestsUnknown)
	}
	if n := e.Counts().Requests; n != requests {
		t.Errorf("%d requests were made to show requests", n-requests)
	}
}

const nearPipeline = `
variable "tone" {
  type      = string
  sensitive = true
}

source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "m" {
  name     = "m"
  base_url = %[1]q
}

prompt "near" {
  user = row.text
  examples {
    dataset   = source.texts
    user      = row.text
    assistant = row.label
    count     = 1
    select    = "nearest"
    model     = model.m
  }
}

prompt "toned" {
  system = "Be ${var.tone}."
  user   = row.text
}

label "llm" "near" {
  input   = source.texts
  model   = model.m
  prompt  = prompt.near
  classes = ["cat", "dog"]
}

evaluate "prompt" "toned" {
  dataset  = source.texts
  subjects = { toned = { model = model.m, prompt = prompt.toned } }
  metrics  = { any = output.text != "" }
}
`

// The text that examples are near to has an embedding of its own. A request with a
// sensitive value in an evaluation is found by its digest.
func TestTheLineageOfARowShowsEmbeddingsAndHidesSecrets(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	dir := folder(t, map[string]string{"texts.csv": "text,label\na cat,cat\na dog,dog\n", "main.quern.hcl": fmt.Sprintf(nearPipeline, e.URL())})
	quernIn(t, dir, "apply", "-auto-approve", "-var=tone=terse")
	requests := e.Counts().Requests
	row := lineageOf(t, dir, "label.near", 1)
	if len(row.Requests) != 2 || row.Requests[0].Texts != 1 || !row.Requests[0].Cached || row.Requests[1].Texts != 0 || !row.Requests[1].Cached {
		t.Fatalf("the requests are %+v", row.Requests)
	}
	withAnswers(t, dir, func(cache *responses.Cache) {
		if err := cache.Delete(answerKey(t, row.Requests[0].Digest)); err != nil {
			t.Fatal(err)
		}
	})
	// The text is an example, too, so the request for all examples lacks it.
	left := lineageOf(t, dir, "label.near", 1)
	if len(left.Requests) != 1 || left.Requests[0].Texts != 2 || left.Requests[0].Cached {
		t.Errorf("without an embedding, the requests are %+v", left.Requests)
	}
	if toned := lineageOf(t, dir, "evaluate.toned.rows", 0); len(toned.Requests) != 1 || !toned.Requests[0].Cached || toned.RequestsUnknown != "" {
		t.Errorf("a request with a sensitive value is shown as %+v, %q", toned.Requests, toned.RequestsUnknown)
	}
	if n := e.Counts().Requests; n != requests {
		t.Errorf("%d requests were made to show requests", n-requests)
	}
	staged, err := filepath.Glob(filepath.Join(dir, ".quern", "staging", "*replay*"))
	if err != nil || len(staged) > 0 {
		t.Errorf("%v was left behind", staged)
	}
}

const judgedPipeline = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "chat" {
  name     = "chat"
  base_url = %[1]q
  price {
    input  = 1000
    output = 2000
  }
}

model "openai" "grader" {
  name     = "grader"
  base_url = %[1]q
  price {
    input  = 1000
    output = 2000
  }
}

prompt "short" {
  user = "Short: ${row.text}"
}

prompt "long" {
  user = "Long: ${row.text}"
}

evaluate "prompt" "graded" {
  dataset = source.texts
  repeats = 2
  subjects = {
    short = { model = model.chat, prompt = prompt.short }
    long  = { model = model.chat, prompt = prompt.long }
  }
  judge "good" {
    model   = model.grader
    rubric  = "It is good."
    samples = 2
  }
  judge "better" {
    model    = model.grader
    kind     = "pairwise"
    baseline = "short"
  }
}

evaluate "classification" "sorted" {
  dataset  = source.texts
  target   = row.label
  classes  = ["cat", "dog"]
  subjects = { short = { model = model.chat, prompt = prompt.short } }
}
`

// A row of an evaluation names the requests to judges about it, and second attempts, each
// with the draw. Together, the rows name all requests that were made.
func TestTheLineageOfARowShowsRequestsToJudges(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		switch {
		case strings.Contains(r.Last, "Which answer is better?"):
			return &llm.Response{Text: `{"because": "so", "choice": "tie"}`}
		case strings.Contains(r.Last, "<rubric>") && strings.Contains(r.Last, "a dog"):
			return &llm.Response{Text: "hm"}
		case r.Model == "grader":
			return &llm.Response{Text: `{"explanation": "so", "score": 0.5}`}
		case strings.HasPrefix(r.Last, "This answer can't be used"):
			return &llm.Response{Text: `{"label": "cat"}`}
		case strings.HasPrefix(r.Last, "Short") && r.Schema != nil:
			return &llm.Response{Text: "perhaps"}
		}
		return openaitest.Echo(r)
	}})
	dir := folder(t, map[string]string{"texts.csv": "text,label\na cat,cat\na dog,dog\n", "main.quern.hcl": fmt.Sprintf(judgedPipeline, e.URL())})
	quernIn(t, dir, "apply", "-auto-approve")
	made := e.Counts().Requests

	all := map[string]bool{}
	for row := range 8 {
		asked := lineageOf(t, dir, "evaluate.graded.rows", row)
		var values struct {
			Subject, Text string
			Draw          int64
		}
		if err := json.Unmarshal(asked.Values, &values); err != nil {
			t.Fatal(err)
		}
		calls := map[string]int{}
		for _, q := range asked.Requests {
			all[q.Digest] = true
			calls[q.Model]++
			if !q.Cached || q.Cost == nil || *q.Cost <= 0 || q.Usage.Input == 0 || q.Model == "model.chat" && q.Draw != values.Draw {
				t.Errorf("row %d: a request is shown as %+v", row, q)
			}
		}
		grades := 2 // samples
		if strings.Contains(values.Text, "a dog") {
			grades *= 2 // attempts
		}
		if values.Subject == "long" {
			grades += 2 // in both orders
		}
		if calls["model.chat"] != 1 || calls["model.grader"] != grades {
			t.Errorf("row %d of %s, %q: the requests are %v, want %d to the grader", row, values.Subject, values.Text, calls, grades)
		}
	}
	for row := range 2 {
		asked := lineageOf(t, dir, "evaluate.sorted.rows", row)
		if len(asked.Requests) != 2 || asked.Requests[0].Digest == asked.Requests[1].Digest || !asked.Requests[1].Cached {
			t.Errorf("the requests of a classification are %+v", asked.Requests)
		}
		for _, q := range asked.Requests {
			all[q.Digest] = true
		}
	}
	if int64(len(all)) != made {
		t.Errorf("the rows name %d requests, but %d were made", len(all), made)
	}

	said := quernIn(t, dir, "lineage", "-calls", "-row=0", "evaluate.graded.rows")
	if strings.Count(said, "├─ request sha256:")+strings.Count(said, "└─ request sha256:") < 3 || !strings.Contains(said, "draw 1") {
		t.Errorf("the text is\n%s", said)
	}
	// The configuration is not needed, and neither are the answers.
	for _, path := range []string{"main.quern.hcl", filepath.Join(".quern", "responses")} {
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	left := lineageOf(t, dir, "evaluate.graded.rows", 0)
	if len(left.Requests) == 0 || left.Requests[0].Cached || left.Requests[0].Cost == nil || left.Requests[0].Usage.Input == 0 {
		t.Errorf("without the answers, the requests are %+v", left.Requests)
	}
}
