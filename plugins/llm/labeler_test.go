package llm

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "llm", Version: "1.0.0", Types: Types()}

// asks returns a prompt that consists of the column text.
func asks(row map[string]any) *llm.Request {
	text, ok := row["text"].(string)
	if !ok {
		return nil
	}
	return &llm.Request{Messages: []llm.Message{
		{Role: llm.System, Content: "You sort mail."}, {Role: llm.User, Content: text},
	}}
}

func texts(all ...any) []map[string]any {
	rows := make([]map[string]any, len(all))
	for i, text := range all {
		rows[i] = map[string]any{"text": text}
	}
	return rows
}

func label(t *testing.T, rows []map[string]any, given map[string]any) *plugintest.MapResult {
	t.Helper()
	got, err := plugintest.Map(t, offer, plugintest.Case{Type: "llm", Name: "topic", Args: given, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestARowGetsTheClassThatTheModelNames(t *testing.T) {
	var mu sync.Mutex
	var seen *llm.Request
	model := plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		seen = r
		for _, class := range []string{"card", "rate"} {
			if strings.Contains(r.Messages[len(r.Messages)-1].Content, class) {
				return &llm.Response{Text: "```json\n{\"label\": \"" + class + "\"}\n```"}, nil
			}
		}
		return &llm.Response{Text: `{"label": null}`}, nil
	}}
	got := label(t, texts("my card", "the rate", "hello", nil), map[string]any{
		"model": model, "prompt": plugintest.Prompt(asks), "abstain": true, "guidelines": "Look at what is asked for.",
		"classes": map[string]any{"card": "about cards", "rate": nil},
	})
	if labels := fmt.Sprint(got.Column("topic")); labels != "[card rate <nil> <nil>]" {
		t.Errorf("labels: %s, failures: %v", labels, got.Failures)
	}
	if names := strings.Join(got.Columns.Names(), " "); names != "text topic" {
		t.Errorf("columns: %s", names)
	}
	system := seen.Messages[0].Content
	for _, part := range []string{"You sort mail.", "Look at what is asked for.", "- card: about cards\n- rate\n"} {
		if !strings.Contains(system, part) {
			t.Errorf("the instructions lack %q: %s", part, system)
		}
	}
	if !strings.Contains(string(seen.Output.Schema), `"enum":["card","rate",null]`) {
		t.Errorf("schema: %s", seen.Output.Schema)
	}
}

func TestAnInvalidLabelIsRequestedOnceMoreAndThenFailsTheRow(t *testing.T) {
	model := plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		again := len(r.Messages) > 2
		if again && !strings.Contains(r.Messages[len(r.Messages)-1].Content, `"cards" is none of the labels, which are card, rate`) {
			return nil, fmt.Errorf("the second question does not say what is wrong: %v", r.Messages)
		}
		switch {
		case r.Messages[1].Content == "declines":
			return &llm.Response{Refusal: "I must not.", FinishReason: llm.FinishRefusal}, nil
		case r.Messages[1].Content == "unreached":
			return nil, &llm.CallError{Message: "bad gateway", Status: 502, Temporary: true}
		case again && r.Messages[1].Content == "recovers":
			return &llm.Response{Text: `{"label": "card"}`}, nil
		}
		return &llm.Response{Text: `{"label": "cards"}`}, nil
	}}
	got := label(t, texts("recovers", "stays", "declines", "unreached"), map[string]any{
		"model": model, "text": plugintest.Row("text"), "classes": []string{"card", "rate"},
	})
	if labels := fmt.Sprint(got.Column("topic")); labels != "[card <nil> <nil> <nil>]" {
		t.Errorf("labels: %s", labels)
	}
	want := plugintest.Failures{
		1: `the answer can't be used: "cards" is none of the labels, which are card, rate. It was: {"label": "cards"}`,
		2: "the model declined to answer: I must not.",
		3: "status 502: bad gateway",
	}
	if !reflect.DeepEqual(got.Failures, want) {
		t.Errorf("failures: %v", got.Failures)
	}
}

func TestTheStageFailsIfTheRunIsStopped(t *testing.T) {
	model := plugintest.FakeModel{Chat: func(*llm.Request, int) (*llm.Response, error) { return nil, errors.New("the budget is spent") }}
	_, err := plugintest.Map(t, offer, plugintest.Case{Type: "llm", Rows: texts("a"), Args: map[string]any{
		"model": model, "text": plugintest.Row("text"),
	}})
	if err == nil || !strings.Contains(err.Error(), "the budget is spent") {
		t.Errorf("error: %v", err)
	}
}

// saying answers each draw of a row with the next of the answers that the row's
// text lists, separated by |.
func saying() plugintest.FakeModel {
	return plugintest.FakeModel{Chat: func(r *llm.Request, draw int) (*llm.Response, error) {
		for _, m := range r.Messages {
			if m.Role == llm.User {
				answers := strings.Split(m.Content, "|")
				return &llm.Response{Text: answers[draw%len(answers)]}, nil
			}
		}
		return nil, errors.New("nothing was asked")
	}}
}

