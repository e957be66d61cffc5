package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	keyVariable  = "ANTHROPIC_API_KEY"
	officialHost = "api.anthropic.com"
	// defaultTokens is how long an answer may be where nothing is said: the
	// API wants a number.
	defaultTokens = 4096
)

type args struct {
	Name    string `quern:"name,required" doc:"The model's name, such as \"claude-haiku-4-5\"."`
	BaseURL string `quern:"base_url" default:"\"https://api.anthropic.com\"" doc:"The endpoint's address, without /v1/messages. A model at another endpoint counts as another model, so cached answers are not reused; see address."`
	provider.Moved
	provider.Secret
	provider.Headers
	provider.Sampling
	provider.Reading
	Effort string `quern:"effort" oneof:"low,medium,high,xhigh,max" doc:"How much effort the model puts into an answer, for models that support it."`
	provider.Limits

	key      *provider.Key
	official bool
	messages anthropic.MessageService
}

type impl struct{}

// Prepare checks the arguments and says what is known of the model.
func (impl) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	provider.Check(p, &a.Sampling, &a.Limits)
	host := ""
	if p.Known("base_url") && p.Known("address") {
		u := provider.URL(a.Endpoint(a.BaseURL))
		if u == nil {
			p.Errorf(a.Argument(), "%s is not a valid address\nStart it with http:// or https://.", a.Argument())
			return nil
		}
		if end := provider.Misplaced(u, "/v1/messages", "/messages"); end != "" {
			p.Errorf(a.Argument(), "%s ends in %s\nRemove that: quern adds the path that each call needs.", a.Argument(), end)
		}
		a.official = u.Hostname() == officialHost
		host = u.Host
	}
	if problem := a.Problem(); problem != "" && p.Known("headers") {
		p.Errorf("headers", "%s", problem)
	}
	if a.Seed != nil {
		p.Warnf("seed", "Claude models do not support seeds\nThe seed is not sent. Its only effect is that models with different seeds have separate cached answers.")
	}
	var price *llm.Price
	if a.official {
		price = Prices.Price(a.Name)
	}
	info := a.Info(&a.Sampling, "", price)
	info.Host = host
	if info.MaxTokens == 0 {
		info.MaxTokens = defaultTokens
	}
	p.SetModelInfo(info)
	return nil
}

// Open makes the client.
func (impl) Open(_ context.Context, a *args) error { //nolint:unparam // the interface has the error
	a.key = a.Key(keyVariable)
	// The service is made without the SDK's client, which would take settings
	// from the environment.
	base := strings.TrimSuffix(strings.TrimSuffix(a.Endpoint(a.BaseURL), "/"), "/v1") + "/"
	options := []option.RequestOption{option.WithBaseURL(base), option.WithMaxRetries(0), option.WithHTTPClient(provider.Client)}
	for name, value := range a.Headers.Headers {
		options = append(options, option.WithHeader(name, value))
	}
	a.messages = anthropic.NewMessageService(options...)
	return nil
}

// Check says whether a key is missing.
func (impl) Check(_ context.Context, a *args) error {
	if a.key.Missing() && a.official {
		return errNoKey
	}
	return nil
}

var errNoKey = &llm.CallError{Message: "no key is set for " + officialHost + ": set the variable " + keyVariable + ", or api_key or api_key_command in the model's block"}

// Chat makes one attempt.
func (impl) Chat(ctx context.Context, a *args, r *llm.Request) (*llm.Response, error) {
	params, err := a.params(a.Complete(r))
	if err != nil {
		return nil, &llm.CallError{Message: err.Error()}
	}
	key, err := a.key.Get(ctx)
	if err != nil {
		return nil, err
	}
	if key == "" && a.official {
		return nil, errNoKey
	}
	var raw *http.Response
	options := []option.RequestOption{option.WithResponseInto(&raw)}
	if key != "" {
		options = append(options, option.WithAPIKey(key))
	}
	got, err := a.messages.New(ctx, *params, options...)
	switch {
	case err != nil:
	case raw != nil && raw.StatusCode >= 300:
		err = fmt.Errorf("status %d", raw.StatusCode)
	case got.StopReason == "":
		if failure := provider.Inside(json.RawMessage(got.RawJSON())); failure != nil {
			failure.Message = provider.Redact(failure.Message, key)
			return nil, failure
		}
		err = errors.New("it has no stop_reason")
	}
	if err != nil {
		failure, code := provider.Failed(ctx, a.key, key, raw, err)
		if code == "billing_error" {
			failure.Temporary = false
		}
		return nil, failure
	}
	out := response(got)
	a.Read(out)
	return out, nil
}

