package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// completing serves /v1/completions with one answer, and records the requests.
func completing(t *testing.T, answer string) (url string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/completions" {
			http.Error(w, "not here", http.StatusNotFound)
			return
		}
		*asked = append(*asked, string(body))
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1", asked
}

func TestAPromptIsContinued(t *testing.T) {
	url, asked := completing(t, `{"model": "m", "choices": [{"text": " time", "finish_reason": "length", "logprobs": {"tokens": [" time"], "token_logprobs": [-0.5], "top_logprobs": [{" time": -0.5}]}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}`)
	limit, temperature := int64(1), 0.5
	got, err := chat(t, url, map[string]any{"stop": []string{"."}}, &llm.Request{Prompt: "Once upon a", MaxTokens: &limit, Temperature: &temperature, LogProbs: true})
	if err != nil || got.Text != " time" || got.FinishReason != llm.FinishLength || got.Usage != (llm.Usage{Input: 3, Output: 1}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if len(got.LogProbs) != 1 || got.LogProbs[0] != (llm.LogProb{Token: " time", LogProb: -0.5}) {
		t.Errorf("got %v", got.LogProbs)
	}
	if want := `{"model":"test-model","prompt":"Once upon a","max_tokens":1,"temperature":0.5,"stop":["."],"logprobs":1}`; (*asked)[0] != want {
		t.Errorf("asked %s", *asked)
	}
}

// Endpoints differ in what they do at the beginning, within characters, and at the
// end.
func TestTheTokensOfAPromptAddUpToIt(t *testing.T) {
	for name, c := range map[string]struct{ prompt, text, tokens, logprobs, want string }{
		"plain":               {"a b", "a b!", `["a", " b", "!"]`, `[null, -1, -9]`, `["a" " b"]`},
		"one for the start":   {"a b", "a b!", `["<s>", "a", " b", "!"]`, `[null, -2, -1, -9]`, `["" "a" " b"]`},
		"no end":              {"a b", "a b", `["a", " b"]`, `[null, -1]`, `["a" " b"]`},
		"parts of a letter":   {"a é b", "a é b!", `["a", " ", "\ufffd", "\ufffd", " b", "!"]`, `[null, -1, -1, -1, -1, -9]`, `["a" " " "" "é" " b"]`},
		"parts as bytes":      {"ée", "ée!", `["bytes:\\xc3", "bytes:\\xa9", "e", "!"]`, `[null, -1, -1, -9]`, `["" "é" "e"]`},
		"a letter at the end": {"a é", "a é!", `["a", " ", "\ufffd", "\ufffd", "!"]`, `[null, -1, -1, -1, -9]`, `["a" " " "" "é"]`},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := completing(t, fmt.Sprintf(`{"choices": [{"text": %q, "finish_reason": "length", "logprobs": {"tokens": %s, "token_logprobs": %s}}], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}`, c.text, c.tokens, c.logprobs))
			none := int64(0)
			got, err := chat(t, url, nil, &llm.Request{Prompt: c.prompt, MaxTokens: &none, PromptLogProbs: true})
			if err != nil {
				t.Fatal(err)
			}
			var tokens []string
			for i, s := range got.PromptLogProbs {
				tokens = append(tokens, s.Token)
				if (s.LogProb == nil) != (i == 0) || i > 0 && *s.LogProb < -2 {
					t.Errorf("token %d: %v", i, s.LogProb)
				}
			}
			if fmt.Sprintf("%q", tokens) != c.want || strings.Join(tokens, "") != c.prompt || got.Text != "" || got.LogProbs != nil {
				t.Errorf("got %q, %+v", tokens, got)
			}
			if !strings.Contains((*asked)[0], `"max_tokens":1,"logprobs":1,"echo":true`) {
				t.Errorf("asked %s", *asked)
			}
		})
	}
}

func TestTheLikeliestTokenIsReturned(t *testing.T) {
	url, _ := completing(t, `{"choices": [{"text": "a b!", "logprobs": {"tokens": ["a", " b", "!"], "token_logprobs": [null, -2, -1], "top_logprobs": [null, {" b": -2, " c": -0.5}, {"!": -1}]}}]}`)
	got, err := chat(t, url, nil, &llm.Request{Prompt: "a b", PromptLogProbs: true})
	if err != nil || got.PromptLogProbs[0].Top != nil || *got.PromptLogProbs[1].Top != (llm.LogProb{Token: " c", LogProb: -0.5}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got.Text != "!" || len(got.LogProbs) != 1 || got.LogProbs[0].Token != "!" {
		t.Errorf("got %+v", got)
	}
}

func TestAnEndpointThatDoesNotScoreIsNamed(t *testing.T) {
	for _, answer := range []string{
		`{"choices": [{"text": "!", "logprobs": {"tokens": ["!"], "token_logprobs": [-1]}}]}`,
		`{"choices": [{"text": "a b!", "logprobs": null}]}`,
		`{"choices": [{"text": "a b!", "logprobs": {"tokens": ["x", "y"], "token_logprobs": [-1, -1]}}]}`,
	} {
		url, _ := completing(t, answer)
		_, err := chat(t, url, nil, &llm.Request{Prompt: "a b", PromptLogProbs: true})
		if call := failure(t, err); call.Temporary || !strings.Contains(call.Message, "did not return the log-probabilities of the prompt") {
			t.Errorf("%s: got %v", answer, call)
		}
	}
	url, _ := completing(t, `{"choices": [{"text": "a b!", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]}`)
	_, err := chat(t, url, nil, &llm.Request{Prompt: "a b", PromptLogProbs: true})
	if call := failure(t, err); !strings.Contains(call.Message, "differ in length") {
		t.Errorf("got %v", call)
	}
	_, err = chat(t, url, nil, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "a"}}, PromptLogProbs: true})
	if call := failure(t, err); !strings.Contains(call.Message, "not of messages") {
		t.Errorf("got %v", call)
	}
}

func TestCapabilitiesAreDeclared(t *testing.T) {
	official := "https://api.openai.com/v1"
	for _, c := range []struct {
		name, url string
		given     []string
		want      string
	}{
		{"gpt-4.1", official, nil, "[chat]"},
		{"davinci-002", official, nil, "[complete]"},
		{"text-embedding-3-small", official, nil, "[embed]"},
		{"qwen", "http://127.0.0.1:1/v1", nil, "[chat embed]"},
		{"qwen", "http://127.0.0.1:1/v1", []string{"complete", "score"}, "[complete score]"},
	} {
		args := map[string]any{"name": c.name}
		if c.given != nil {
			args["capabilities"] = c.given
		}
		got, err := plugintest.Prepare(t, Plugin("0.0.0"), caseAt(c.url, args))
		if err != nil || len(got.Errors) > 0 || fmt.Sprint(slices.Sorted(slices.Values(got.Model.Capabilities))) != c.want {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
	}
	got, err := plugintest.Prepare(t, Plugin("0.0.0"), caseAt(official, map[string]any{"capabilities": []string{"sing"}}))
	if err != nil || len(got.Errors) != 1 || got.Errors[0].Argument != "capabilities" {
		t.Errorf("got %+v, %v", got, err)
	}
}