func TestSeveralDrawsVoteAndTheirAgreementIsTheConfidence(t *testing.T) {
	got := label(t, texts("card|card|rate", "card|Rate.|none", "rate|card|weather", "junk|junk|junk"), map[string]any{
		"model": saying(), "text": plugintest.Row("text"), "classes": []string{"card", "rate"}, "samples": 3, "answer": "text", "abstain": true,
	})
	if labels := fmt.Sprint(got.Column("topic")); labels != "[card card rate <nil>]" {
		t.Errorf("labels: %s", labels)
	}
	if confidence := fmt.Sprintf("%.2f %.2f %.2f", got.Column("topic_confidence")[:3]...); confidence != "0.67 0.33 0.33" {
		t.Errorf("confidence: %s", confidence)
	}
	if len(got.Failures) != 1 || !strings.Contains(got.Failures[3], `"junk" is none of the labels`) {
		t.Errorf("failures: %v", got.Failures)
	}
}

func TestARowMayHaveSeveralClasses(t *testing.T) {
	got := label(t, texts(`{"labels": ["rate", "card"]}`, `{"labels": []}`, `{"labels": ["mood"]}`), map[string]any{
		"model": saying(), "text": plugintest.Row("text"), "classes": []string{"card", "rate"}, "multiple": true,
	})
	if labels := fmt.Sprintf("%s", got.Column("topic")); labels != `[["card","rate"] [] <nil>]` {
		t.Errorf("labels: %s", labels)
	}
	if c, _, _ := got.Columns.Lookup("topic"); c.Type != "list<string>" {
		t.Errorf("type: %s", c.Type)
	}
}

func TestTextAnswersDistinguishNoneFromUnknown(t *testing.T) {
	got := label(t, texts("None.", "unknown", `"rate", U.S.`, ""), map[string]any{
		"model": saying(), "text": plugintest.Row("text"), "classes": []string{"U.S.", "rate"}, "multiple": true, "abstain": true, "answer": "text",
	})
	if labels := fmt.Sprintf("%s", got.Column("topic")); labels != `[[] <nil> ["U.S.","rate"] <nil>]` || len(got.Failures) != 1 {
		t.Errorf("labels: %s, failures: %v", labels, got.Failures)
	}
}

func TestDeclinedFreeTextIsNoFailureWithAbstain(t *testing.T) {
	declines := plugintest.FakeModel{Chat: func(*llm.Request, int) (*llm.Response, error) {
		return &llm.Response{Refusal: "I must not.", FinishReason: llm.FinishRefusal}, nil
	}}
	for abstain, failures := range map[bool]int{false: 1, true: 0} {
		got := label(t, texts("x"), map[string]any{"model": declines, "text": plugintest.Row("text"), "abstain": abstain})
		if len(got.Failures) != failures || got.Column("topic")[0] != nil {
			t.Errorf("abstain = %t: %v, failures: %v", abstain, got.Column("topic"), got.Failures)
		}
	}
}

func TestAScoreIsTheMedianOfTheDrawsAndInRange(t *testing.T) {
	got := label(t, texts(`{"score": 4}|{"score": 5}|{"score": 4.0}`, `{"score": 9}`), map[string]any{
		"model": saying(), "text": plugintest.Row("text"), "range": []float64{1, 5}, "samples": 3,
	})
	if fmt.Sprint(got.Column("topic")) != "[4 <nil>]" || fmt.Sprint(got.Column("topic_confidence")[0]) != "0.6666666666666666" {
		t.Errorf("scores: %v, confidence: %v", got.Column("topic"), got.Column("topic_confidence"))
	}
	if !strings.Contains(got.Failures[1], "9 is not from 1 to 5") {
		t.Errorf("failures: %v", got.Failures)
	}
}

func TestASchemaGivesTypedColumns(t *testing.T) {
	schema := `{"type": "object", "required": ["sum", "lines"], "properties": {
		"sum": {"type": "number"}, "count": {"type": ["integer", "null"]}, "paid": {"type": "boolean"},
		"lines": {"type": "array", "items": {"type": "object", "properties": {"what": {"type": "string"}, "price": {"type": "number"}}}},
		"any": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}`
	got := label(t, texts(`{"sum": 3, "count": 2.0, "lines": [{"what": "tea", "price": 1.5}], "any": 7}`, `{"sum": "3", "lines": []}`), map[string]any{
		"model": saying(), "text": plugintest.Row("text"), "schema": schema,
	})
	var types []string
	for _, c := range got.Columns {
		types = append(types, c.Name+" "+c.Type)
	}
	if want := "text string, topic_any string, topic_count int64, topic_lines list<struct<price:float64,what:string>>, topic_paid bool, topic_sum float64"; strings.Join(types, ", ") != want {
		t.Errorf("columns: %s", strings.Join(types, ", "))
	}
	first := got.Rows[0]
	if line := fmt.Sprint(first["topic_sum"], first["topic_count"], first["topic_paid"], first["topic_any"]); line != "3 2 <nil>7" {
		t.Errorf("values: %s", line)
	}
	if lines := fmt.Sprintf("%s", first["topic_lines"]); lines != `[{"price":1.5,"what":"tea"}]` {
		t.Errorf("lines: %s", lines)
	}
	if !strings.Contains(got.Failures[1], "it does not fit the schema: at '/sum': got string, want number") {
		t.Errorf("failures: %v", got.Failures)
	}
}

