package openai

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// scorer continues a prompt with "!", and gives its words log-probabilities.
func scorer(r *llm.Request, draw int64) (*llm.Response, *pluginv1.CallError, error) {
	out := &llm.Response{FinishReason: llm.FinishLength, Usage: llm.Usage{Input: 3, Output: 1}}
	if !r.OnlyScores() {
		out.Text = strings.Repeat("!", int(draw)+1)
	}
	if r.LogProbs && out.Text != "" && r.Prompt != "ends" {
		out.LogProbs = []llm.LogProb{{Token: out.Text, LogProb: -0.25}}
	}
	if !r.PromptLogProbs {
		return out, nil, nil
	}
	for i, word := range strings.SplitAfter(r.Prompt, " ") {
		t := llm.PromptLogProb{Token: word}
		if i > 0 {
			p := -float64(i)
			t.LogProb, t.Top = &p, &llm.LogProb{Token: "the", LogProb: -0.5}
		}
		out.PromptLogProbs = append(out.PromptLogProbs, t)
	}
	return out, nil, nil
}

func TestAPromptIsContinuedAndScored(t *testing.T) {
	m := &models{answer: scorer}
	s := serve(t, m)
	code, body := post(t, s, "/completions", s.key, `{"model": "model", "prompt": ["É été là", "b"], "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": true, "stop": null, "stream": false}`)
	var got textCompletion
	if err := json.Unmarshal([]byte(body), &got); code != http.StatusOK || err != nil {
		t.Fatalf("got %d %s %v", code, body, err)
	}
	first := got.Choices[0]
	if first.Text != "É été là!" || *first.FinishReason != "length" || got.Choices[1].Text != "b!" || got.Choices[1].Index != 1 {
		t.Errorf("got %s", body)
	}
	l := first.LogProbs
	if !slices.Equal(l.Tokens, []string{"É ", "été ", "là", "!"}) || !slices.Equal(l.Offset, []int{0, 2, 6, 8}) {
		t.Errorf("the tokens are %q at %v", l.Tokens, l.Offset)
	}
	if l.LogProbs[0] != nil || *l.LogProbs[2] != -2 || *l.LogProbs[3] != -0.25 || l.Top[0] != nil ||
		!reflect.DeepEqual(l.Top[1], map[string]float64{"été ": -1, "the": -0.5}) {
		t.Errorf("got %s", body)
	}
	if want := `{"temperature":0,"max_tokens":1,"logprobs":true,"prompt":"b","prompt_logprobs":true}`; !slices.Contains(m.asked, want) {
		t.Errorf("asked %v", m.asked)
	}
	if got.Usage.Prompt != 6 || got.Usage.Completion != 2 || got.Usage.Total != 8 {
		t.Errorf("the usage is %+v", got.Usage)
	}
}

func TestAScoreWithoutAnAnswerHasOnlyThePrompt(t *testing.T) {
	s := serve(t, &models{answer: scorer})
	_, body := post(t, s, "/completions", s.key, `{"model": "model", "prompt": "a b", "max_tokens": 0, "logprobs": 1, "echo": true}`)
	if !strings.Contains(body, `"text":"a b"`) || !strings.Contains(body, `"tokens":["a ","b"],"token_logprobs":[null,-1]`) {
		t.Errorf("got %s", body)
	}
	// Equal requests have equal scores, so they are not draws.
	again := &models{answer: func(r *llm.Request, draw int64) (*llm.Response, *pluginv1.CallError, error) {
		if draw != 0 {
			t.Errorf("draw %d is asked for", draw)
		}
		return scorer(r, draw)
	}}
	twice := serve(t, again)
	for range 2 {
		post(t, twice, "/completions", twice.key, `{"model": "model", "prompt": "a b", "max_tokens": 0, "logprobs": 1, "echo": true}`)
	}
	// A model that ends at once has generated a token without text.
	_, body = post(t, s, "/completions", s.key, `{"model": "model", "prompt": "ends", "max_tokens": 1, "logprobs": 1, "echo": true}`)
	if !strings.Contains(body, `"tokens":["ends",""],"token_logprobs":[null,null]`) {
		t.Errorf("got %s", body)
	}
}

func TestCompletionsThatQuernCannotPassOnAreErrors(t *testing.T) {
	m := &models{answer: scorer}
	s := serve(t, m)
	for body, want := range map[string]string{
		`{"model": "model", "prompt": [1, 2, 3]}`:                  "quern cannot pass on tokens, because it does not know the model's tokenizer",
		`{"model": "model", "prompt": [[1, 2], [3]]}`:              "quern cannot pass on tokens",
		`{"model": "model", "prompt": []}`:                         "prompt must be a text or a list of texts",
		`{"model": "model"}`:                                       "the request has no prompt",
		`{"model": "model", "prompt": ""}`:                         "a prompt is empty",
		`{"model": "model", "prompt": "a", "logprobs": 5}`:         "logprobs is 5",
		`{"model": "model", "prompt": "a", "max_tokens": 0}`:       "max_tokens is 0, which needs prompt_logprobs",
		`{"model": "model", "prompt": "a", "stream": true}`:        `unknown field \"stream\"`,
		`{"model": "model", "prompt": "a", "suffix": "b"}`:         `unknown field \"suffix\"`,
		`{"model": "other", "prompt": "a"}`:                        `the stage has no model \"other\"`,
		`{"model": "model", "prompt": "a", "n": 1000}`:             "n is 1000",
		`{"model": "model", "prompt": "a", "frequency_penalty":1}`: "frequency_penalty",
	} {
		if code, got := post(t, s, "/completions", s.key, body); code < 400 || !strings.Contains(got, want) {
			t.Errorf("%s: got %d %s", body, code, got)
		}
	}
	if len(m.asked) > 0 {
		t.Errorf("asked %v", m.asked)
	}
}
