// Package llm defines requests to language models and their answers, as
// prompts, stages, providers, and reports share them.
//
// The JSON form of a Request is canonical: equal requests have equal bytes.
// Answers are cached by it. docs/protocol.md specifies it.
package llm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"sync/atomic"
)

// Request asks a model for one answer. Parameters that are not set come from
// the model's block or, failing that, from the provider.
type Request struct {
	Messages []Message `json:"messages,omitzero"`
	Tools    []Tool    `json:"tools,omitempty"`
	// Output is the JSON schema that the answer must match.
	Output *Output `json:"output,omitempty"`

	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"top_p,omitempty"`
	MaxTokens   *int64   `json:"max_tokens,omitempty"`
	Seed        *int64   `json:"seed,omitempty"`
	Stop        []string `json:"stop,omitempty"`
	// LogProbs asks for the log-probabilities of the answer's tokens, if the
	// model offers them.
	LogProbs bool `json:"logprobs,omitempty"`
	// Prompt is a text that the model continues as it is, in place of Messages.
	Prompt string `json:"prompt,omitempty"`
	// PromptLogProbs asks for the log-probabilities of the tokens of Prompt or
	// Messages. With MaxTokens 0, the model generates nothing.
	PromptLogProbs bool `json:"prompt_logprobs,omitempty"`
}

// Capabilities returns what a model must be able to do to answer the request:
// chat, complete, score.
func (r *Request) Capabilities() []string {
	var needs []string
	switch {
	case r.Prompt == "":
		needs = append(needs, "chat")
	case !r.OnlyScores():
		needs = append(needs, "complete")
	}
	if r.PromptLogProbs {
		needs = append(needs, "score")
	}
	return needs
}

// OnlyScores reports whether the model generates nothing.
func (r *Request) OnlyScores() bool {
	return r.PromptLogProbs && r.MaxTokens != nil && *r.MaxTokens == 0
}

// WithDefaults returns the request with parameters from defaults where it sets
// none.
func (r *Request) WithDefaults(defaults *Request) *Request {
	out := *r
	out.Temperature = cmp.Or(r.Temperature, defaults.Temperature)
	out.TopP = cmp.Or(r.TopP, defaults.TopP)
	out.MaxTokens = cmp.Or(r.MaxTokens, defaults.MaxTokens)
	out.Seed = cmp.Or(r.Seed, defaults.Seed)
	if r.Stop == nil {
		out.Stop = defaults.Stop
	}
	return &out
}

// Roles of messages.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
	ToolRole  = "tool"
)

// Message is a turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	// ToolCalls is for an assistant's message.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// ToolCallID is for a tool's message: the call that it answers.
	ToolCallID string `json:"tool_call_id,omitempty"`
}

// Tool is a function that the model can ask to call.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // a JSON schema
}

// ToolCall is a model's request to call a function.
type ToolCall struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	// Arguments is JSON as the model wrote it. It can be malformed.
	Arguments string `json:"arguments"`
}

// Output describes the required form of an answer.
type Output struct {
	Name   string          `json:"name,omitempty"`
	Schema json.RawMessage `json:"schema"`
	Strict bool            `json:"strict,omitempty"`
}

// Why an answer ended.
const (
	FinishStop          = "stop"
	FinishLength        = "length"
	FinishToolCalls     = "tool_calls"
	FinishContentFilter = "content_filter"
	FinishRefusal       = "refusal"
	// FinishError means that the provider failed midway. It is not an answer.
	FinishError = "error"
)

// Response is a model's answer. A refusal or a filtered answer is an answer,
// too.
type Response struct {
	Text         string     `json:"text"`
	ToolCalls    []ToolCall `json:"tool_calls,omitempty"`
	FinishReason string     `json:"finish_reason,omitempty"`
	// Refusal is the model's explanation for declining, if it is separate from
	// Text.
	Refusal string `json:"refusal,omitempty"`
	// Thinking is the model's reasoning before Text.
	Thinking string `json:"thinking,omitempty"`
	Usage    Usage  `json:"usage"`
	// LogProbs of the tokens of Text, as natural logarithms.
	LogProbs []LogProb `json:"logprobs,omitempty"`
	// PromptLogProbs are all tokens of the request, if it asked for them.
	PromptLogProbs []PromptLogProb `json:"prompt_logprobs,omitempty"`
	// Model is the name that the provider reports.
	Model string `json:"model,omitempty"`

	// The host adds the rest.

	// Latency of the attempt that succeeded, in seconds.
	Latency float64 `json:"latency,omitempty"`
	// Cost in the currency of the model's prices; nil if a price is unknown.
	Cost *float64 `json:"cost,omitempty"`
	// Cached is set if no provider was called this time.
	Cached bool `json:"cached,omitempty"`
	// Digest is the key under which the answer is cached, sha256:HEX. It is empty if
	// the model's answers are not cached.
	Digest string `json:"digest,omitempty"`
}

// Refused reports whether the model declined or a filter cut the answer off.
func (r *Response) Refused() bool {
	return r.Refusal != "" || r.FinishReason == FinishRefusal || r.FinishReason == FinishContentFilter
}

// Usage counts tokens. Input includes CachedInput.
type Usage struct {
	Input       int64 `json:"input"` // all, cached ones among them
	CachedInput int64 `json:"cached_input,omitempty"`
	Output      int64 `json:"output"`
	// Estimated is set if the provider did not report all counts.
	Estimated bool `json:"estimated,omitempty"`
}

// LogProb is a token with its natural log-probability.
type LogProb struct {
	Token   string  `json:"token"`
	LogProb float64 `json:"logprob"`
}

// PromptLogProb is a token of a request.
type PromptLogProb struct {
	// Token is the text of the token. Joined, the texts of all tokens give the
	// prompt. If a token ends in the middle of a character, its text is empty, and
	// the token that completes the character has the whole character. The text of a
	// token that the model adds, such as one for the beginning, is empty, too.
	Token string `json:"token"`
	// LogProb is the natural logarithm of the token's probability after the tokens
	// before it; nil for the first.
	LogProb *float64 `json:"logprob"`
	// Top is the most likely token in its place; nil if the model does not say.
	Top *LogProb `json:"top,omitempty"`
	// Message is the index of the message whose content, or end, the token is; nil
	// for tokens of the chat template, and for a prompt.
	Message *int `json:"message,omitempty"`
}

// Encode returns the canonical JSON of a request.
func (r *Request) Encode() ([]byte, error) {
	c := *r
	c.Tools = make([]Tool, len(r.Tools))
	for i, t := range r.Tools {
		var err error
		if t.Parameters, err = canonical(t.Parameters); err != nil {
			return nil, err
		}
		c.Tools[i] = t
	}
	if r.Output != nil {
		o := *r.Output
		var err error
		if o.Schema, err = canonical(o.Schema); err != nil {
			return nil, err
		}
		c.Output = &o
	}
	return json.Marshal(&c)
}

// canonical returns JSON without spaces and with sorted keys.
func canonical(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if last := lastCanonical.Load(); last != nil && bytes.Equal(raw, last.raw) {
		return last.canonical, nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	out, err := json.Marshal(v)
	if err == nil {
		lastCanonical.Store(&canonicalized{bytes.Clone(raw), out})
	}
	return out, err
}

// lastCanonical caches the last result of canonical: all requests of a stage
// have the same schema.
var lastCanonical atomic.Pointer[canonicalized]

type canonicalized struct{ raw, canonical json.RawMessage }
