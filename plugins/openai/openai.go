package openai

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	keyVariable  = "OPENAI_API_KEY"
	officialHost = "api.openai.com"
)

type args struct {
	Name    string `quern:"name,required" doc:"The model's name at the endpoint. With Azure's older addresses, the name of the deployment."`
	BaseURL string `quern:"base_url" default:"\"https://api.openai.com/v1\"" doc:"The endpoint's address, without /chat/completions. A model at another endpoint counts as another model, so cached answers are not reused; see address."`
	provider.Moved
	provider.Secret
	provider.Headers
	Organization string `quern:"organization,operational" doc:"The organization to bill."`
	Project      string `quern:"project,operational" doc:"The project to bill."`
	APIVersion   string `quern:"api_version,operational" doc:"The api-version that Azure's older addresses require."`

	provider.Sampling
	MaxCompletionTokens *int64 `quern:"max_completion_tokens" doc:"The maximum length of an answer in tokens, including thinking. It is the same limit as max_tokens, under the name that some endpoints require. OpenAI's and Azure's endpoints get this name either way."`
	JSON                string `quern:"json" default:"\"schema\"" oneof:"schema,object,none" doc:"How to request JSON answers: 'schema' sends the JSON schema, 'object' asks for any JSON object, for endpoints without schema support, and 'none' relies on the prompt alone. With 'object' and 'none', the schema is added to the system message."`
	provider.Reading
	ReasoningEffort string    `quern:"reasoning_effort" doc:"How much a reasoning model thinks: none, minimal, low, medium, high, or xhigh, if the model supports the value."`
	LogProbs        bool      `quern:"logprobs" doc:"Whether to request log probabilities with each answer."`
	Dimensions      *int64    `quern:"dimensions" doc:"The number of dimensions of embeddings, for models that support a choice."`
	Capabilities    []string  `quern:"capabilities,operational" doc:"What the model can do, if quern does not know it: 'chat', 'complete' (continue a prompt, through /completions), 'score' (return the log-probabilities of a prompt's tokens, through /completions with echo and logprobs, as vLLM does), and 'embed'. By default, models at other endpoints than OpenAI's chat and embed."`
	Extra           cty.Value `quern:"extra" doc:"Additional fields for the request body, such as { top_k = 1 } for vLLM."`

	provider.Limits
	provider.Batching

	key      *provider.Key
	azure    bool
	official bool
	base     *url.URL
	header   http.Header
	extra    map[string]json.RawMessage
}

type impl struct{}

// Prepare checks the arguments and declares what is known about the model.
func (impl) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	provider.Check(p, &a.Sampling, &a.Limits)
	u := a.locate(p.Known("base_url") && p.Known("address"))
	if u == nil {
		p.Errorf(a.Argument(), "%s is not a valid address\nStart it with http:// or https://, such as \"http://127.0.0.1:8000/v1\".", a.Argument())
	} else if end := provider.Misplaced(u, "/chat/completions", "/completions", "/embeddings", "/responses"); end != "" {
		p.Errorf(a.Argument(), "%s ends in %s\nRemove that: quern adds the path that each call needs. Write %q.", a.Argument(), end, strings.TrimSuffix(strings.TrimRight(u.String(), "/"), end))
	}
	if a.MaxCompletionTokens != nil {
		if a.MaxTokens != nil {
			p.Errorf("max_completion_tokens", "max_tokens and max_completion_tokens cannot be combined\nThey are two names for the same limit.")
		}
		if *a.MaxCompletionTokens < 1 {
			p.Errorf("max_completion_tokens", "max_completion_tokens must be at least 1")
		}
		a.MaxTokens = a.MaxCompletionTokens
	}
	if problem := a.Problem(); problem != "" && p.Known("headers") {
		p.Errorf("headers", "%s", problem)
	}
	if a.Extra != cty.NilVal && !a.Extra.IsNull() && !a.Extra.Type().IsObjectType() && !a.Extra.Type().IsMapType() {
		p.Errorf("extra", "extra must be an object\nIts attributes become fields of the request body.")
	}
	// Elsewhere, a model of the same name can have a different price or none.
	var price *llm.Price
	if a.official {
		price = Prices.Price(a.Name)
	}
	a.Batching.Check(p.Errorf, &a.Limits)
	info := a.Info(&a.Sampling, Tokenizer(a.Name), a.Batching.Of(price))
	a.Batching.Declare(&info, batchLimits)
	info.Capabilities = a.capabilities()
	for _, c := range a.Capabilities {
		if !slices.Contains(known, c) {
			p.Errorf("capabilities", "%q is not a capability\nA model can chat, complete, score, and embed.", c)
		}
	}
	if a.Batch && info.Capabilities != nil && !slices.Contains(info.Capabilities, plugin.CanChat) {
		p.Errorf("batch", "Only chats are submitted as batches\nThis model cannot chat. Remove batch.")
	}
	if u != nil {
		info.Host = u.Host
	}
	p.SetModelInfo(info)
	return nil
}

