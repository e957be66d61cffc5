package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func caseAt(url string, more map[string]any) plugintest.Case {
	args := map[string]any{"name": "test-model", "base_url": url}
	for k, v := range more {
		args[k] = v
	}
	return plugintest.Case{Type: "openai", Args: args}
}

func ask(text string) *llm.Request {
	return &llm.Request{Messages: []llm.Message{{Role: llm.System, Content: "Be brief."}, {Role: llm.User, Content: text}}}
}

func chat(t *testing.T, url string, more map[string]any, r *llm.Request) (*llm.Response, error) {
	t.Helper()
	return plugintest.Chat(t, Plugin("0.0.0"), caseAt(url, more), r)
}

func failure(t *testing.T, err error) *llm.CallError {
	t.Helper()
	var call *llm.CallError
	if !errors.As(err, &call) {
		t.Fatalf("got %v, which is no CallError", err)
	}
	return call
}

func TestAModelAnswers(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{})
	got, err := chat(t, e.URL(), nil, ask("hello there"))
	if err != nil {
		t.Fatal(err)
	}
	want := &llm.Response{Text: "hello there", FinishReason: llm.FinishStop, Model: "test-model", Usage: llm.Usage{Input: 6, Output: 3}}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v", got)
	}
}

func TestARequestContainsAllArguments(t *testing.T) {
	var body map[string]any
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		body = r.Body()
		return &llm.Response{ToolCalls: []llm.ToolCall{{ID: "c1", Name: "look", Arguments: `{"x":`}}, Text: "so"}
	}})
	two, half := int64(2), 0.5
	got, err := chat(t, e.URL(), map[string]any{
		"temperature": 0.25, "seed": 7, "max_tokens": 9, "stop": []any{"END"}, "logprobs": true,
		"extra": cty.ObjectVal(map[string]cty.Value{"top_k": cty.NumberIntVal(1), "a.b": cty.True}),
	}, &llm.Request{
		Messages: []llm.Message{
			{Role: llm.User, Content: "hi"},
			{Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: "c0", Name: "look", Arguments: "{}"}}},
			{Role: llm.ToolRole, Content: "42", ToolCallID: "c0"},
		},
		Tools:       []llm.Tool{{Name: "look", Description: "Looks.", Parameters: json.RawMessage(`{"type":"object"}`)}},
		Output:      &llm.Output{Schema: json.RawMessage(`{"type":"object"}`), Strict: true},
		Temperature: &half, Seed: &two,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.FinishReason != llm.FinishToolCalls || len(got.ToolCalls) != 1 || got.ToolCalls[0].Arguments != `{"x":` || len(got.LogProbs) == 0 {
		t.Errorf("got %+v", got)
	}
	text, _ := json.Marshal(body)
	want := `{"a.b":true,"logprobs":true,"max_tokens":9,"messages":[{"content":"hi","role":"user"},` +
		`{"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"look"},"id":"c0","type":"function"}]},` +
		`{"content":"42","role":"tool","tool_call_id":"c0"}],"model":"test-model",` +
		`"response_format":{"json_schema":{"name":"answer","schema":{"type":"object"},"strict":true},"type":"json_schema"},` +
		`"seed":2,"stop":["END"],"temperature":0.5,"tools":[{"function":{"description":"Looks.","name":"look","parameters":{"type":"object"}},"type":"function"}],"top_k":1}`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestRefusalsAndFilteredInputsAreAnswers(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{RefuseEvery: 1})
	got, err := chat(t, e.URL(), nil, ask("x"))
	if err != nil || got.FinishReason != llm.FinishRefusal || !strings.HasPrefix(got.Refusal, "I can't") || !got.Refused() {
		t.Errorf("got %+v, %v", got, err)
	}
	e = openaitest.Serve(t, openaitest.Options{FilterEvery: 1})
	got, err = chat(t, e.URL(), nil, ask("x"))
	if err != nil || got.FinishReason != llm.FinishContentFilter || !got.Refused() {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOneCallIsOneAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		options openaitest.Options
		want    llm.CallError
		wait    time.Duration
	}{
		"too many":        {openaitest.Options{TooManyEvery: 1, RetryAfter: 1500 * time.Millisecond}, llm.CallError{Status: 429, Temporary: true, Message: "Rate limit reached."}, 1500 * time.Millisecond},
		"too many, date":  {openaitest.Options{TooManyEvery: 1, RetryAfter: time.Hour, RetryAfterDate: true}, llm.CallError{Status: 429, Temporary: true, Message: "Rate limit reached."}, time.Hour},
		"a server failed": {openaitest.Options{FailEvery: 1}, llm.CallError{Status: 500, Temporary: true, Message: "The server had an error."}, 0},
		"a wrong key":     {openaitest.Options{Key: "right"}, llm.CallError{Status: 401, Message: "Incorrect API key provided."}, 0},
		"cut off":         {openaitest.Options{CutEvery: 1}, llm.CallError{Status: 200, Temporary: true, Message: "the answer can't be read"}, 0},
		"malformed":       {openaitest.Options{MalformedEvery: 1}, llm.CallError{Status: 200, Temporary: true, Message: "the answer can't be read"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := openaitest.Serve(t, c.options)
			_, err := chat(t, e.URL(), nil, ask("x"))
			got := failure(t, err)
			if got.Status != c.want.Status || got.Temporary != c.want.Temporary || !strings.HasPrefix(got.Message, c.want.Message) {
				t.Errorf("got %#v", got)
			}
			wait := time.Duration(0)
			if got.RetryAfter != nil {
				wait = *got.RetryAfter
			}
			if math.Abs(float64(wait-c.wait)) > float64(5*time.Second) || (wait == 0) != (c.wait == 0) {
				t.Errorf("it asks to wait for %s", wait)
			}
			if n := e.Counts().Requests; n != 1 {
				t.Errorf("there were %d requests", n)
			}
		})
	}
}

