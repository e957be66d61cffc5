package llm

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMessagesInOpenAIsFormAreRead(t *testing.T) {
	for given, want := range map[string]string{
		`{"role": "user", "content": "hi"}`:                                                                                                      `{"role":"user","content":"hi"}`,
		`{"role": "assistant", "content": null}`:                                                                                                 `{"role":"assistant","content":""}`,
		`{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}`:                                            `{"role":"user","content":"ab"}`,
		`{"role": "assistant", "content": null, "refusal": "no"}`:                                                                                `{"role":"assistant","content":"no"}`,
		`{"role": "tool", "content": "4", "tool_call_id": "c", "name": null, "tool_calls": null}`:                                                `{"role":"tool","content":"4","tool_call_id":"c"}`,
		`{"role": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "f", "arguments": "{}"}]}`:                                      `{"role":"assistant","content":"","tool_calls":[{"id":"c","name":"f","arguments":"{}"}]}`,
		`{"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]}`:           `{"role":"assistant","content":"","tool_calls":[{"id":"c","name":"f","arguments":"{\"x\": 1}"}]}`,
		`{"role": "assistant", "tool_calls": [{"id": null, "name": null, "arguments": null, "function": {"name": "f", "arguments": {"x": 1}}}]}`: `{"role":"assistant","content":"","tool_calls":[{"name":"f","arguments":"{\"x\":1}"}]}`,
	} {
		var m Message
		if err := json.Unmarshal([]byte(given), &m); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		text, err := json.Marshal(m)
		if err != nil || string(text) != want {
			t.Errorf("%s is read as %s, want %s (%v)", given, text, want, err)
		}
	}
}

func TestMessagesThatRequestsCannotContainAreRefused(t *testing.T) {
	for given, want := range map[string]string{
		`{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}`: "image_url",
		`{"role": "user", "content": 3}`:                                         "not a text",
		`{"role": "user", "content": "x", "name": "bob"}`:                        `the name "bob"`,
		`{"role": "user", "content": "x", "audio": 1}`:                           "unknown field",
		`{"role": "assistant", "tool_calls": [{"id": "c"}]}`:                     "no name",
		`{"role": "assistant", "tool_calls": [{"type": "custom", "name": "f"}]}`: `type "custom"`,
	} {
		var m Message
		if err := json.Unmarshal([]byte(given), &m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}
