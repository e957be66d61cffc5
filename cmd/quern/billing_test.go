package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tiktoken-go/tokenizer"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// bill is what an endpoint bills, counted as OpenAI says it counts
// (developers.openai.com/cookbook, How to count tokens with tiktoken): three
// tokens for each message, those of its role and content, and three before the
// answer. Schemas of answers are billed, too. OpenAI does not say how, so they
// are counted as text.
type bill struct {
	input, output, calls atomic.Int64
	// answer returns the text of an answer.
	answer func(*openaitest.Request) string
}

func (b *bill) Answer(r *openaitest.Request) *llm.Response {
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		panic(err)
	}
	count := func(text string) int64 {
		n, err := codec.Count(text)
		if err != nil {
			panic(err)
		}
		return int64(n)
	}
	in := int64(3)
	for _, m := range r.Messages {
		in += 3 + count(m.Role) + count(m.Content)
	}
	if r.Schema != nil {
		text, err := json.Marshal(r.Schema)
		if err != nil {
			panic(err)
		}
		in += count(string(text))
	}
	text := b.answer(r)
	out := count(text)
	b.input.Add(in)
	b.output.Add(out)
	b.calls.Add(1)
	return &llm.Response{Text: text, Usage: llm.Usage{Input: in, Output: out}}
}

// estimated is a plan's estimate for a stage.
type estimated struct {
	Calls        int64    `json:"calls"`
	InputTokens  int64    `json:"input_tokens"`
	OutputTokens int64    `json:"output_tokens"`
	Money        float64  `json:"money"`
	OutputAtMost bool     `json:"output_at_most"`
	CostUnknown  bool     `json:"cost_unknown"`
	CallsAtMost  bool     `json:"calls_at_most"`
	NewRows      int64    `json:"new_rows"`
	Seconds      *float64 `json:"seconds"`
}

