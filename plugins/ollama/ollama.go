// Package ollama provides models that Ollama serves, and deploys models to it.
// It uses Ollama's own HTTP API, which returns more information than the one
// that is compatible with OpenAI's.
package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	hostVariable   = "OLLAMA_HOST"
	defaultAddress = "http://127.0.0.1:11434"
)

// Types returns the types of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewProvider(plugin.Info{Name: "ollama", Doc: doc, BehaviorVersion: 1}, impl{}),
		plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "ollama", Doc: deployDoc, BehaviorVersion: 1}, deployment{}),
	}
}

const doc = `A language model served by Ollama.

The server is at ` + "`base_url`" + `, or else at the address in the variable ` + "`OLLAMA_HOST`" + `, or else on this machine. Ollama loads a model on the first request, so the first answer may take a while.

` + "```hcl" + `
model "ollama" "local" {
  name            = "llama3.2:3b"
  temperature     = 0
  max_concurrency = 4
}
` + "```" + `
`

type args struct {
	Name    string `quern:"name,required" doc:"The model's name, as 'ollama list' shows it."`
	BaseURL string `quern:"base_url" doc:"The server's address, without /api/chat. A model at another base_url counts as another model, so cached answers are not reused; see address. A change to OLLAMA_HOST does not have this effect."`
	provider.Moved
	provider.Secret
	provider.Headers
	provider.Sampling
	JSON string `quern:"json" default:"\"schema\"" oneof:"schema,object,none" doc:"How to request JSON answers: 'schema' sends the JSON schema, 'object' asks for any JSON object, and 'none' relies on the prompt alone. With 'object' and 'none', the schema is added to the system message."`
	provider.Reading
	Context   *int64 `quern:"context" doc:"The size of the context window, in tokens. The server truncates longer prompts."`
	Think     *bool  `quern:"think" doc:"Whether a reasoning model thinks before it answers."`
	KeepAlive string `quern:"keep_alive,operational" doc:"How long the server keeps the model loaded, such as \"10m\"."`
	provider.Limits

	key  *provider.Key
	base string
}

type impl struct{}

// Prepare checks the arguments.
func (impl) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	provider.Check(p, &a.Sampling, &a.Limits)
	if p.Known("base_url") && p.Known("address") && a.address() == "" {
		p.Errorf(a.Argument(), "%s is not a valid address\nStart it with http:// or https://, such as %q.", a.Argument(), defaultAddress)
	}
	if problem := a.Problem(); problem != "" && p.Known("headers") {
		p.Errorf("headers", "%s", problem)
	}
	info := a.Info(&a.Sampling, "", llm.FreeOfCharge())
	if u := provider.URL(a.address()); u != nil {
		info.Host = u.Host
		if end := provider.Misplaced(u, "/api/chat", "/api/generate", "/api/embed", "/v1"); end != "" {
			p.Errorf(a.Argument(), "%s ends in %s\nRemove that: quern adds the path that each call needs.", a.Argument(), end)
		}
	}
	p.SetModelInfo(info)
	return nil
}

// address returns the server's address, or "" if the argument is not a valid
// address.
func (a *args) address() string { return resolve(a.Endpoint(a.BaseURL)) }

// resolve returns the address of a server for the one that is configured, which
// may be empty. It returns "" if the configured address is invalid.
func resolve(given string) string {
	configured := given != ""
	if !configured {
		given = os.Getenv(hostVariable)
		if given != "" && !strings.Contains(given, "://") {
			given = "http://" + given
		}
	}
	if given == "" {
		return defaultAddress
	}
	u := provider.URL(given)
	if u == nil {
		return ""
	}
	if !configured && u.Port() == "" {
		u.Host = u.Hostname() + ":11434"
	}
	return strings.TrimSuffix(u.String(), "/")
}

// Open determines the server's address and the key, if there is one.
func (impl) Open(_ context.Context, a *args) error {
	a.base, a.key = a.address(), a.Key("")
	return nil
}

type message struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
	ToolName  string     `json:"tool_name,omitempty"`
}