// Check reports whether a key is missing.
func (impl) Check(_ context.Context, a *args) error {
	if a.key.Missing() && (a.official || a.azure) {
		return a.noKey()
	}
	return nil
}

func (a *args) noKey() error {
	where := officialHost
	if a.azure {
		where = "the Azure endpoint"
	}
	return &llm.CallError{Message: "no key is set for " + where + ": set the variable " + keyVariable + ", or api_key or api_key_command in the model's block"}
}

// locate determines the endpoint's address, and whose endpoint it is. It
// returns nil if the address is invalid.
func (a *args) locate(known bool) *url.URL {
	if !known {
		return &url.URL{}
	}
	u := provider.URL(a.Endpoint(a.BaseURL))
	if u == nil {
		return nil
	}
	a.official = u.Hostname() == officialHost
	a.azure = strings.HasSuffix(u.Hostname(), ".azure.com") || a.APIVersion != ""
	return u
}

// Open determines where requests are sent, and the headers of all of them.
func (impl) Open(_ context.Context, a *args) error {
	a.key, a.header = a.Key(keyVariable), http.Header{}
	if a.base = provider.URL(a.Endpoint(a.BaseURL)); a.base == nil {
		return plugin.ArgumentErrorf(a.Argument(), "%s is not a valid address", a.Argument())
	}
	if a.APIVersion != "" {
		query := a.base.Query()
		query.Set("api-version", a.APIVersion)
		a.base.RawQuery = query.Encode()
	}
	if a.Organization != "" {
		a.header.Set("OpenAI-Organization", a.Organization)
	}
	if a.Project != "" {
		a.header.Set("OpenAI-Project", a.Project)
	}
	a.Add(a.header)
	return a.encodeExtra()
}

func (a *args) encodeExtra() error {
	if a.Extra == cty.NilVal || a.Extra.IsNull() {
		return nil
	}
	a.extra = map[string]json.RawMessage{}
	for name, v := range a.Extra.AsValueMap() {
		b, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			return plugin.ArgumentErrorf("extra", "%s cannot be encoded as JSON: %w", name, err)
		}
		a.extra[name] = b
	}
	return nil
}

// with adds the extra fields to a request.
func (a *args) with(request any) (any, error) {
	if len(a.extra) == 0 {
		return request, nil
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	maps.Copy(fields, a.extra)
	return fields, nil
}

// call returns an attempt to call one of the endpoint's paths, with the key.
func (a *args) call(ctx context.Context, path string) (*provider.Call, error) {
	key, err := a.key.Get(ctx)
	if err != nil {
		return nil, err
	}
	header := a.header.Clone()
	switch {
	case key == "" && a.official:
		return nil, a.noKey()
	case key == "":
	case a.azure:
		header.Set("Api-Key", key)
	default:
		header.Set("Authorization", "Bearer "+key)
	}
	return &provider.Call{URL: a.base.JoinPath(path).String(), Header: header, Source: a.key, Key: key}, nil
}
