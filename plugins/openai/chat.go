package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Chat makes one attempt.
func (impl) Chat(ctx context.Context, a *args, r *llm.Request) (*llm.Response, error) {
	params, err := a.params(a.Complete(r))
	if err != nil {
		return nil, &llm.CallError{Message: err.Error()}
	}
	key, options, err := a.authorise(ctx)
	if err != nil {
		return nil, err
	}
	var raw *http.Response
	got, err := a.chat.New(ctx, *params, append(options, option.WithResponseInto(&raw))...)
	if err != nil || raw != nil && raw.StatusCode >= 300 {
		return a.failed(ctx, key, raw, err)
	}
	return response(got)
}

// params is a request as the SDK has it.
func (a *args) params(r *llm.Request) (*openai.ChatCompletionNewParams, error) {
	p := &openai.ChatCompletionNewParams{Model: a.Name, ReasoningEffort: shared.ReasoningEffort(a.ReasoningEffort)}
	for _, m := range r.Messages {
		p.Messages = append(p.Messages, message(m))
	}
	for _, t := range r.Tools {
		f := shared.FunctionDefinitionParam{Name: t.Name}
		if t.Description != "" {
			f.Description = openai.String(t.Description)
		}
		if len(t.Parameters) > 0 {
			if err := json.Unmarshal(t.Parameters, &f.Parameters); err != nil {
				return nil, fmt.Errorf("the parameters of tool %q are no JSON schema: %w", t.Name, err)
			}
		}
		p.Tools = append(p.Tools, openai.ChatCompletionFunctionTool(f))
	}
	if o := r.Output; o != nil {
		p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: name(o.Name), Schema: o.Schema, Strict: openai.Bool(o.Strict),
		}}
	}
	a.sample(p, r)
	return p, nil
}

// name is what an output schema is called.
func name(given string) string {
	if given == "" {
		return "answer"
	}
	return given
}

func (a *args) sample(p *openai.ChatCompletionNewParams, r *llm.Request) {
	if r.Temperature != nil {
		p.Temperature = openai.Float(*r.Temperature)
	}
	if r.TopP != nil {
		p.TopP = openai.Float(*r.TopP)
	}
	if r.Seed != nil {
		p.Seed = openai.Int(*r.Seed)
	}
	if len(r.Stop) > 0 {
		p.Stop.OfStringArray = r.Stop
	}
	if r.LogProbs || a.LogProbs {
		p.Logprobs = openai.Bool(true)
	}
	switch {
	case r.MaxTokens == nil:
	case a.official || a.azure:
		// Reasoning models refuse the older field, others don't know this one.
		p.MaxCompletionTokens = openai.Int(*r.MaxTokens)
	default:
		p.MaxTokens = openai.Int(*r.MaxTokens)
	}
}

func message(m llm.Message) openai.ChatCompletionMessageParamUnion {
	switch m.Role {
	case llm.System:
		return openai.SystemMessage(m.Content)
	case llm.ToolRole:
		return openai.ToolMessage(m.Content, m.ToolCallID)
	case llm.Assistant:
		out := openai.ChatCompletionAssistantMessageParam{}
		if m.Content != "" || len(m.ToolCalls) == 0 {
			out.Content.OfString = openai.String(m.Content)
		}
		for _, c := range m.ToolCalls {
			out.ToolCalls = append(out.ToolCalls, openai.ChatCompletionMessageToolCallUnionParam{
				OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
					ID:       c.ID,
					Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: c.Name, Arguments: c.Arguments},
				},
			})
		}
		return openai.ChatCompletionMessageParamUnion{OfAssistant: &out}
	}
	return openai.UserMessage(m.Content)
}

// response is what the model answered.
func response(got *openai.ChatCompletion) (*llm.Response, error) {
	if len(got.Choices) == 0 {
		return nil, provider.Garbled(http.StatusOK, errors.New("it has no choices"))
	}
	c := got.Choices[0]
	out := &llm.Response{
		Text: c.Message.Content, FinishReason: c.FinishReason, Refusal: c.Message.Refusal, Model: got.Model,
		Usage: llm.Usage{
			Input: got.Usage.PromptTokens, CachedInput: got.Usage.PromptTokensDetails.CachedTokens,
			Output: got.Usage.CompletionTokens,
		},
	}
	for _, t := range c.Message.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, llm.ToolCall{ID: t.ID, Name: t.Function.Name, Arguments: t.Function.Arguments})
	}
	for _, l := range c.Logprobs.Content {
		out.LogProbs = append(out.LogProbs, llm.LogProb{Token: l.Token, LogProb: l.Logprob})
	}
	switch {
	case out.Refusal != "":
		out.FinishReason = llm.FinishRefusal
	case c.FinishReason == "function_call":
		out.FinishReason = llm.FinishToolCalls
	}
	return out, nil
}

// filtered are the codes of an input that a content filter refused.
var filtered = map[string]bool{
	"content_filter": true, "content_policy_violation": true, "ResponsibleAIPolicyViolation": true,
}

// failed tells failures apart. An input that a filter refused is an answer.
func (a *args) failed(ctx context.Context, key string, raw *http.Response, err error) (*llm.Response, error) {
	failure, code := provider.Failed(ctx, a.key, key, raw, err)
	switch {
	case filtered[code] && failure.Status == http.StatusBadRequest:
		return &llm.Response{FinishReason: llm.FinishContentFilter, Refusal: failure.Message}, nil
	case code == "insufficient_quota":
		// A 429 that no waiting mends.
		failure.Temporary = false
	}
	return nil, failure
}

// Embed makes one attempt.
func (impl) Embed(ctx context.Context, a *args, texts []string) (*plugin.Embeddings, error) {
	params := openai.EmbeddingNewParams{
		Model: a.Name, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	}
	if a.Dimensions != nil {
		params.Dimensions = openai.Int(*a.Dimensions)
	}
	key, options, err := a.authorise(ctx)
	if err != nil {
		return nil, err
	}
	var raw *http.Response
	got, err := a.embeddings.New(ctx, params, append(options, option.WithResponseInto(&raw))...)
	if err != nil || raw != nil && raw.StatusCode >= 300 {
		if _, err = a.failed(ctx, key, raw, err); err == nil {
			err = &llm.CallError{Message: "a content filter refused the texts", Status: http.StatusBadRequest}
		}
		return nil, err
	}
	return vectors(got, len(texts))
}

// vectors puts the embeddings into the order of the texts.
func vectors(got *openai.CreateEmbeddingResponse, n int) (*plugin.Embeddings, error) {
	out := &plugin.Embeddings{Vectors: make([][]float32, n), InputTokens: got.Usage.PromptTokens}
	for _, e := range got.Data {
		if e.Index < 0 || e.Index >= int64(n) || out.Vectors[e.Index] != nil {
			return nil, provider.Garbled(http.StatusOK, fmt.Errorf("it has an embedding %d for %d texts", e.Index, n))
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
