package perplexity

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func types() plugin.Plugin { return plugin.Plugin{Name: "test", Version: "1.0.0", Types: Types()} }

// likelihood is what the test's models give a token: more to short ones.
func likelihood(token string, shift float64) float64 {
	return -0.3*float64(len(token)) - shift - 0.01*float64(token[0]%7)
}

// scoring returns a model whose tokens end where split says. With begins, it has a
// token of its own for the beginning.
func scoring(split string, shift float64, begins bool) plugintest.FakeModel {
	return plugintest.FakeModel{
		Capabilities: []string{plugin.CanScore, plugin.CanComplete},
		Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
			if !r.OnlyScores() {
				return nil, errors.New("it was asked for an answer")
			}
			if strings.Contains(r.Prompt, "refused") {
				return nil, &llm.CallError{Message: "not this one", Status: 400}
			}
			out := &llm.Response{FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 5}, Latency: 0.5}
			if begins {
				out.PromptLogProbs = append(out.PromptLogProbs, llm.PromptLogProb{})
			}
			add := func(token string, message *int) {
				t := llm.PromptLogProb{Token: token, Message: message}
				if len(out.PromptLogProbs) > 0 {
					p := likelihood(token, shift)
					t.LogProb = &p
				}
				out.PromptLogProbs = append(out.PromptLogProbs, t)
			}
			for _, token := range tokensOf(r.Prompt, split) {
				add(token, nil)
			}
			for i, m := range r.Messages {
				add("<"+m.Role+">", nil)
				for _, token := range tokensOf(m.Content, split) {
					add(token, &i)
				}
				add("<end>", &i)
			}
			return out, nil
		},
	}
}

func tokensOf(text, split string) []string {
	if text == "" {
		return nil
	}
	return strings.SplitAfter(text, split)
}

var rows = []map[string]any{
	{"id": "1", "doc": "a", "text": "the cat sat", "answer": "on the mat"},
	{"id": "2", "doc": "a", "text": "Ünïcode is counted in bytes", "answer": "yes é"},
	{"id": "3", "doc": "b", "text": "one", "answer": "two"},
	{"id": "4", "doc": "c", "text": "a b c d e f", "answer": nil},
	{"id": "5", "doc": "c", "text": "more words than any other row has here", "answer": "x y"},
}

func evaluate(t *testing.T, args map[string]any, rows []map[string]any) (*plugintest.RunResult, error) {
	t.Helper()
	return plugintest.Run(t, types(), plugintest.Case{Type: "perplexity", Args: args, Rows: rows})
}

