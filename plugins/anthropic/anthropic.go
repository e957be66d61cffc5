package anthropic

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	keyVariable  = "ANTHROPIC_API_KEY"
	officialHost = "api.anthropic.com"
	// apiVersion is the version of the API, which every request must name.
	apiVersion = "2023-06-01"
	// defaultTokens is the maximum length of an answer if the user sets none.
	// The API requires a limit.
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
	provider.Batching

	key      *provider.Key
	official bool
	url      string
	header   http.Header
}

type impl struct{}

// Prepare checks the arguments and declares what is known about the model.
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
	a.Batching.Check(p.Errorf, &a.Limits)
	info := a.Info(&a.Sampling, "", a.Batching.Of(price))
	a.Batching.Declare(&info, batchLimits)
	info.Host = host
	if info.MaxTokens == 0 {
		info.MaxTokens = defaultTokens
	}
	p.SetModelInfo(info)
	return nil
}

// Open determines where requests are sent, and the headers of all of them.
func (impl) Open(_ context.Context, a *args) error {
	base := provider.URL(a.Endpoint(a.BaseURL))
	if base == nil {
		return plugin.ArgumentErrorf(a.Argument(), "%s is not a valid address", a.Argument())
	}
	path := strings.TrimSuffix(strings.TrimRight(base.EscapedPath(), "/"), "/v1")
	base.Path, base.RawPath = "", ""
	a.url = base.JoinPath(path, "v1/messages").String()
	a.key = a.Key(keyVariable)
	a.header = http.Header{"Anthropic-Version": {apiVersion}}
	a.Add(a.header)
	return nil
}

// Check reports whether a key is missing.
func (impl) Check(_ context.Context, a *args) error {
	if a.key.Missing() && a.official {
		return errNoKey
	}
	return nil
}

var errNoKey = &llm.CallError{Message: "no key is set for " + officialHost + ": set the variable " + keyVariable + ", or api_key or api_key_command in the model's block"}

// Chat makes one attempt.
func (impl) Chat(ctx context.Context, a *args, r *llm.Request) (*llm.Response, error) {
	body, err := a.body(a.Complete(r))
	if err != nil {
		return nil, &llm.CallError{Message: err.Error()}
	}
	call, err := a.call(ctx, a.url)
	if err != nil {
		return nil, err
	}
	var got answer
	raw, failure, code := call.Post(ctx, body, &got)
	switch {
	case failure != nil:
		if code == "billing_error" {
			failure.Temporary = false
		}
		return nil, failure
	case got.StopReason == "":
		if reported := call.Inside(raw); reported != nil {
			return nil, reported
		}
		return nil, provider.Garbled(http.StatusOK, errors.New("it has no stop_reason"))
	}
	out := response(&got)
	a.Read(out)
	return out, nil
}

// call returns an attempt to call an address of the API, with the key.
func (a *args) call(ctx context.Context, address string) (*provider.Call, error) {
	key, err := a.key.Get(ctx)
	if err != nil {
		return nil, err
	}
	if key == "" && a.official {
		return nil, errNoKey
	}
	call := &provider.Call{URL: address, Header: a.header.Clone(), Source: a.key, Key: key}
	if key != "" {
		call.Header.Set("X-Api-Key", key)
	}
	return call, nil
}

// body converts a request to the API's format.
func (a *args) body(r *llm.Request) (*messagesRequest, error) {
	out := &messagesRequest{
		Model: a.Name, MaxTokens: defaultTokens, StopSequences: r.Stop, Temperature: r.Temperature, TopP: r.TopP,
		OutputConfig: outputConfig{Effort: a.Effort},
	}
	if r.MaxTokens != nil {
		out.MaxTokens = *r.MaxTokens
	}
	if r.Output != nil {
		format := &outputFormat{Type: "json_schema"}
		if err := json.Unmarshal(r.Output.Schema, &format.Schema); err != nil {
			return nil, fmt.Errorf("the output's schema is not a JSON object: %w", err)
		}
		out.OutputConfig.Format = format
	}
	for _, t := range r.Tools {
		schema := map[string]any{}
		if len(t.Parameters) > 0 {
			if err := json.Unmarshal(t.Parameters, &schema); err != nil {
				return nil, fmt.Errorf("the parameters of tool %q are not a JSON object: %w", t.Name, err)
			}
		}
		if schema == nil { // JSON null: the tool declares no parameters
			schema = map[string]any{}
		}
		schema["type"] = "object"
		out.Tools = append(out.Tools, tool{t.Name, t.Description, schema})
	}
	return out, out.add(r.Messages)
}

// add adds messages. System messages go into a separate field, and answers of
// tools become user messages. Consecutive messages of the same role are merged.
// Empty messages are dropped: the API returns such answers but refuses them in
// requests.
func (r *messagesRequest) add(messages []llm.Message) error {
	for _, m := range messages {
		if m.Role == llm.System {
			if m.Content != "" {
				r.System = append(r.System, text(m.Content))
			}
			continue
		}
		role, blocks, err := said(&m)
		if err != nil {
			return err
		}
		if len(blocks) == 0 {
			continue
		}
		if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == role {
			r.Messages[n-1].Content = append(r.Messages[n-1].Content, blocks...)
			continue
		}
		r.Messages = append(r.Messages, message{role, blocks})
	}
	return nil
}

// said returns the role and the blocks of a message.
func said(m *llm.Message) (role string, blocks []block, err error) {
	switch m.Role {
	case llm.ToolRole:
		return llm.User, []block{toolResult(m.ToolCallID, m.Content)}, nil
	case llm.Assistant:
		if m.Content != "" {
			blocks = append(blocks, text(m.Content))
		}
		for _, c := range m.ToolCalls {
			if !json.Valid([]byte(c.Arguments)) {
				return "", nil, fmt.Errorf("the arguments of a call to tool %q are not valid JSON", c.Name)
			}
			blocks = append(blocks, block{Type: "tool_use", ID: c.ID, Name: c.Name, Input: json.RawMessage(c.Arguments)})
		}
		return llm.Assistant, blocks, nil
	}
	return llm.User, []block{text(m.Content)}, nil
}

// finish maps the API's stop reasons to those of quern.
var finish = map[string]string{
	"end_turn":                      llm.FinishStop,
	"stop_sequence":                 llm.FinishStop,
	"max_tokens":                    llm.FinishLength,
	"model_context_window_exceeded": llm.FinishLength,
	"tool_use":                      llm.FinishToolCalls,
	"refusal":                       llm.FinishRefusal,
}

// response converts the API's answer.
func response(got *answer) *llm.Response {
	out := &llm.Response{FinishReason: cmp.Or(finish[got.StopReason], got.StopReason), Model: got.Model}
	for _, b := range got.Content {
		switch b.Type {
		case "text":
			out.Text += b.Text
		case "tool_use":
			out.ToolCalls = append(out.ToolCalls, llm.ToolCall{ID: b.ID, Name: b.Name, Arguments: string(b.Input)})
		}
	}
	if out.FinishReason == llm.FinishRefusal {
		out.Refusal = cmp.Or(got.StopDetails.Explanation, out.Text)
	}
	u := got.Usage
	out.Usage = llm.Usage{
		Input:       int64(u.Input + u.CacheCreation + u.CacheRead),
		CachedInput: int64(u.CacheRead), Output: int64(u.Output),
	}
	return out
}