func estimateOf(t *testing.T, dir, address string) estimated {
	t.Helper()
	var p struct {
		Nodes []struct {
			Address  string    `json:"address"`
			Estimate estimated `json:"estimate"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(quernIn(t, dir, "plan", "-json")), &p); err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Nodes {
		if n.Address == address {
			return n.Estimate
		}
	}
	t.Fatalf("the plan has no %s", address)
	return estimated{}
}

// letters returns rows whose texts become longer, so the first ones say little
// about the rest.
func letters(rows int) string {
	var b strings.Builder
	b.WriteString("text,label\n")
	for i := range rows {
		fmt.Fprintf(&b, "%q,%s\n", fmt.Sprintf("Letter %d: %s", i, strings.Repeat("my card has not arrived yet; ", i/40)), []string{"card", "rate"}[i%2])
	}
	return b.String()
}

const billed = `
source "csv" "letters" {
  path = "letters.csv"
}

source "csv" "solved" {
  path = "solved.csv"
}

model "openai" "m" {
  name     = "gpt-4.1-mini"
  base_url = %[1]q
  price {
    input  = 2
    output = 8
  }
}
`

const labeled = billed + `
prompt "sort" {
  user = "Sort this letter. ${row.text}"
  examples {
    dataset   = source.solved
    user      = row.text
    assistant = row.label
    count     = 4
    select    = "random"
    seed      = 1
  }
}

label "llm" "kind" {
  input      = source.letters
  model      = model.m
  prompt     = prompt.sort
  guidelines = "Labels are of banks' letters."
  classes    = { card = "about a card", rate = "about a rate of exchange" }
}
`

const judged = billed + `
prompt "short" {
  system = "Answer in a word."
  user   = row.text
}

prompt "long" {
  system = "Answer in a word, politely, and think about what the writer of the letter wants before you do."
  user   = "A letter: ${row.text}"
}

evaluate "prompt" "answers" {
  dataset = source.letters
  subjects = {
    short = { model = model.m, prompt = prompt.short }
    long  = { model = model.m, prompt = prompt.long }
  }
  metrics = { exact = output.text == row.label }
  judge "right" {
    model    = model.m
    kind     = "closed_qa"
    rubric   = "The answer is a word."
    expected = row.label
  }
  repeats = 2
}
`

// wantNear checks that got is within 10% of what is billed.
func wantNear(t *testing.T, what string, got, billed int64) {
	t.Helper()
	t.Logf("%s: the plan says %d, billed are %d (%+.1f %%)", what, got, billed, 100*(float64(got)/float64(billed)-1))
	if math.Abs(float64(got-billed)) > 0.1*float64(billed) {
		t.Errorf("%s: the plan says %d, and %d are billed", what, got, billed)
	}
}

func TestThePlanEstimatesWhatIsBilledForLabels(t *testing.T) {
	b := &bill{answer: func(*openaitest.Request) string { return `{"label":"card"}` }}
	e := openaitest.Serve(t, openaitest.Options{Answer: b.Answer})
	dir := folder(t, map[string]string{
		"letters.csv": letters(1000), "solved.csv": letters(300), "main.quern.hcl": fmt.Sprintf(labeled, e.URL()),
	})
	before := estimateOf(t, dir, "label.kind")
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.letters", "-target=source.solved")
	got := estimateOf(t, dir, "label.kind")
	quernIn(t, dir, "apply", "-auto-approve")
	if got.Calls != 1000 || b.calls.Load() != 1000 {
		t.Errorf("calls: %d planned, %d made", got.Calls, b.calls.Load())
	}
	wantNear(t, "tokens in", got.InputTokens, b.input.Load())
	if before.Calls != 1000 {
		t.Errorf("calls: %d planned before the source was read", before.Calls)
	}
	wantNear(t, "tokens in, before the source was read", before.InputTokens, b.input.Load())
	if got.OutputAtMost || got.OutputTokens < b.output.Load() || got.OutputTokens > 2*b.output.Load() {
		t.Errorf("tokens out: about %d planned (at most: %v), %d billed", got.OutputTokens, got.OutputAtMost, b.output.Load())
	}
	if money := float64(got.InputTokens)*2e-6 + float64(got.OutputTokens)*8e-6; math.Abs(money-got.Money) > 1e-9 {
		t.Errorf("costs %g, not %g", got.Money, money)
	}
}

func TestThePlanEstimatesWhatIsBilledForAnEvaluation(t *testing.T) {
	b := &bill{answer: func(r *openaitest.Request) string {
		if r.Schema != nil {
			return `{"because":"It is one word.","choice":"yes"}`
		}
		return fmt.Sprint("card ", r.Nth) // a different answer each time
	}}
	e := openaitest.Serve(t, openaitest.Options{Answer: b.Answer})
	dir := folder(t, map[string]string{
		"letters.csv": letters(400), "solved.csv": letters(2), "main.quern.hcl": fmt.Sprintf(judged, e.URL()),
	})
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.letters", "-target=source.solved")
	got := estimateOf(t, dir, "evaluate.answers")
	if got.Calls != 3200 || got.OutputTokens != 0 || !got.CostUnknown {
		t.Errorf("before it was run: %+v", got)
	}
	quernIn(t, dir, "apply", "-auto-approve")
	if b.calls.Load() != 3200 {
		t.Errorf("%d calls were made", b.calls.Load())
	}
	wantNear(t, "tokens in", got.InputTokens, b.input.Load())

	// The plan assumes that the answers are as long as last time.
	text, err := os.ReadFile(filepath.Join(dir, "main.quern.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "Answer in a word.\"", "Answer in one word.\"", 1)
	if err := os.WriteFile(filepath.Join(dir, "main.quern.hcl"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	again := estimateOf(t, dir, "evaluate.answers")
	if again.CostUnknown || again.OutputAtMost || again.OutputTokens == 0 {
		t.Errorf("after it was run: %+v", again)
	}
}
