package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/tokens"
)

// talker is an endpoint whose answers vary in length. It bills the tokens of a
// tokenizer that the planner does not know.
type talker struct {
	*httptest.Server
	mean float64 // words in an answer
}

func newTalker(t *testing.T) *talker {
	m := &talker{mean: 30}
	m.Server = httptest.NewServer(http.HandlerFunc(m.answer))
	t.Cleanup(m.Close)
	return m
}

func (m *talker) answer(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Messages []struct{ Role, Content string }
		Format   *struct{} `json:"response_format"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var asked strings.Builder
	for _, message := range request.Messages {
		fmt.Fprintf(&asked, "<|%s|>%s<|end|>", message.Role, message.Content)
	}
	text := m.words(asked.String())
	if request.Format != nil {
		text = `{"label": "other"}`
	}
	count := tokens.For("o200k_base")
	answer := map[string]any{
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]string{"role": "assistant", "content": text}}},
		"usage":   map[string]int64{"prompt_tokens": count.Text(asked.String()), "completion_tokens": count.Text(text)},
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// words returns an answer whose length depends on the request: most are short, and a
// few are very long.
func (m *talker) words(asked string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(asked))
	random := rand.New(rand.NewPCG(h.Sum64(), 1))
	words := strings.Fields("the transfer card was declined because a payment is pending and support will refund your account within days")
	var out []string
	for range 1 + int(m.mean*math.Exp(0.8*random.NormFloat64()-0.32)) {
		out = append(out, words[random.IntN(len(words))])
	}
	return strings.Join(out, " ")
}

// costsPipeline has a stage whose answers have a restricted form, and one whose
// answers are free.
const costsPipeline = `
source "csv" "rows" {
  path = "rows.csv"
}

transform "filter" "chosen" {
  input = source.rows
  where = %[4]s
}

model "openai" "m" {
  base_url        = %[1]q
  name            = "talker"
  max_tokens      = 400
  max_concurrency = 4
  cache           = %[5]t
  price {
    input  = 1
    output = 4
  }
}

prompt "answer" {
  system = %[2]q
  user   = %[3]q
}

label "llm" "topic" {
  input   = transform.chosen
  model   = model.m
  text    = row.text
  classes = ["card", "transfer", "other"]
}

evaluate "prompt" "answers" {
  dataset  = transform.chosen
  subjects = { short = { model = model.m, prompt = prompt.answer } }
  metrics  = { words = length(split(" ", output.text)) }
}
`

// exampleTexts returns a column of a file of an example.
func exampleTexts(t *testing.T, path string, column int) (all []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[1:] {
		all = append(all, r[column])
	}
	return all
}

// costsCase is a pipeline and the runs of it.
type costsCase struct {
	name         string
	texts        []string
	system, user string
	where        string
	cache        bool
	// runs are the numbers of rows of the source, and whether the prompt and the
	// length of answers change before the run.
	runs []costsRun
}

type costsRun struct {
	rows   int
	prompt string
	mean   float64
}

func costsCases(t *testing.T) []costsCase {
	banking := exampleTexts(t, "../../examples/banking77/data/train.csv", 0)
	support := exampleTexts(t, "../../examples/support-triage/data/messages.csv", 1)
	all, some := "length(row.text) > 0", "length(row.text) > 50"
	return []costsCase{
		{"banking", banking, "You answer customers of a bank.", "Answer: ${row.text}", all, true, []costsRun{{40, "", 30}, {100, "", 30}, {140, " Be kind.", 30}, {141, "", 30}}},
		{"support", support, "You are brief.", "${row.text}", some, false, []costsRun{{60, "", 12}, {120, "", 12}, {120, " Be exact.", 20}, {125, "", 20}}},
		{"repeated", append(append([]string{}, banking[:50]...), banking[:50]...), "Summarize.", "In one sentence: ${row.text}", all, true, []costsRun{{100, "", 20}, {100, " Now.", 40}}},
		{"long", joined(banking, 25), "Summarize the messages below.", "Messages:\n${row.text}", all, false, []costsRun{{20, "", 60}, {60, "", 60}, {61, "", 60}, {61, " In German.", 30}}},
		{"few", support, "You answer in full sentences.", "Reply to: ${row.text}", all, false, []costsRun{{1, "", 30}, {2, "", 30}, {12, "", 30}}},
		{"filtered", banking[200:], "Explain.", "Why: ${row.text}", some, false, []costsRun{{200, "", 25}, {260, "", 25}, {260, " Step by step.", 90}}},
	}
}

// joined returns texts that consist of several.
func joined(of []string, n int) (all []string) {
	for i := 0; i+n <= len(of); i += n {
		all = append(all, strings.Join(of[i:i+n], "\n"))
	}
	return all
}

// TestActualCostsAreInTheRangesOfEstimates records 20 runs of different pipelines and
// compares their estimates with what they took.
func TestActualCostsAreInTheRangesOfEstimates(t *testing.T) {
	runs, within, bounded := 0, 0, 0
	for _, c := range costsCases(t) {
		dir := t.TempDir()
		m := newTalker(t)
		for _, r := range c.runs {
			m.mean = r.mean
			writeCosts(t, dir, c, r, m.URL+"/v1")
			quernIn(t, dir, "apply", "-auto-approve")
		}
		var log struct{ Runs []inspect.RunCosts }
		if err := json.Unmarshal([]byte(quernIn(t, dir, "log", "-costs", "-json")), &log); err != nil {
			t.Fatal(err)
		}
		for _, r := range log.Runs {
			runs++
			estimate := r.Money.Estimate
			if r.Money.Within == nil || estimate.High == nil {
				t.Errorf("%s: a run has no estimate: %+v", c.name, r.Money)
				continue
			}
			if *r.Money.Within {
				within++
			}
			if estimate.Low > 0 {
				bounded++
			}
			t.Logf("%-8s %4.0f calls, %s: %.6f in %.6f to %.6f: %v", c.name, *r.Calls.Actual, r.Status, *r.Money.Actual, estimate.Low, *estimate.High, *r.Money.Within)
		}
	}
	t.Logf("%d of %d runs are in their ranges, of which %d exclude 0", within, runs, bounded)
	if runs != 20 || within < 18 || bounded < 10 {
		t.Errorf("the cost of %d of %d runs was in the range of the estimate; %d ranges exclude 0", within, runs, bounded)
	}
}

// writeCosts writes the pipeline and its data for a run.
func writeCosts(t *testing.T, dir string, c costsCase, r costsRun, endpoint string) {
	t.Helper()
	var rows strings.Builder
	w := csv.NewWriter(&rows)
	_ = w.Write([]string{"text"})
	for _, text := range c.texts[:r.rows] {
		_ = w.Write([]string{text})
	}
	w.Flush()
	config := fmt.Sprintf(costsPipeline, endpoint, c.system+r.prompt, c.user, c.where, c.cache)
	for name, content := range map[string]string{"rows.csv": rows.String(), "main.quern.hcl": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