// params is a request as the SDK has it.
func (a *args) params(r *llm.Request) (*anthropic.MessageNewParams, error) {
	p := &anthropic.MessageNewParams{Model: a.Name, MaxTokens: defaultTokens, StopSequences: r.Stop}
	if r.MaxTokens != nil {
		p.MaxTokens = *r.MaxTokens
	}
	if r.Temperature != nil {
		p.Temperature = anthropic.Float(*r.Temperature)
	}
	if r.TopP != nil {
		p.TopP = anthropic.Float(*r.TopP)
	}
	p.OutputConfig.Effort = anthropic.OutputConfigEffort(a.Effort)
	if r.Output != nil {
		if err := json.Unmarshal(r.Output.Schema, &p.OutputConfig.Format.Schema); err != nil {
			return nil, fmt.Errorf("the output's schema is not a JSON object: %w", err)
		}
	}
	for _, t := range r.Tools {
		tool, err := tool(t)
		if err != nil {
			return nil, err
		}
		p.Tools = append(p.Tools, tool)
	}
	return p, addMessages(p, r.Messages)
}

func tool(t llm.Tool) (anthropic.ToolUnionParam, error) {
	out := anthropic.ToolParam{Name: t.Name}
	if t.Description != "" {
		out.Description = anthropic.String(t.Description)
	}
	schema := map[string]any{}
	if len(t.Parameters) > 0 {
		if err := json.Unmarshal(t.Parameters, &schema); err != nil {
			return anthropic.ToolUnionParam{}, fmt.Errorf("the parameters of tool %q are not a JSON object: %w", t.Name, err)
		}
	}
	delete(schema, "type") // it is object
	out.InputSchema.ExtraFields = schema
	return anthropic.ToolUnionParam{OfTool: &out}, nil
}

// addMessages adds messages. What the system says stands apart from them, and
// what tools answered is said by the user; messages of one side that follow
// each other are one. Messages with nothing in them are left out: the API
// refuses them, but gives such answers.
func addMessages(p *anthropic.MessageNewParams, messages []llm.Message) error {
	for _, m := range messages {
		var role anthropic.MessageParamRole
		var blocks []anthropic.ContentBlockParamUnion
		switch m.Role {
		case llm.System:
			if m.Content != "" {
				p.System = append(p.System, anthropic.TextBlockParam{Text: m.Content})
			}
			continue
		case llm.ToolRole:
			role, blocks = anthropic.MessageParamRoleUser, []anthropic.ContentBlockParamUnion{anthropic.NewToolResultBlock(m.ToolCallID, m.Content, false)}
		case llm.Assistant:
			role = anthropic.MessageParamRoleAssistant
			if m.Content != "" {
				blocks = append(blocks, anthropic.NewTextBlock(m.Content))
			}
			for _, c := range m.ToolCalls {
				if !json.Valid([]byte(c.Arguments)) {
					return fmt.Errorf("the arguments of a call to tool %q are not valid JSON", c.Name)
				}
				blocks = append(blocks, anthropic.NewToolUseBlock(c.ID, json.RawMessage(c.Arguments), c.Name))
			}
		default:
			role, blocks = anthropic.MessageParamRoleUser, []anthropic.ContentBlockParamUnion{anthropic.NewTextBlock(m.Content)}
		}
		if len(blocks) == 0 {
			continue
		}
		if n := len(p.Messages); n > 0 && p.Messages[n-1].Role == role {
			p.Messages[n-1].Content = append(p.Messages[n-1].Content, blocks...)
			continue
		}
		p.Messages = append(p.Messages, anthropic.MessageParam{Role: role, Content: blocks})
	}
	return nil
}

// finish are the reasons for which an answer ends, as the API names them.
var finish = map[anthropic.StopReason]string{
	anthropic.StopReasonEndTurn:                    llm.FinishStop,
	anthropic.StopReasonStopSequence:               llm.FinishStop,
	anthropic.StopReasonMaxTokens:                  llm.FinishLength,
	anthropic.StopReasonModelContextWindowExceeded: llm.FinishLength,
	anthropic.StopReasonToolUse:                    llm.FinishToolCalls,
	anthropic.StopReasonRefusal:                    llm.FinishRefusal,
}

// response is what the model answered.
func response(got *anthropic.Message) *llm.Response {
	out := &llm.Response{FinishReason: finish[got.StopReason], Model: got.Model}
	if out.FinishReason == "" {
		out.FinishReason = string(got.StopReason)
	}
	for _, b := range got.Content {
		switch b.Type {
		case "text":
			out.Text += b.Text
		case "tool_use":
			out.ToolCalls = append(out.ToolCalls, llm.ToolCall{ID: b.ID, Name: b.Name, Arguments: string(b.Input)})
		}
	}
	if out.FinishReason == llm.FinishRefusal {
		out.Refusal = got.StopDetails.Explanation
		if out.Refusal == "" {
			out.Refusal = out.Text
		}
	}
	u := got.Usage
	out.Usage = llm.Usage{
		Input:       u.InputTokens + u.CacheCreationInputTokens + u.CacheReadInputTokens,
		CachedInput: u.CacheReadInputTokens, Output: u.OutputTokens,
	}
	return out
}
