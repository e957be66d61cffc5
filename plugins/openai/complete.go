package openai

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// complete makes one attempt at a request with a prompt.
func (a *args) complete(ctx context.Context, r *llm.Request) (*llm.Response, error) {
	body := &textRequest{
		Model: a.Name, Prompt: r.Prompt, MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed, Stop: r.Stop,
		Echo: r.PromptLogProbs,
	}
	if r.PromptLogProbs || r.LogProbs || a.LogProbs {
		body.LogProbs = new(int64(1))
	}
	if r.OnlyScores() {
		// Some endpoints refuse 0, and others take it for no limit.
		body.MaxTokens = new(int64(1))
	}
	var got textAnswer
	call, raw, err := a.post(ctx, "completions", body, &got)
	if filtered := (*filteredError)(nil); errors.As(err, &filtered) {
		return &llm.Response{FinishReason: llm.FinishContentFilter, Refusal: filtered.Message}, nil
	}
	if err != nil {
		return nil, err
	}
	if failure := call.Inside(raw); failure != nil {
		return nil, failure
	}
	if len(got.Choices) == 0 {
		return nil, provider.Garbled(http.StatusOK, errors.New("it has no choices"))
	}
	return got.response(r)
}

// textRequest is the body of a request to /completions.
type textRequest struct {
	Model       string   `json:"model"`
	Prompt      string   `json:"prompt"`
	MaxTokens   *int64   `json:"max_tokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"top_p,omitempty"`
	Seed        *int64   `json:"seed,omitempty"`
	Stop        []string `json:"stop,omitempty"`
	LogProbs    *int64   `json:"logprobs,omitempty"`
	Echo        bool     `json:"echo,omitempty"`
}

type textAnswer struct {
	Model   string `json:"model"`
	Choices []struct {
		Text         string        `json:"text"`
		FinishReason string        `json:"finish_reason"`
		LogProbs     *textLogProbs `json:"logprobs"`
	} `json:"choices"`
	Usage struct {
		Prompt     float64 `json:"prompt_tokens"`
		Completion float64 `json:"completion_tokens"`
	} `json:"usage"`
}

// textLogProbs are the tokens of a text, in parallel lists.
type textLogProbs struct {
	Tokens   []string             `json:"tokens"`
	LogProbs []*float64           `json:"token_logprobs"`
	Top      []map[string]float64 `json:"top_logprobs"`
}

func (got *textAnswer) response(r *llm.Request) (*llm.Response, error) {
	c := &got.Choices[0]
	out := &llm.Response{
		Text: c.Text, FinishReason: c.FinishReason, Model: got.Model,
		Usage: llm.Usage{Input: int64(got.Usage.Prompt), Output: int64(got.Usage.Completion)},
	}
	if c.LogProbs != nil && !c.LogProbs.complete() {
		return nil, provider.Garbled(http.StatusOK, errors.New("its lists of tokens and of log-probabilities differ in length"))
	}
	if r.PromptLogProbs {
		echoed, ok := strings.CutPrefix(c.Text, r.Prompt)
		if !ok || c.LogProbs == nil {
			return nil, noScores
		}
		n := c.LogProbs.take(r.Prompt, out)
		if n < 0 {
			return nil, noScores
		}
		c.LogProbs.Tokens, c.LogProbs.LogProbs = c.LogProbs.Tokens[n:], c.LogProbs.LogProbs[n:]
		out.Text = echoed
	}
	if r.OnlyScores() {
		out.Text, out.FinishReason = "", llm.FinishStop
		return out, nil
	}
	if c.LogProbs != nil {
		for i, token := range c.LogProbs.Tokens {
			if p := c.LogProbs.LogProbs[i]; p != nil {
				out.LogProbs = append(out.LogProbs, llm.LogProb{Token: token, LogProb: *p})
			}
		}
	}
	return out, nil
}

// noScores is the failure of an endpoint that does not score prompts.
var noScores = &llm.CallError{
	Status:  http.StatusOK,
	Message: `the endpoint did not return the log-probabilities of the prompt's tokens: it does not support echo with logprobs at /completions. Remove "score" from the model's capabilities`,
}

func (l *textLogProbs) complete() bool {
	return len(l.Tokens) == len(l.LogProbs) && (len(l.Top) == 0 || len(l.Top) == len(l.Tokens))
}

// take adds the tokens of the prompt to a response. It returns how many there are,
// or -1 if the tokens do not add up to the prompt.
func (l *textLogProbs) take(prompt string, out *llm.Response) int {
	rest := prompt
	for i, token := range l.Tokens {
		if rest == "" {
			return i
		}
		text, ok := l.textOf(i, token, rest)
		if !ok {
			return -1
		}
		rest = rest[len(text):]
		scored := llm.PromptLogProb{Token: text, LogProb: l.LogProbs[i]}
		if len(l.Top) > 0 && scored.LogProb != nil {
			scored.Top = likeliest(l.Top[i])
		}
		out.PromptLogProbs = append(out.PromptLogProbs, scored)
	}
	if rest != "" {
		return -1
	}
	return len(l.Tokens)
}

// textOf returns the text of a token, with which the rest of the prompt begins.
// It is empty for a token that marks the beginning of the prompt, and for one that
// ends in the middle of a character.
func (l *textLogProbs) textOf(i int, token, rest string) (text string, ok bool) {
	switch {
	case strings.HasPrefix(rest, token):
		return token, true
	case i == 0 && l.LogProbs[0] == nil:
		return "", true
	case !broken(token):
		return "", false
	}
	if i+1 == len(l.Tokens) {
		return rest, true
	}
	next := l.Tokens[i+1]
	if broken(next) {
		return "", true
	}
	// The character ends where the next token begins.
	for end := range rest {
		if end > 0 && strings.HasPrefix(rest[end:], next) {
			return rest[:end], true
		}
	}
	return rest, true // the next token is the first of the answer
}

// broken reports whether a token is not text: part of the bytes of a character.
func broken(token string) bool {
	return strings.ContainsRune(token, utf8.RuneError) || strings.HasPrefix(token, "bytes:")
}

func likeliest(top map[string]float64) *llm.LogProb {
	var best *llm.LogProb
	for token, p := range top {
		if best == nil || p > best.LogProb || p == best.LogProb && token < best.Token {
			best = &llm.LogProb{Token: token, LogProb: p}
		}
	}
	return best
}

// known are the capabilities of language models.
var known = []string{plugin.CanChat, plugin.CanComplete, plugin.CanScore, plugin.CanEmbed}

// capabilities returns what a model can do, or nil for what most endpoints offer.
func (a *args) capabilities() []string {
	switch {
	case len(a.Capabilities) > 0:
		return a.Capabilities
	case isEmbedding(a.Name):
		return []string{plugin.CanEmbed}
	case a.official && completes[a.Name]:
		return []string{plugin.CanComplete}
	case a.official:
		return []string{plugin.CanChat}
	}
	return nil
}

// completes are OpenAI's models that do not chat. OpenAI does not return the
// log-probabilities of prompts.
var completes = map[string]bool{"gpt-3.5-turbo-instruct": true, "davinci-002": true, "babbage-002": true}