func TestAnEndpointThatWentAwayIsRecognized(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{DieAfter: 1})
	if _, err := chat(t, e.URL(), nil, ask("x")); err != nil {
		t.Fatal(err)
	}
	// The endpoint accepted the first request before it went away, so that
	// request may be the cause. The second one is not.
	for _, unreached := range []bool{false, true} {
		_, err := chat(t, e.URL(), nil, ask("y"))
		if got := failure(t, err); got.Unreachable() != unreached || !got.Temporary {
			t.Errorf("got %#v", got)
		}
		e.Close()
	}
}

func TestATimeoutIsTemporaryAndDoesNotMeanThatTheEndpointIsGone(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{HangEvery: 1})
	a := &args{Name: "m", BaseURL: e.URL()}
	if a.locate(true) == nil || (impl{}).Open(t.Context(), a) != nil {
		t.Fatal("it can't be opened")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := impl{}.Chat(ctx, a, ask("x"))
	if got := failure(t, err); !got.Temporary || got.Unreachable() {
		t.Errorf("got %#v", got)
	}
}

func TestFailuresThatWaitingDoesNotFixAreNotTemporary(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header string
		body   string
		want   string
	}{
		"a spent quota":           {429, "", `{"error":{"message":"You exceeded your quota.","code":"insufficient_quota"}}`, "You exceeded your quota."},
		"a bad request":           {400, "", `{"object":"error","message":"too long","code":400}`, "too long"},
		"an unknown path":         {404, "", `{"detail":"Not Found"}`, "Not Found (POST URL/chat/completions; check base_url, which often ends in /v1)"},
		"a page":                  {403, "", `<html>no</html>`, "Forbidden"},
		"a redirect":              {302, "https://elsewhere.test/v1", ``, "the endpoint redirects to https://elsewhere.test/v1, and quern does not follow redirects: correct base_url"},
		"a redirect with a token": {302, "https://user:sk-1@elsewhere.test/v1?token=sk-2#sk-3", ``, "the endpoint redirects to https://elsewhere.test/v1, and quern does not follow redirects: correct base_url"},
		"a redirect to a query":   {307, "?token=sk-2", ``, "the endpoint redirects, and quern does not follow redirects: correct base_url"},
		"a redirect to nowhere":   {304, "", ``, "the endpoint redirects, and quern does not follow redirects: correct base_url"},
		"a marked body":           {400, "", "\ufeff" + `{"error":{"message":"too long"}}`, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.header != "" {
					w.Header().Set("Location", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer s.Close()
			_, err := chat(t, s.URL, nil, ask("x"))
			want := strings.ReplaceAll(c.want, "URL", s.URL)
			if got := failure(t, err); got.Temporary || got.Message != want || got.Status != c.status {
				t.Errorf("got %#v", got)
			}
		})
	}
}

