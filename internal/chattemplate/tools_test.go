package chattemplate

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// renderedTools is what testdata/tools.py has written.
type renderedTools struct {
	Name, Template string
	Messages       []struct {
		Role    string
		Content *string
		Name    string
		CallID  string `json:"tool_call_id"`
		Calls   []struct {
			ID       string
			Function struct {
				Name      string
				Arguments json.RawMessage
			}
		} `json:"tool_calls"`
	}
	Tools       json.RawMessage
	Reply       bool
	Text, Error string
}

func (r *renderedTools) conversation() (c Conversation) {
	for _, m := range r.Messages {
		message := Message{Role: m.Role, NoContent: m.Content == nil, CallID: m.CallID, Name: m.Name}
		if m.Content != nil {
			message.Content = *m.Content
		}
		for _, call := range m.Calls {
			message.Calls = append(message.Calls, Call{call.ID, call.Function.Name, call.Function.Arguments})
		}
		c.Messages = append(c.Messages, message)
	}
	if string(r.Tools) != "null" {
		c.Tools = r.Tools
	}
	return c
}

// A text is that of transformers, byte by byte, or the conversation is refused: a
// template that ignores a call or a tool would lose it silently.
func TestTextsWithToolsAreThoseOfTransformers(t *testing.T) {
	f, err := os.Open("testdata/tools.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []renderedTools
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	equal, refused := map[string]int{}, 0
	for i, want := range all {
		conversation := fmt.Sprintf("%s, conversation %d", want.Name, i/2%6)
		template, err := Parse(want.Template, Settings{BOS: "<s>", EOS: "</s>", Date: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		got, err := template.Render(want.conversation(), want.Reply)
		switch {
		case err != nil && want.Error == "" && !strings.Contains(err.Error(), "the template leaves out the"):
			t.Errorf("%s: got %v, want %q", conversation, err, want.Text)
		case err != nil:
			refused++
		case want.Error != "":
			t.Errorf("%s: got %q, want the error %s", conversation, got, want.Error)
		case got != want.Text:
			t.Errorf("%s: got\n%q, want\n%q", conversation, got, want.Text)
		default:
			equal[want.Name]++
		}
	}
	t.Logf("%v texts are equal, %d refused", equal, refused)
	for _, name := range []string{"llama3_1", "llama3_2", "qwen2_5", "qwen3", "glm4moe", "gptoss", "lfm2", "lfm2_v2", "gemma4"} {
		if equal[name] < 10 {
			t.Errorf("only %d of 12 texts of %s are equal", equal[name], name)
		}
	}
}

// The texts are those of json.dumps of Python 3.11.
func TestFloatsAreWrittenAsPythonDoes(t *testing.T) {
	for f, want := range map[float64]string{
		1: "1.0", -0.5: "-0.5", 1e15: "1000000000000000.0", 1e16: "1e+16", 1.5e300: "1.5e+300", 0.0001: "0.0001", 0.00001: "1e-05", 0.1: "0.1",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity", math.NaN(): "NaN",
	} {
		if got := floatText(f); got != want {
			t.Errorf("%g is written as %s, want %s", f, got, want)
		}
	}
}