func figure(t *testing.T, v cty.Value, path ...string) float64 {
	t.Helper()
	for _, step := range path {
		v = v.GetAttr(step)
	}
	if v.IsNull() {
		return math.NaN()
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9*max(1, math.Abs(b)) }

func TestPerplexityIsThatOfADirectComputation(t *testing.T) {
	got, err := evaluate(t, map[string]any{
		"text": plugintest.Row("text"), "id": plugintest.Row("id"), "cluster": plugintest.Row("doc"),
		"subjects": map[string]any{
			"good": scoring(" ", 0.5, true), "bad": scoring(" ", 0.7, true), "letters": scoring("", 0.5, true), "late": scoring(" ", 0.5, false),
		},
	}, rows)
	if err != nil {
		t.Fatal(err)
	}
	sum, tokens, bytes := 0.0, 0, 0
	for _, r := range rows {
		for _, token := range strings.SplitAfter(r["text"].(string), " ") {
			sum += likelihood(token, 0.5)
			tokens++
			bytes += len(token)
		}
	}
	good := got.Value.GetAttr("subjects").GetAttr("good")
	for name, want := range map[string]float64{
		"log_likelihood": sum, "scored_tokens": float64(tokens), "scored_bytes": float64(bytes), "errors": 0,
	} {
		if v := figure(t, good, name); !near(v, want) {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for name, want := range map[string]float64{
		"perplexity": math.Exp(-sum / float64(tokens)), "log_perplexity": -sum / float64(tokens), "bits_per_byte": -sum / math.Ln2 / float64(bytes),
	} {
		v, low, high := figure(t, good, name, "value"), figure(t, good, name, "low"), figure(t, good, name, "high")
		if !near(v, want) || !(low < v && v < high) || figure(t, good, name, "n") != 5 {
			t.Errorf("%s is %v [%v, %v], want %v", name, v, low, high, want)
		}
	}
	d := got.Value.GetAttr("differences")
	words := d.GetAttr("good - bad")
	if v := figure(t, words, "log_perplexity", "value"); !near(v, -0.2) {
		t.Errorf("the difference is %v, want -0.2", v)
	}
	if v := figure(t, words, "bits_per_byte", "value"); !near(v, -0.2*float64(tokens)/float64(bytes)/math.Ln2) {
		t.Errorf("the difference in bits is %v", v)
	}
	if v := figure(t, d.GetAttr("good - letters"), "log_perplexity", "value"); !math.IsNaN(v) {
		t.Errorf("perplexities of different tokenizers differ by %v", v)
	}
	if v := figure(t, d.GetAttr("good - letters"), "bits_per_byte", "value"); math.IsNaN(v) {
		t.Error("bits per byte of different tokenizers are not compared")
	}
	if v := figure(t, d.GetAttr("good - late"), "bits_per_byte", "value"); !math.IsNaN(v) {
		t.Errorf("bits of different parts of the texts differ by %v", v)
	}
	if best := got.Value.GetAttr("best").GetAttr("bits_per_byte").AsString(); best == "bad" || best == "letters" {
		t.Errorf("the best is %s", best)
	}
	notes := readNotes(t, got.Folders[""])
	for _, want := range []string{`The log_perplexity of "good" and "letters" cannot be compared: they divide the texts into different tokens`, `The bits_per_byte of "good" and "late" cannot be compared`} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes %s do not say %q", notes, want)
		}
	}
}

func readNotes(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var found findings
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return strings.Join(found.Notes, "\n")
}

func TestOnlyTheTokensOfTheTargetCount(t *testing.T) {
	got, err := evaluate(t, map[string]any{
		"text": plugintest.Row("text"), "target": plugintest.Row("answer"),
		"subjects": map[string]any{"words": scoring(" ", 0.5, false)},
	}, rows)
	if err != nil {
		t.Fatal(err)
	}
	words := got.Value.GetAttr("subjects").GetAttr("words")
	// The first token of an answer begins in the text, so it does not count.
	if n := figure(t, words, "scored_tokens"); n != 2+1+0+1 {
		t.Errorf("%v tokens count", n)
	}
	if n := figure(t, words, "scored_bytes"); int(n) != len("the mat")+len("é")+len("y") {
		t.Errorf("%v bytes count", n)
	}
	if v := figure(t, words, "log_likelihood"); !near(v, likelihood("the ", 0.5)+likelihood("mat", 0.5)+likelihood("é", 0.5)+likelihood("y", 0.5)) {
		t.Errorf("the log-likelihood is %v", v)
	}
}

func TestOnlyTheAnswerOfAChatCounts(t *testing.T) {
	got, err := evaluate(t, map[string]any{
		"prompt": plugintest.Prompt(func(row map[string]any) *llm.Request {
			return &llm.Request{Messages: []llm.Message{{Role: llm.System, Content: "Be short."}, {Role: llm.User, Content: row["text"].(string)}}}
		}),
		"target": plugintest.Row("answer"), "subjects": map[string]any{"words": scoring(" ", 0.5, false)},
	}, rows)
	if err != nil {
		t.Fatal(err)
	}
	words := got.Value.GetAttr("subjects").GetAttr("words")
	want := 4 * likelihood("<end>", 0.5)
	for _, token := range []string{"on ", "the ", "mat", "yes ", "é", "two", "x ", "y"} {
		want += likelihood(token, 0.5)
	}
	if n := figure(t, words, "scored_tokens"); n != 8+4 {
		t.Errorf("%v tokens count", n)
	}
	if v := figure(t, words, "log_likelihood"); !near(v, want) {
		t.Errorf("the log-likelihood is %v, want %v", v, want)
	}
	if n := figure(t, words, "scored_bytes"); int(n) != len("on the mat"+"yes é"+"two"+"x y") {
		t.Errorf("%v bytes count", n)
	}
}

func TestARowThatFailsIsLeftOutWithAWarning(t *testing.T) {
	some := append([]map[string]any{{"text": "refused"}, {"text": nil}}, rows...)
	got, err := evaluate(t, map[string]any{"text": plugintest.Row("text"), "subjects": map[string]any{"words": scoring(" ", 0.5, true)}}, some)
	if err != nil {
		t.Fatal(err)
	}
	words := got.Value.GetAttr("subjects").GetAttr("words")
	if figure(t, words, "errors") != 1 || figure(t, words, "perplexity", "n") != 5 || len(got.Failures) != 1 || got.Failures[0].Row != 0 {
		t.Errorf("got %#v, %v", words, got.Failures)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "not this one") {
		t.Errorf("the warnings are %v", got.Warnings)
	}
	_, err = evaluate(t, map[string]any{"text": plugintest.Row("text"), "subjects": map[string]any{"words": scoring(" ", 0.5, true)}}, some[:2])
	if err == nil || !strings.Contains(err.Error(), "scored none of the rows") {
		t.Errorf("got %v", err)
	}
}

func TestTokensThatAreNotTheTextAreRefused(t *testing.T) {
	model := scoring(" ", 0.5, true)
	honest := model.Chat
	model.Chat = func(r *llm.Request, draw int) (*llm.Response, error) {
		out, err := honest(r, draw)
		out.PromptLogProbs = out.PromptLogProbs[:len(out.PromptLogProbs)-1]
		return out, err
	}
	_, err := evaluate(t, map[string]any{"text": plugintest.Row("text"), "subjects": map[string]any{"words": model}}, rows[:1])
	if err == nil || !strings.Contains(err.Error(), "tokens for 8 of the 11 bytes of the text") {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeMeasuredIsRefusedWhenPlanning(t *testing.T) {
	score := scoring(" ", 0.5, true)
	chats := plugintest.FakeChat(strings.ToUpper)
	prompt := plugintest.Prompt(func(map[string]any) *llm.Request { return nil })
	scoresOnly := plugintest.FakeModel{Capabilities: []string{plugin.CanScore}}
	for want, args := range map[string]map[string]any{
		"This model cannot score texts":      {"text": plugintest.Row("text"), "subjects": map[string]any{"a": chats}},
		"This model cannot chat":             {"prompt": prompt, "target": plugintest.Row("answer"), "subjects": map[string]any{"a": scoresOnly}},
		"There is nothing to predict":        {"subjects": map[string]any{"a": score}},
		"There is no target":                 {"prompt": prompt, "subjects": map[string]any{"a": score}},
		"text and prompt cannot be combined": {"text": plugintest.Row("text"), "prompt": prompt, "target": plugintest.Row("answer"), "subjects": map[string]any{"a": score}},
		"There is nothing to evaluate":       {"text": plugintest.Row("text"), "subjects": map[string]any{}},
		"no subject \"b\"":                   {"text": plugintest.Row("text"), "baseline": "b", "subjects": map[string]any{"a": score}},
	} {
		got, err := plugintest.Prepare(t, types(), plugintest.Case{Type: "perplexity", Args: args, Rows: rows})
		if err != nil || len(got.Errors) == 0 || !strings.Contains(got.Errors[0].Text, want) {
			t.Errorf("%s: got %+v, %v", want, got, err)
		}
	}
}