type toolCall struct {
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// Chat makes one attempt.
func (impl) Chat(ctx context.Context, a *args, r *llm.Request) (*llm.Response, error) {
	r = a.Complete(r)
	if a.JSON != provider.JSONSchema {
		r = provider.Described(r)
	}
	body, err := a.request(r)
	if err != nil {
		return nil, &llm.CallError{Message: err.Error()}
	}
	var got struct {
		Model      string  `json:"model"`
		Message    message `json:"message"`
		Done       bool    `json:"done"`
		DoneReason string  `json:"done_reason"`
		Input      int64   `json:"prompt_eval_count"`
		Output     int64   `json:"eval_count"`
		LogProbs   []struct {
			Token   string  `json:"token"`
			LogProb float64 `json:"logprob"`
		} `json:"logprobs"`
	}
	if err := a.post(ctx, "/api/chat", body, &got); err != nil {
		return nil, err
	}
	if !got.Done {
		return nil, provider.Garbled(http.StatusOK, errors.New("it is not done"))
	}
	out := &llm.Response{
		Text: got.Message.Content, FinishReason: got.DoneReason, Model: got.Model,
		Usage: llm.Usage{Input: got.Input, Output: got.Output},
	}
	for i, c := range got.Message.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, llm.ToolCall{
			ID: fmt.Sprintf("call_%d", i), Name: c.Function.Name, Arguments: string(c.Function.Arguments),
		})
		out.FinishReason = llm.FinishToolCalls
	}
	for _, l := range got.LogProbs {
		out.LogProbs = append(out.LogProbs, llm.LogProb{Token: l.Token, LogProb: l.LogProb})
	}
	return out, nil
}

// request returns the body of a chat request.
func (a *args) request(r *llm.Request) (map[string]any, error) {
	messages := make([]message, len(r.Messages))
	names := map[string]string{} // of tools, by the IDs of their calls
	for i, m := range r.Messages {
		messages[i] = message{Role: m.Role, Content: m.Content, ToolName: names[m.ToolCallID]}
		for _, c := range m.ToolCalls {
			if !json.Valid([]byte(c.Arguments)) {
				return nil, fmt.Errorf("the arguments of a call to tool %q are not valid JSON", c.Name)
			}
			call := toolCall{}
			call.Function.Name, call.Function.Arguments = c.Name, json.RawMessage(c.Arguments)
			messages[i].ToolCalls = append(messages[i].ToolCalls, call)
			names[c.ID] = c.Name
		}
	}
	body := map[string]any{"model": a.Name, "messages": messages, "stream": false}
	if options := a.options(r); len(options) > 0 {
		body["options"] = options
	}
	switch {
	case r.Output == nil || a.JSON == provider.JSONNone:
	case a.JSON == provider.JSONObject:
		body["format"] = "json"
	default:
		body["format"] = r.Output.Schema
	}
	if r.LogProbs {
		body["logprobs"] = true
	}
	if a.Think != nil {
		body["think"] = *a.Think
	}
	if a.KeepAlive != "" {
		body["keep_alive"] = a.KeepAlive
	}
	var tools []map[string]any
	for _, t := range r.Tools {
		f := map[string]any{"name": t.Name, "description": t.Description}
		if len(t.Parameters) > 0 {
			f["parameters"] = t.Parameters
		}
		tools = append(tools, map[string]any{"type": "function", "function": f})
	}
	if tools != nil {
		body["tools"] = tools
	}
	return body, nil
}

func (a *args) options(r *llm.Request) map[string]any {
	out := map[string]any{}
	set := func(name string, v any, given bool) {
		if given {
			out[name] = v
		}
	}
	set("temperature", r.Temperature, r.Temperature != nil)
	set("top_p", r.TopP, r.TopP != nil)
	set("num_predict", r.MaxTokens, r.MaxTokens != nil)
	set("seed", r.Seed, r.Seed != nil)
	set("stop", r.Stop, len(r.Stop) > 0)
	set("num_ctx", a.Context, a.Context != nil)
	return out
}

// Embed makes one attempt.
func (impl) Embed(ctx context.Context, a *args, texts []string) (*plugin.Embeddings, error) {
	body := map[string]any{"model": a.Name, "input": texts}
	if a.KeepAlive != "" {
		body["keep_alive"] = a.KeepAlive
	}
	var got struct {
		Embeddings [][]float32 `json:"embeddings"`
		Input      int64       `json:"prompt_eval_count"`
	}
	if err := a.post(ctx, "/api/embed", body, &got); err != nil {
		return nil, err
	}
	return &plugin.Embeddings{Vectors: got.Embeddings, InputTokens: got.Input}, nil
}

// post makes a request and decodes its answer.
func (a *args) post(ctx context.Context, path string, body, into any) error {
	key, err := a.key.Get(ctx)
	if err != nil {
		return err
	}
	header := http.Header{}
	a.Add(header)
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	call := provider.Call{URL: a.base + path, Header: header, Source: a.key, Key: key}
	raw, failure, _ := call.Post(ctx, body, into)
	if failure == nil {
		failure = call.Inside(raw)
	}
	if failure != nil {
		return failure
	}
	return nil
}
