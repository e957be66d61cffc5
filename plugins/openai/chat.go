package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Chat makes one attempt.
func (impl) Chat(ctx context.Context, a *args, r *llm.Request) (*llm.Response, error) {
	if r = a.Complete(r); r.Prompt != "" {
		return a.complete(ctx, r)
	}
	body, err := a.chatBody(r)
	if err != nil {
		return nil, err
	}
	var got completion
	call, _, err := a.post(ctx, chatPath, body, &got)
	if filtered := (*filteredError)(nil); errors.As(err, &filtered) {
		return filteredAnswer(filtered.CallError), nil
	}
	if err != nil {
		return nil, err
	}
	return a.completed(call, &got)
}

// chatBody converts a request that has the model's arguments to the endpoint's
// format.
func (a *args) chatBody(r *llm.Request) (*completionRequest, error) {
	if r.PromptLogProbs {
		return nil, &llm.CallError{Message: "endpoints with OpenAI's API return the log-probabilities of prompts, not of messages: send a prompt"}
	}
	if a.JSON != provider.JSONSchema {
		r = provider.Described(r)
	}
	body, err := a.body(r)
	if err != nil {
		return nil, &llm.CallError{Message: err.Error()}
	}
	return body, nil
}

// filteredAnswer is the answer to an input that a filter refused.
func filteredAnswer(e *llm.CallError) *llm.Response {
	return &llm.Response{FinishReason: llm.FinishContentFilter, Refusal: e.Message}
}

// completed converts the endpoint's answer, which may report a failure.
func (a *args) completed(call *provider.Call, got *completion) (*llm.Response, error) {
	if failure := inside(call, got); failure != nil {
		return nil, failure
	}
	out, err := response(got)
	if err == nil {
		a.Read(out)
	}
	return out, err
}

// post makes one call.
func (a *args) post(ctx context.Context, path string, request, answer any) (*provider.Call, json.RawMessage, error) {
	call, err := a.call(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	if request, err = a.with(request); err != nil {
		return nil, nil, &llm.CallError{Message: err.Error()}
	}
	raw, failure, code := call.Post(ctx, request, answer)
	switch {
	case failure == nil:
		return call, raw, nil
	case filtered[code] && failure.Status == http.StatusBadRequest:
		return nil, nil, &filteredError{failure}
	case code == "insufficient_quota":
		// Waiting does not help against this 429.
		failure.Temporary = false
	}
	return nil, nil, failure
}

// filtered contains the error codes for an input that a content filter refused.
var filtered = map[string]bool{
	"content_filter": true, "content_policy_violation": true, "ResponsibleAIPolicyViolation": true,
}

// filteredError says that a filter refused an input. It counts as an answer.
type filteredError struct{ *llm.CallError }

// inside returns the failure that an answer reports in its body.
func inside(call *provider.Call, got *completion) *llm.CallError {
	errs := []json.RawMessage{got.Error}
	if len(got.Choices) > 0 {
		errs = append(errs, got.Choices[0].Error)
	}
	for _, e := range errs {
		if len(e) == 0 || string(e) == "null" {
			continue
		}
		body, err := json.Marshal(map[string]json.RawMessage{"error": e})
		if err != nil {
			return provider.Garbled(http.StatusOK, err)
		}
		if failure := call.Inside(body); failure != nil {
			return failure
		}
	}
	return nil
}

// body converts a request to the endpoint's format.
func (a *args) body(r *llm.Request) (*completionRequest, error) {
	out := &completionRequest{
		Model: a.Name, ReasoningEffort: a.ReasoningEffort, Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed,
		Stop: r.Stop, LogProbs: r.LogProbs || a.LogProbs, Messages: make([]completionMessage, len(r.Messages)),
	}
	for i := range r.Messages {
		out.Messages[i] = message(&r.Messages[i])
	}
	for _, t := range r.Tools {
		if len(t.Parameters) > 0 && !json.Valid(t.Parameters) {
			return nil, fmt.Errorf("the parameters of tool %q are not a JSON schema", t.Name)
		}
		out.Tools = append(out.Tools, completionTool{"function", toolDefinition(t)})
	}
	switch o := r.Output; {
	case o == nil || a.JSON == provider.JSONNone:
	case a.JSON == provider.JSONObject:
		out.ResponseFormat = &responseFormat{Type: "json_object"}
	default:
		out.ResponseFormat = &responseFormat{"json_schema", &formatSchema{name(o.Name), o.Schema, o.Strict}}
	}
	if a.official || a.azure || a.MaxCompletionTokens != nil {
		// Reasoning models refuse the older field, and other endpoints don't
		// know this one.
		out.MaxCompletionTokens = r.MaxTokens
	} else {
		out.MaxTokens = r.MaxTokens
	}
	return out, nil
}

// name returns the name of an output schema.
func name(given string) string {
	if given == "" {
		return "answer"
	}
	return given
}

func message(m *llm.Message) completionMessage {
	out := completionMessage{Role: m.Role, ToolCallID: m.ToolCallID}
	if m.Content != "" || len(m.ToolCalls) == 0 {
		out.Content = (*content)(&m.Content)
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, completionCall{c.ID, "function", completionFunction{c.Name, c.Arguments}})
	}
	return out
}

