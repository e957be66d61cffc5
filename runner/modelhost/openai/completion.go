package openai

import (
	"errors"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// completionRequest is the body of a request to /completions, as far as quern can
// pass it on.
type completionRequest struct {
	Model       string   `json:"model"`
	Prompt      prompts  `json:"prompt"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	MaxTokens   *int64   `json:"max_tokens"`
	Seed        *int64   `json:"seed"`
	Stop        texts    `json:"stop"`
	LogProbs    *int64   `json:"logprobs"`
	Echo        bool     `json:"echo"`
	N           *int64   `json:"n"`
}

// prompts is one prompt or a list of them. A prompt of tokens is an error.
type prompts []string

func (p *prompts) UnmarshalJSON(raw []byte) error {
	if (*texts)(p).UnmarshalJSON(raw) != nil || len(*p) == 0 {
		return errors.New("prompt must be a text or a list of texts: quern cannot pass on tokens, because it does not know the model's tokenizer, and a cached answer must belong to a text")
	}
	return nil
}

// requests returns the requests that quern asks the model, one for each prompt.
func (r *completionRequest) requests() ([]*llm.Request, error) {
	if r.LogProbs != nil && (*r.LogProbs < 0 || *r.LogProbs > 1) {
		return nil, invalid("logprobs is %d; quern returns only the most likely token, so it must be 0 or 1", *r.LogProbs)
	}
	if len(r.Prompt) == 0 {
		return nil, invalid("the request has no prompt")
	}
	var out []*llm.Request
	for _, prompt := range r.Prompt {
		if prompt == "" {
			return nil, invalid("a prompt is empty")
		}
		request := &llm.Request{
			Prompt: prompt, Temperature: r.Temperature, TopP: r.TopP, MaxTokens: r.MaxTokens, Seed: r.Seed, Stop: r.Stop,
			LogProbs: r.LogProbs != nil, PromptLogProbs: r.LogProbs != nil && r.Echo,
		}
		if err := request.Check(); err != nil {
			return nil, invalid("%s", err)
		}
		out = append(out, request)
	}
	return out, nil
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	var wanted completionRequest
	answers, err := func() ([][]*llm.Response, error) {
		if err := read(w, r, &wanted); err != nil {
			return nil, err
		}
		requests, err := wanted.requests()
		if err != nil {
			return nil, err
		}
		return s.askAll(r, wanted.Model, requests, wanted.N)
	}()
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, textCompletionOf(&wanted, answers))
}

// askAll returns the answers to several requests.
func (s *Server) askAll(r *http.Request, model string, requests []*llm.Request, n *int64) ([][]*llm.Response, error) {
	answers := make([][]*llm.Response, len(requests))
	errs := make([]error, len(requests))
	var asking sync.WaitGroup
	for i, request := range requests {
		asking.Go(func() { answers[i], errs[i] = s.ask(r, model, request, n) })
	}
	asking.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

type textCompletion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []textChoice `json:"choices"`
	Usage   *usage       `json:"usage"`
}

type textChoice struct {
	Index        int           `json:"index"`
	Text         string        `json:"text"`
	FinishReason *string       `json:"finish_reason"`
	LogProbs     *textLogProbs `json:"logprobs"`
}

// textLogProbs are the tokens of a text, in parallel lists.
type textLogProbs struct {
	Tokens   []string   `json:"tokens"`
	LogProbs []*float64 `json:"token_logprobs"`
	// Top has the most likely token and the token itself; null for the first.
	Top []map[string]float64 `json:"top_logprobs"`
	// Offset is where each token begins, in characters.
	Offset []int `json:"text_offset"`
}

func textCompletionOf(wanted *completionRequest, answers [][]*llm.Response) *textCompletion {
	out := &textCompletion{ID: "cmpl-quern", Object: "text_completion", Created: time.Now().Unix(), Model: wanted.Model, Usage: &usage{}}
	for i, draws := range answers {
		out.Usage.add(usageOf(draws))
		for _, a := range draws {
			choice := textChoice{Index: len(out.Choices), Text: a.Text, FinishReason: finishOf(a), LogProbs: textLogProbsOf(wanted, a)}
			if wanted.Echo {
				choice.Text = wanted.Prompt[i] + a.Text
			}
			out.Choices = append(out.Choices, choice)
		}
	}
	return out
}

func (u *usage) add(other *usage) {
	u.Prompt += other.Prompt
	u.Completion += other.Completion
	u.Total += other.Total
	u.Details.Cached += other.Details.Cached
}

func textLogProbsOf(wanted *completionRequest, a *llm.Response) *textLogProbs {
	if wanted.LogProbs == nil {
		return nil
	}
	out := &textLogProbs{Tokens: []string{}, LogProbs: []*float64{}, Top: []map[string]float64{}, Offset: []int{}}
	for _, t := range a.PromptLogProbs {
		out.add(t.Token, t.LogProb, t.Top)
	}
	for _, t := range a.LogProbs {
		out.add(t.Token, &t.LogProb, nil)
	}
	if len(a.LogProbs) == 0 && wanted.Echo && (wanted.MaxTokens == nil || *wanted.MaxTokens > 0) {
		// The end of the text takes a place, too: clients count from the end.
		out.add("", nil, nil)
	}
	return out
}

func (l *textLogProbs) add(token string, p *float64, top *llm.LogProb) {
	offset := 0
	if n := len(l.Tokens); n > 0 {
		offset = l.Offset[n-1] + utf8.RuneCountInString(l.Tokens[n-1])
	}
	var likely map[string]float64
	if p != nil {
		likely = map[string]float64{token: *p}
		if top != nil {
			likely[top.Token] = top.LogProb
		}
	}
	l.Tokens, l.LogProbs, l.Top, l.Offset = append(l.Tokens, token), append(l.LogProbs, p), append(l.Top, likely), append(l.Offset, offset)
}
