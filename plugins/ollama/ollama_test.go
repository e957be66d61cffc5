package ollama

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func server(t *testing.T, status int, answer string) (url string, last func() string) {
	t.Helper()
	got := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.URL.Path + " " + string(b)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() string { return got }
}

func testPlugin() plugin.Plugin {
	return plugin.Plugin{Name: "builtin", Version: "0.1.0", Types: Types()}
}

func chat(t *testing.T, url string, more map[string]any, r *llm.Request) (*llm.Response, error) {
	t.Helper()
	args := map[string]any{"name": "llama", "base_url": url}
	for k, v := range more {
		args[k] = v
	}
	return plugintest.Chat(t, testPlugin(), plugintest.Case{Kind: "model", Type: "ollama", Args: args}, r)
}

func TestAModelAnswers(t *testing.T) {
	url, last := server(t, 200, `{"model":"llama","done":true,"done_reason":"stop","message":{"role":"assistant","content":"Hi",
		"tool_calls":[{"function":{"name":"look","arguments":{"x":1}}}]},"prompt_eval_count":12,"eval_count":3}`)
	got, err := chat(t, url, map[string]any{"temperature": 0, "context": 4096}, &llm.Request{
		Messages: []llm.Message{
			{Role: llm.User, Content: "hi"},
			{Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: "a", Name: "look", Arguments: "{}"}}},
			{Role: llm.ToolRole, ToolCallID: "a", Content: "42"},
		},
		Output: &llm.Output{Schema: json.RawMessage(`{"type":"object"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &llm.Response{
		Text: "Hi", FinishReason: llm.FinishToolCalls, Model: "llama", Usage: llm.Usage{Input: 12, Output: 3},
		ToolCalls: []llm.ToolCall{{ID: "call_0", Name: "look", Arguments: `{"x":1}`}},
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v", got)
	}
	wantBody := `/api/chat {"format":{"type":"object"},"messages":[{"role":"user","content":"hi"},` +
		`{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{}}}]},{"role":"tool","content":"42","tool_name":"look"}],` +
		`"model":"llama","options":{"num_ctx":4096,"temperature":0},"stream":false}`
	if last() != wantBody {
		t.Errorf("got\n%s\nwant\n%s", last(), wantBody)
	}
}

func TestEmbeddingsAreReturned(t *testing.T) {
	url, last := server(t, 200, `{"embeddings":[[1,2],[3,4]],"prompt_eval_count":5}`)
	got, err := plugintest.Embed(t, testPlugin(), plugintest.Case{Kind: "model", Type: "ollama", Args: map[string]any{"name": "e", "base_url": url}}, "a", "b")
	if err != nil || fmt.Sprint(got.Vectors) != "[[1 2] [3 4]]" || got.InputTokens != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	if last() != `/api/embed {"input":["a","b"],"model":"e"}` {
		t.Errorf("got %s", last())
	}
}

func TestFailuresAreClassified(t *testing.T) {
	for body, want := range map[string]llm.CallError{
		`{"error":"model 'llama' not found"}`: {Status: 404, Message: "model 'llama' not found"},
		`{"error":"busy"}`:                    {Status: 503, Temporary: true, Message: "busy"},
		`{"done":`:                            {Status: 200, Temporary: true, Message: "the answer can't be read: unexpected EOF"},
		`{"done":false}`:                      {Status: 200, Temporary: true, Message: "the answer can't be read: it is not done"},
	} {
		url, _ := server(t, want.Status, body)
		_, err := chat(t, url, nil, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "x"}}})
		var got *llm.CallError
		if errors.As(err, &got) {
			got.Message = strings.TrimSuffix(got.Message, " (POST "+url+"/api/chat; check base_url)")
		}
		if got == nil || *got != want {
			t.Errorf("%s: got %#v", body, err)
		}
	}
}

func TestTheEnvironmentSetsTheServersAddress(t *testing.T) {
	for host, want := range map[string]string{
		"": "http://127.0.0.1:11434", "gpu:9000": "http://gpu:9000", "gpu": "http://gpu:11434", "https://gpu:1/x/": "https://gpu:1/x",
	} {
		t.Setenv(hostVariable, host)
		if got := (&args{}).address(); got != want {
			t.Errorf("%q: got %q", host, got)
		}
	}
	if got := (&args{BaseURL: "gpu:1"}).address(); got != "" {
		t.Errorf("got %q", got)
	}
}