// response converts the endpoint's answer.
func response(got *completion) (*llm.Response, error) {
	if len(got.Choices) == 0 {
		return nil, provider.Garbled(http.StatusOK, errors.New("it has no choices"))
	}
	c := &got.Choices[0]
	out := &llm.Response{
		FinishReason: c.FinishReason, Refusal: c.Message.Refusal, Model: got.Model, LogProbs: c.LogProbs.Content,
		Thinking: cmp.Or(c.Message.ReasoningContent, c.Message.Reasoning),
		Usage:    llm.Usage{Input: int64(got.Usage.Prompt), CachedInput: int64(got.Usage.Details.Cached), Output: int64(got.Usage.Completion)},
	}
	if c.Message.Content != nil {
		out.Text = string(*c.Message.Content)
	}
	for _, t := range c.Message.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, llm.ToolCall{ID: t.ID, Name: t.Function.Name, Arguments: t.Function.Arguments})
	}
	switch {
	case out.Refusal != "":
		out.FinishReason = llm.FinishRefusal
	case c.FinishReason == "function_call":
		out.FinishReason = llm.FinishToolCalls
	}
	return out, nil
}

// Embed makes one attempt.
func (impl) Embed(ctx context.Context, a *args, texts []string) (*plugin.Embeddings, error) {
	request := &embeddingRequest{Model: a.Name, Input: texts, EncodingFormat: "float", Dimensions: a.Dimensions}
	var got embeddings
	call, raw, err := a.post(ctx, "embeddings", request, &got)
	if filtered := (*filteredError)(nil); errors.As(err, &filtered) {
		return nil, &llm.CallError{Message: "a content filter refused the texts", Status: http.StatusBadRequest}
	}
	if err != nil {
		return nil, err
	}
	if failure := call.Inside(raw); failure != nil {
		return nil, failure
	}
	return vectors(&got, len(texts))
}

// vectors returns the embeddings in the order of the texts.
func vectors(got *embeddings, n int) (*plugin.Embeddings, error) {
	out := &plugin.Embeddings{Vectors: make([][]float32, n), InputTokens: int64(got.Usage.Prompt)}
	for _, e := range got.Data {
		if e.Index < 0 || e.Index >= n || out.Vectors[e.Index] != nil {
			return nil, provider.Garbled(http.StatusOK, fmt.Errorf("it has an embedding with index %d for %d texts", e.Index, n))
		}
		v := make([]float32, len(e.Embedding))
		for i, x := range e.Embedding {
			v[i] = float32(x)
		}
		out.Vectors[e.Index] = v
	}
	if len(got.Data) != n {
		return nil, provider.Garbled(http.StatusOK, fmt.Errorf("it has %d embeddings for %d texts", len(got.Data), n))
	}
	return out, nil
}
