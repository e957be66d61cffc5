package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// models answers as a function says, and records what it was asked.
type models struct {
	answer func(*llm.Request, int64) (*llm.Response, *pluginv1.CallError, error)
	mu     sync.Mutex
	asked  []string
}

func (m *models) Answer(_ context.Context, req *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
	m.mu.Lock()
	m.asked = append(m.asked, string(req.GetRequest()))
	m.mu.Unlock()
	request, err := llm.DecodeRequest(req.GetRequest())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	answer, refused, err := m.answer(request, req.GetDraw())
	if err != nil || refused != nil {
		return &pluginv1.HostServiceChatResponse{Error: refused}, err
	}
	text, err := json.Marshal(answer)
	return &pluginv1.HostServiceChatResponse{Response: text}, err
}

func (m *models) Embed(_ context.Context, req *pluginv1.HostServiceEmbedRequest) (*pluginv1.HostServiceEmbedResponse, error) {
	out := &pluginv1.HostServiceEmbedResponse{}
	for _, text := range req.GetTexts() {
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: []float32{float32(len(text)), 0.5}})
	}
	return out, nil
}

// echo answers with the last message and the number of the answer.
func echo(r *llm.Request, draw int64) (*llm.Response, *pluginv1.CallError, error) {
	text := r.Messages[len(r.Messages)-1].Content + strings.Repeat("!", int(draw))
	return &llm.Response{Text: text, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 3, Output: 2}}, nil, nil
}

