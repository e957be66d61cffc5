package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// answering serves one fixed answer and records the last request.
func answering(t *testing.T, status int, header http.Header, answer string) (url string, last func() (http.Header, map[string]any)) {
	t.Helper()
	var body map[string]any
	var sent http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, sent = nil, r.Header
		_ = json.Unmarshal(b, &body)
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() (http.Header, map[string]any) { return sent, body }
}

func chat(t *testing.T, url string, more map[string]any, r *llm.Request) (*llm.Response, error) {
	t.Helper()
	args := map[string]any{"name": "claude-test", "base_url": url, "api_key": "sk-ant-secret"}
	for k, v := range more {
		args[k] = v
	}
	return plugintest.Chat(t, Plugin("0.0.0"), plugintest.Case{Type: "anthropic", Args: args}, r)
}

const hello = `{"id":"m","type":"message","role":"assistant","model":"claude-test-1","stop_reason":"end_turn",
	"content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}],
	"usage":{"input_tokens":10,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":3}}`

func TestAModelAnswers(t *testing.T) {
	url, last := answering(t, 200, nil, hello)
	got, err := chat(t, url, map[string]any{"temperature": 0.5, "stop": []any{"END"}}, &llm.Request{
		Messages: []llm.Message{
			{Role: llm.System, Content: "Be brief."},
			{Role: llm.User, Content: "hi"},
			{Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: "c0", Name: "look", Arguments: `{"x":1}`}}},
			{Role: llm.ToolRole, Content: "42", ToolCallID: "c0"},
			{Role: llm.User, Content: "so?"},
		},
		Tools:  []llm.Tool{{Name: "look", Parameters: json.RawMessage(`{"type":"object","properties":{"x":{"type":"number"}}}`)}},
		Output: &llm.Output{Schema: json.RawMessage(`{"type":"object"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &llm.Response{Text: "Hello", FinishReason: llm.FinishStop, Model: "claude-test-1", Usage: llm.Usage{Input: 17, CachedInput: 5, Output: 3}}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v", got)
	}
	header, body := last()
	if header.Get("X-Api-Key") != "sk-ant-secret" || header.Get("Anthropic-Version") == "" {
		t.Errorf("got %v", header)
	}
	text, _ := json.Marshal(body)
	wantBody := `{"max_tokens":4096,"messages":[{"content":[{"text":"hi","type":"text"}],"role":"user"},` +
		`{"content":[{"id":"c0","input":{"x":1},"name":"look","type":"tool_use"}],"role":"assistant"},` +
		`{"content":[{"content":[{"text":"42","type":"text"}],"is_error":false,"tool_use_id":"c0","type":"tool_result"},{"text":"so?","type":"text"}],"role":"user"}],` +
		`"model":"claude-test","output_config":{"format":{"schema":{"type":"object"},"type":"json_schema"}},"stop_sequences":["END"],` +
		`"system":[{"text":"Be brief.","type":"text"}],"temperature":0.5,` +
		`"tools":[{"input_schema":{"properties":{"x":{"type":"number"}},"type":"object"},"name":"look"}]}`
	if string(text) != wantBody {
		t.Errorf("got\n%s\nwant\n%s", text, wantBody)
	}
}

func TestTheAddressMayEndInAVersionAndHaveAQuery(t *testing.T) {
	var called string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = r.URL.String()
		_, _ = io.WriteString(w, hello)
	}))
	defer s.Close()
	for base, want := range map[string]string{
		"":                 "/v1/messages",
		"/":                "/v1/messages",
		"/v1":              "/v1/messages",
		"/v1/":             "/v1/messages",
		"/v1//?team=a":     "/v1/messages?team=a",
		"?team=a&b=c":      "/v1/messages?team=a&b=c",
		"/proxy/v1?team=a": "/proxy/v1/messages?team=a",
		"/a%2Fb/v1":        "/a%2Fb/v1/messages",
	} {
		if _, err := chat(t, s.URL+base, nil, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "hi"}}}); err != nil || called != want {
			t.Errorf("%s: called %s, want %s (%v)", base, called, want, err)
		}
	}
}

func TestAToolWithoutParametersAcceptsAnEmptyObject(t *testing.T) {
	url, last := answering(t, 200, nil, hello)
	for _, parameters := range []string{"", "null", "{}"} {
		_, err := chat(t, url, nil, &llm.Request{
			Messages: []llm.Message{{Role: llm.User, Content: "hi"}},
			Tools:    []llm.Tool{{Name: "look", Parameters: json.RawMessage(parameters)}},
		})
		_, body := last()
		if text, _ := json.Marshal(body["tools"]); err != nil || string(text) != `[{"input_schema":{"type":"object"},"name":"look"}]` {
			t.Errorf("%q: sent %s (%v)", parameters, text, err)
		}
	}
}

func TestEmptyMessagesAreLeftOut(t *testing.T) {
	url, last := answering(t, 200, nil, hello)
	_, err := chat(t, url, nil, &llm.Request{Messages: []llm.Message{
		{Role: llm.System}, {Role: llm.User, Content: "x"}, {Role: llm.Assistant}, {Role: llm.User, Content: "Once more."},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, body := last()
	text, _ := json.Marshal(body)
	want := `{"max_tokens":4096,"messages":[{"content":[{"text":"x","type":"text"},{"text":"Once more.","type":"text"}],"role":"user"}],"model":"claude-test"`
	if !strings.HasPrefix(string(text), want) || strings.Contains(string(text), "system") {
		t.Errorf("got %s", text)
	}
}

func TestFinishReasons(t *testing.T) {
	for reason, want := range map[string]string{
		"max_tokens": llm.FinishLength, "refusal": llm.FinishRefusal, "stop_sequence": llm.FinishStop, "tool_use": llm.FinishToolCalls,
	} {
		url, _ := answering(t, 200, nil, strings.Replace(hello, "end_turn", reason, 1))
		got, err := chat(t, url, nil, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "x"}}})
		if err != nil || got.FinishReason != want || got.Refused() != (reason == "refusal") {
			t.Errorf("%s: got %+v, %v", reason, got, err)
		}
	}
}

func TestFailuresAreClassified(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		want   llm.CallError
	}{
		"overloaded": {529, nil, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, llm.CallError{Status: 529, Temporary: true, Message: "Overloaded"}},
		"too many":   {429, http.Header{"Retry-After": {"2"}}, `{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}`, llm.CallError{Status: 429, Temporary: true, Message: "Slow down"}},
		"a mistake":  {400, nil, `{"type":"error","error":{"type":"invalid_request_error","message":"sk-ant-secret is wrong"}}`, llm.CallError{Status: 400, Message: "(sensitive value) is wrong"}},
		"empty":      {200, nil, `{}`, llm.CallError{Status: 200, Temporary: true, Message: "the answer can't be read: it has no stop_reason"}},
		"garbled":    {200, nil, `{"content": [`, llm.CallError{Status: 200, Temporary: true, Message: "the answer can't be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := answering(t, c.status, c.header, c.body)
			_, err := chat(t, url, nil, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "x"}}})
			var got *llm.CallError
			if !errors.As(err, &got) || got.Status != c.want.Status || got.Temporary != c.want.Temporary || !strings.HasPrefix(got.Message, c.want.Message) {
				t.Fatalf("got %#v", err)
			}
			if (got.RetryAfter != nil) != (c.header != nil) || got.RetryAfter != nil && *got.RetryAfter != 2*time.Second {
				t.Errorf("it asks to wait for %v", got.RetryAfter)
			}
		})
	}
}

func TestWellKnownModelsHavePrices(t *testing.T) {
	if p := Prices.Price("claude-haiku-4-5-20251001"); p == nil || *p.Input != 1 || *p.Output != 5 || *p.CachedInput != 0.1 {
		t.Errorf("got %+v", p)
	}
	if p := Prices.Price("claude-unknown"); p != nil {
		t.Errorf("got %+v", p)
	}
}