func TestTheKeyComesFromTheArgumentACommandOrTheEnvironment(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{Key: "sk-secret"})
	if _, err := chat(t, e.URL(), map[string]any{"api_key": "sk-secret"}, ask("x")); err != nil {
		t.Error(err)
	}
	if _, err := chat(t, e.URL(), map[string]any{"api_key_command": []any{"echo", "sk-secret"}}, ask("x")); err != nil {
		t.Error(err)
	}
	_, err := chat(t, e.URL(), map[string]any{"api_key_command": []any{"false"}}, ask("x"))
	if got := failure(t, err); got.Temporary || !strings.Contains(got.Message, "api_key_command") {
		t.Errorf("got %#v", got)
	}
	t.Setenv(keyVariable, "sk-secret")
	if _, err := chat(t, e.URL(), nil, ask("x")); err != nil {
		t.Error(err)
	}
	if _, err := chat(t, e.URL(), map[string]any{"api_version": "2024-10-21"}, ask("x")); err != nil {
		t.Errorf("Azure's header: %s", err)
	}
}

func TestMessagesDoNotContainTheKey(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"error":{"message":"bad key: %s"}}`, r.Header.Get("Authorization"))
	}))
	defer s.Close()
	_, err := chat(t, s.URL, map[string]any{"api_key": "sk-secret"}, ask("x"))
	if got := failure(t, err); strings.Contains(got.Message, "sk-secret") || !strings.Contains(got.Message, "(sensitive value)") {
		t.Errorf("got %#v", got)
	}
}

func TestWithoutAKeyOpenAIIsNotCalled(t *testing.T) {
	t.Setenv(keyVariable, "")
	_, err := plugintest.Chat(t, Plugin("0.0.0"), plugintest.Case{Type: "openai", Args: map[string]any{"name": "gpt-4o-mini"}}, ask("x"))
	if got := failure(t, err); got.Temporary || !strings.Contains(got.Message, "OPENAI_API_KEY") {
		t.Errorf("got %#v", got)
	}
}

func TestEmbeddingsComeInOrder(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{})
	got, err := plugintest.Embed(t, Plugin("0.0.0"), caseAt(e.URL(), map[string]any{"dimensions": 8}), "red apple", "green pear")
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"red apple", "green pear"} {
		for j, want := range openaitest.Vector(text, 8) {
			if got.Vectors[i][j] != float32(want) {
				t.Errorf("%q: got %v", text, got.Vectors[i])
				break
			}
		}
	}
	if got.InputTokens != 6 {
		t.Errorf("got %d tokens", got.InputTokens)
	}
}

func TestThePropertiesOfWellKnownModels(t *testing.T) {
	info := func(args map[string]any) string {
		t.Helper()
		got, err := plugintest.Prepare(t, Plugin("0.0.0"), plugintest.Case{Type: "openai", Args: args})
		if err != nil || len(got.Errors) > 0 {
			t.Fatalf("got %v, %v", got, err)
		}
		m := got.Model
		price := "unknown"
		if m.Price != nil {
			price = fmt.Sprintf("%v/%v/%v", m.Price.GetInput(), m.Price.GetCachedInput(), m.Price.GetOutput())
		}
		return fmt.Sprint(m.Capabilities, " ", m.Tokenizer, " ", price, " ", m.MaxConcurrency, " ", m.TimeoutSeconds, " ", m.Retries, " ", m.Cache)
	}
	for _, c := range []struct {
		args map[string]any
		want string
	}{
		{map[string]any{"name": "gpt-4o-mini-2024-07-18"}, "[chat] o200k_base 0.15/0.075/0.6 32 60 5 true"},
		{map[string]any{"name": "text-embedding-3-small"}, "[embed] cl100k_base 0.02/0/0 32 60 5 true"},
		{map[string]any{"name": "gpt-4o-mini", "base_url": "http://127.0.0.1:1/v1"}, "[chat embed] o200k_base unknown 32 60 5 true"},
		{map[string]any{"name": "some-model", "base_url": "http://127.0.0.1:1/v1", "timeout": "5s", "retries": 0, "cache": false, "max_concurrency": 8,
			"price": []map[string]any{{"input": 1, "output": 2}}}, "[chat embed]  1/0/2 8 5 0 false"},
	} {
		if got := info(c.args); got != c.want {
			t.Errorf("%v:\ngot  %s\nwant %s", c.args, got, c.want)
		}
	}
}

func TestMistakesAreReportedAtTheirArguments(t *testing.T) {
	got, err := plugintest.Prepare(t, Plugin("0.0.0"), plugintest.Case{Type: "openai", Args: map[string]any{
		"name": "m", "base_url": "localhost:8000", "temperature": -1, "retries": -1, "extra": "x",
		"price": []map[string]any{{"input": -1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, p := range got.Errors {
		at = append(at, p.Argument)
	}
	if fmt.Sprint(at) != "[temperature retries price.0.input base_url extra]" {
		t.Errorf("got %v", got.Errors)
	}
}