func TestAChoiceThatDependsOnTheOrderIsATie(t *testing.T) {
	model := plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		text := r.Messages[len(r.Messages)-1].Content
		first := text[strings.Index(text, "Answer 1:\n")+len("Answer 1:\n"):]
		switch {
		case strings.HasPrefix(first, "good"):
			return &llm.Response{Text: `{"preferred": "1"}`}, nil
		case strings.HasPrefix(first, "bad"):
			return &llm.Response{Text: `{"preferred": "2"}`}, nil
		}
		return &llm.Response{Text: `{"preferred": "1"}`}, nil
	}}
	rows := []map[string]any{
		{"text": "q", "a": "good", "b": "bad"}, {"text": "q", "a": "bad", "b": "good"}, {"text": "q", "a": "so", "b": "la"}, {"text": "q", "a": nil, "b": "bad"},
	}
	got := label(t, rows, map[string]any{
		"model": model, "text": plugintest.Row("text"),
		"pairwise": map[string]any{"old": plugintest.Row("a"), "new": plugintest.Row("b")},
	})
	if labels := fmt.Sprint(got.Column("topic"), got.Column("topic_confidence")); labels != "[old new tie <nil>] [1 1 0 <nil>]" {
		t.Errorf("labels: %s, failures: %v", labels, got.Failures)
	}
}

func TestExamplesComeFromADatasetButNeverIncludeTheRowItself(t *testing.T) {
	model := plugintest.FakeModel{
		// The texts of the examples, in order.
		Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
			var shown []string
			for _, m := range r.Messages {
				if m.Role == llm.Assistant {
					shown = append(shown, m.Content)
				}
			}
			return &llm.Response{Text: strings.Join(append(shown, "."), " ")}, nil
		},
		Embed: func(text string) ([]float32, error) { return []float32{1, float32(len(text))}, nil },
	}
	examples := plugintest.Dataset{Rows: []map[string]any{
		{"user": "1", "assistant": "one"}, {"user": "4444", "assistant": "four"}, {"user": "22", "assistant": "two"}, {"user": nil, "assistant": "none"},
	}}
	for _, c := range []struct {
		select_, want string
	}{
		{"first", "[one four . four two . one four .]"},
		{"nearest", "[two one . four two . two four .]"},
		// The examples are the same for all rows, except that a row is never
		// its own example.
		{"random", "[one two . two four . one two .]"},
	} {
		got := label(t, texts("2", "1", "99999999"), map[string]any{
			"model": model, "prompt": plugintest.PromptWithExamples{Prompt: asks, Examples: examples, Count: 2, Select: c.select_, Model: model},
		})
		if labels := fmt.Sprint(got.Column("topic")); labels != c.want {
			t.Errorf("%s: %s, failures %v", c.select_, labels, got.Failures)
		}
	}
}

func TestMistakesInTheArgumentsAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		args map[string]any
		want string
	}{
		"two forms":          {map[string]any{"classes": []string{"a", "b"}, "range": []float64{0, 1}}, "classes and range cannot be combined"},
		"one class":          {map[string]any{"classes": []string{"a"}}, "too few classes"},
		"a class twice":      {map[string]any{"classes": []string{"a", "a"}}, `"a" is listed twice`},
		"a class none":       {map[string]any{"classes": []string{"a", "None"}, "answer": "text", "abstain": true}, `"None" is ambiguous`},
		"a class of two":     {map[string]any{"classes": []string{"a, b", "c"}, "answer": "text", "multiple": true}, `"a, b" is ambiguous`},
		"reasons for text":   {map[string]any{"explain": true}, "does not work with free text"},
		"an empty range":     {map[string]any{"range": []float64{2, 1}}, "Invalid range"},
		"a schema of a list": {map[string]any{"schema": `{"type": "array"}`}, `must be "object"`},
		"an unknown schema":  {map[string]any{"schema": plugintest.Unknown{}}, "known at plan time"},
		"a schema elsewhere": {map[string]any{"schema": `{"type": "object", "properties": {"a": {"$ref": "http://x/y"}}}`}, "put all definitions into this schema"},
		"multiple alone":     {map[string]any{"multiple": true}, "needs classes"},
		"no samples":         {map[string]any{"samples": 0}, "out of range"},
		"a prompt and text":  {map[string]any{"prompt": plugintest.Prompt(asks)}, "Give either prompt or text"},
		"a mute model":       {map[string]any{"model": plugintest.FakeModel{Embed: func(string) ([]float32, error) { return nil, nil }}}, "cannot chat"},
	} {
		given := map[string]any{"model": saying(), "text": plugintest.Row("text")}
		for k, v := range c.args {
			given[k] = v
		}
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "llm", Rows: texts("a"), Args: given})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
			t.Errorf("%s: %v", name, got.Errors)
		}
	}
}