func serve(t *testing.T, m *models) *Server {
	t.Helper()
	s, err := Serve(t.Context(), m, []string{"judge", "model"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// post returns the status and the body of an answer.
func post(t *testing.T, s *Server, path, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Address().GetBaseUrl()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// texts returns the texts of a completion.
func textsOf(t *testing.T, body string) []string {
	t.Helper()
	var c completion
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var out []string
	for _, choice := range c.Choices {
		out = append(out, *choice.Message.Content)
	}
	return out
}

func TestARequestReachesTheModelAsItWasAsked(t *testing.T) {
	m := &models{answer: echo}
	s := serve(t, m)
	code, body := post(t, s, "/chat/completions", s.key, `{
		"model": "model", "temperature": 0, "max_completion_tokens": 9, "seed": 4, "stop": "\n", "user": "me", "frequency_penalty": 0, "logit_bias": null,
		"messages": [
			{"role": "developer", "content": "Be short."},
			{"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}], "audio": null},
			{"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
			{"role": "user", "content": "hi"}],
		"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
		"response_format": {"type": "json_object"}}`)
	if code != http.StatusOK || textsOf(t, body)[0] != "hi" || !strings.Contains(body, `"prompt_tokens":3,"completion_tokens":2,"total_tokens":5`) {
		t.Fatalf("got %d %s", code, body)
	}
	want := `{"messages":[{"role":"system","content":"Be short."},` +
		`{"role":"assistant","content":"","tool_calls":[{"id":"1","name":"f","arguments":"{}"}]},` +
		`{"role":"tool","content":"ab","tool_call_id":"1"},{"role":"user","content":"hi"}],` +
		`"tools":[{"name":"f","description":"d","parameters":{"type":"object"}}],"output":{"schema":{"type":"object"}},` +
		`"temperature":0,"max_tokens":9,"seed":4,"stop":["\n"]}`
	if m.asked[0] != want {
		t.Errorf("asked %s\nwant  %s", m.asked[0], want)
	}
}

func TestWhatCannotBePassedOnIsRefused(t *testing.T) {
	s := serve(t, &models{answer: echo})
	const hi = `"messages": [{"role": "user", "content": "hi"}]`
	for _, c := range []struct{ body, says string }{
		{`{"model": "model", ` + hi + `, "frequency_penalty": 0.5}`, `unknown field \"frequency_penalty\"`},
		{`{"model": "model", ` + hi + `, "tool_choice": "required"}`, `unknown field \"tool_choice\"`},
		{`{"model": "gpt-4", ` + hi + `}`, `no model \"gpt-4\"; it has judge, model`},
		{`{"model": "model", "messages": []}`, "no messages"},
		{`{"model": "model", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}`, "passes on only texts"},
		{`{"model": "model", "messages": [{"role": "user", "content": "hi", "name": "Bob"}]}`, `unknown field \"name\"`},
		{`{"model": "model", ` + hi + `, "n": 0}`, "between 1 and 128"},
		{`{"model": "model", ` + hi + `, "tools": [{"type": "function", "function": {"name": "f", "strict": true}}]}`, "is strict"},
		{`[]`, "not a JSON object"},
		{`{"model": `, "not a JSON object"},
	} {
		code, body := post(t, s, "/chat/completions", s.key, c.body)
		if code/100 != 4 || code == http.StatusTooManyRequests || !strings.Contains(body, c.says) {
			t.Errorf("%s: got %d %s, want %q", c.body, code, body, c.says)
		}
	}
}

func TestOnlyTheKeyOpensTheServer(t *testing.T) {
	m := &models{answer: echo}
	s := serve(t, m)
	for _, key := range []string{"", "sk-1", s.key + "x"} {
		if code, _ := post(t, s, "/chat/completions", key, `{"model": "model", "messages": [{"role": "user", "content": "hi"}]}`); code != http.StatusUnauthorized {
			t.Errorf("key %q: got %d", key, code)
		}
	}
	if len(m.asked) > 0 {
		t.Errorf("the model was asked %q", m.asked)
	}
}

// Equal requests get different answers, the same ones in every run.
func TestEqualRequestsDrawOneAnswerAfterTheOther(t *testing.T) {
	for _, c := range []struct {
		temperature string
		want        []string
	}{
		{"0.7", []string{"hi", "hi!", "hi!!", "hi!!!"}},
		{"0", []string{"hi", "hi", "hi!", "hi"}},
	} {
		s := serve(t, &models{answer: echo})
		var got []string
		for _, n := range []string{"1", "2", "1"} {
			_, body := post(t, s, "/chat/completions", s.key, `{"model": "model", "messages": [{"role": "user", "content": "hi"}], "n": `+n+`, "temperature": `+c.temperature+`}`)
			got = append(got, textsOf(t, body)...)
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("temperature %s: got %q, want %q", c.temperature, got, c.want)
		}
	}
}

// quern has retried already, and waits for providers that are busy.
func TestNoErrorInvitesAnotherAttempt(t *testing.T) {
	for _, from := range []int32{0, 400, 408, 409, 429, 500, 503} {
		s := serve(t, &models{answer: func(*llm.Request, int64) (*llm.Response, *pluginv1.CallError, error) {
			return nil, &pluginv1.CallError{Message: "too long", Status: from, Temporary: true}, nil
		}})
		code, body := post(t, s, "/chat/completions", s.key, `{"model": "model", "messages": [{"role": "user", "content": "hi"}]}`)
		if want := map[int32]int{400: 400}[from]; code != max(want, 0) && code != http.StatusFailedDependency || !strings.Contains(body, "too long") {
			t.Errorf("status %d: got %d %s", from, code, body)
		}
	}
	ended := serve(t, &models{answer: func(*llm.Request, int64) (*llm.Response, *pluginv1.CallError, error) {
		return nil, nil, status.Error(codes.Aborted, "the budget is spent")
	}})
	code, body := post(t, ended, "/chat/completions", ended.key, `{"model": "model", "messages": [{"role": "user", "content": "hi"}]}`)
	if code != http.StatusForbidden || !strings.Contains(body, "the budget is spent") {
		t.Errorf("got %d %s", code, body)
	}
}

func TestAStreamHasTheWholeAnswer(t *testing.T) {
	s := serve(t, &models{answer: echo})
	_, body := post(t, s, "/chat/completions", s.key, `{"model": "model", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hi"}]}`)
	var text string
	var finish, last string
	for line := range bytes.SplitSeq([]byte(body), []byte("\n\n")) {
		event, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		last = string(event)
		var c completion
		if json.Unmarshal(event, &c) != nil {
			continue
		}
		for _, choice := range c.Choices {
			if choice.Delta.Content != nil {
				text += *choice.Delta.Content
			}
			if choice.FinishReason != nil {
				finish = *choice.FinishReason
			}
		}
	}
	if text != "hi" || finish != "stop" || last != "[DONE]" || !strings.Contains(body, `"total_tokens":5`) {
		t.Errorf("got %s", body)
	}
}

func TestEmbeddingsComeAsNumbersOrBase64(t *testing.T) {
	s := serve(t, &models{})
	if _, body := post(t, s, "/embeddings", s.key, `{"model": "model", "input": ["a", "bb"]}`); !strings.Contains(body, `"embedding":[2,0.5]`) {
		t.Errorf("got %s", body)
	}
	// 1.0 and 0.5 as little-endian floats.
	if _, body := post(t, s, "/embeddings", s.key, `{"model": "model", "input": "a", "encoding_format": "base64"}`); !strings.Contains(body, `"embedding":"AACAPwAAAD8="`) {
		t.Errorf("got %s", body)
	}
}
