package promptfoo

import (
	"regexp"
	"strings"
	"sync"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// renamed maps the options of providers to the arguments of models.
var renamed = map[string]string{
	"temperature": "temperature", "top_p": "top_p", "topP": "top_p", "seed": "seed", "stop": "stop",
	"max_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens",
	"maxOutputTokens": "max_tokens", "num_predict": "max_tokens", "stop_sequences": "stop",
	"organization": "organization", "apiBaseUrl": "base_url", "baseUrl": "base_url", "baseURL": "base_url",
	"apiVersion": "api_version", "reasoning_effort": "reasoning_effort", "logprobs": "logprobs", "dimensions": "dimensions",
	"maxRetries": "retries",
}

// only says which types of models have an argument.
var only = map[string]string{
	"organization": "openai", "api_version": "openai", "reasoning_effort": "openai", "logprobs": "openai", "dimensions": "openai",
}

// configure reads the config of a provider.
func (im *importer) configure(m *model, settings config.Node) {
	settings = im.follow(settings)
	for _, e := range settings.Entries() {
		if !e.Value.IsSet() {
			continue
		}
		if name, ok := renamed[e.Key]; ok && (only[name] == "" || only[name] == m.typ) {
			im.argument(m, name, e)
			continue
		}
		if !im.special(m, e) {
			im.further(m, e)
		}
	}
	if m.azure && !m.has("base_url") {
		im.azureBase(m)
	}
	if m.typ == "openai" && m.has("api_version") && !m.has("base_url") {
		im.Lost(m.at, "provider", "the address of the endpoint is not known. Set base_url.")
	}
}

// argument sets an argument from an option. The last one wins, for example if
// the environment sets an address, too.
func (im *importer) argument(m *model, name string, e config.Entry) {
	text := hcltext.Literal(e.Value.Plain())
	if e.Value.IsText() {
		text = im.setting(e.Value)
		if n, ok := e.Value.Number(); ok && name != "stop" && name != "api_version" {
			text = hcltext.Literal(n)
		}
	}
	if name == "stop" && !e.Value.IsList() {
		text = "[" + text + "]"
	}
	for i := range m.attrs {
		if m.attrs[i].name == name {
			m.attrs[i].text = text
			return
		}
	}
	m.set(name, text)
}

// setting returns a text of the configuration in which only {{ env.NAME }} has
// a meaning.
func (im *importer) setting(n config.Node) string { return im.settingOf(n, n.Text()) }

func (im *importer) settingOf(n config.Node, text string) string {
	sc := &scope{env: im.env.variable}
	pieces, err := sc.template(text)
	if err != nil {
		im.Lost(n, "text "+short(text), "%s.", config.Sentence(err))
		return hcltext.Quote(text)
	}
	return expression(pieces, 1)
}

// special handles options that are not simply copied to an argument. It reports
// whether the option is one of these.
func (im *importer) special(m *model, e config.Entry) bool {
	switch e.Key {
	case "apiHost":
		base := host(e.Value.Text())
		if m.typ == "openai" && m.has("api_key") && strings.Contains(base, "azure.com") {
			base += "/openai/v1"
		} else if m.typ == "openai" {
			base += "/v1"
		}
		m.set("base_url", hcltext.Quote(base))
	case "apiKey":
		im.key(m, e)
	case "apiKeyEnvar", "apiKeyEnv":
		m.attrs = append(without(m.attrs, "api_key"), attr{"api_key", im.env.variable(e.Value.Text())})
	case "cost", "inputCost", "outputCost":
		im.cost(m, e)
	case "reasoning":
		if effort := e.Value.Get("effort"); effort.IsText() && m.typ == "openai" {
			m.set("reasoning_effort", hcltext.Quote(effort.Text()))
			return true
		}
		return false
	case "response_format", "response_schema":
		return im.responseFormat(m, e)
	case "tools", "functions":
		im.tools(m, e)
	case "timeout":
		if ms, ok := e.Value.Number(); ok {
			m.set("timeout", hcltext.Quote(hcltext.Literal(ms/1000)+"s"))
			return true
		}
		return false
	case "passthrough", "extra_body":
		if o, ok := e.Value.Plain().(config.Object); ok && m.typ == "openai" {
			m.extra = append(m.extra, o...)
			return true
		}
		return false
	default:
		return false
	}
	return true
}

// further handles options without a counterpart: they become fields of the
// request's body if the type of model supports that.
func (im *importer) further(m *model, e config.Entry) {
	if m.echo {
		return
	}
	if m.typ == "openai" && bodyField().MatchString(e.Key) {
		m.extra = append(m.extra, config.Member{Name: e.Key, Value: e.Value.Plain()})
		return
	}
	im.Lost(e.At, "option "+e.Key+" of a provider", "model %q does not have this argument.", m.typ)
}

// bodyField matches names of fields in the API, in contrast to promptfoo's own
// options.
var bodyField = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(frequency_penalty|presence_penalty|logit_bias|tool_choice|function_call|top_k|min_p|n|user|verbosity|service_tier|parallel_tool_calls|metadata|store|top_logprobs|repetition_penalty|safe_prompt|random_seed|search_parameters|web_search_options|prediction|modalities)$`)
})

// key reads a key. A key from the environment becomes a variable, and a key in
// the configuration is not copied.
func (im *importer) key(m *model, e config.Entry) {
	if strings.Contains(e.Value.Text(), "{{") {
		if text := im.setting(e.Value); strings.HasPrefix(text, "var.") {
			m.attrs = append(without(m.attrs, "api_key"), attr{"api_key", text})
			return
		}
	}
	im.Note(e.At, "key of a provider", "a literal key is not copied. Put it in the environment, or set the variable that api_key refers to.")
	m.attrs = append(without(m.attrs, "api_key"), attr{"api_key", im.env.variable(strings.ToUpper(m.name) + "_API_KEY")})
}

func without(attrs []attr, name string) []attr {
	var kept []attr
	for _, a := range attrs {
		if a.name != name {
			kept = append(kept, a)
		}
	}
	return kept
}

// cost converts a price per token to one per million tokens.
func (im *importer) cost(m *model, e config.Entry) {
	perToken, ok := e.Value.Number()
	if !ok {
		im.Lost(e.At, "option "+e.Key+" of a provider", "it is not a number.")
		return
	}
	million := hcltext.Literal(perToken * 1e6)
	switch e.Key {
	case "inputCost":
		m.price = append(m.price, attr{"input", million})
	case "outputCost":
		m.price = append(m.price, attr{"output", million})
	default:
		m.price = append(m.price, attr{"input", million}, attr{"output", million})
	}
}

// delay converts a pause between calls, in milliseconds.
func (im *importer) delay(m *model, at config.Node, ms float64) {
	if ms <= 0 || m.echo || m.has("requests_per_minute") { // a provider's own option comes first
		return
	}
	m.set("requests_per_minute", hcltext.Literal(float64(int(60000/ms*10))/10))
	im.Note(at, "delay", "it becomes requests_per_minute.")
}

// responseFormat reads the format that answers must have.
func (im *importer) responseFormat(m *model, e config.Entry) bool {
	format := im.follow(e.Value)
	switch format.Get("type").Text() {
	case "json_schema":
		spec := im.follow(format.Get("json_schema"))
		if !spec.Get("schema").IsSet() {
			spec = format
		}
		out := config.Object{}
		if name := spec.Get("name").Text(); name != "" {
			out = append(out, config.Member{Name: "name", Value: name})
		}
		out = append(out, config.Member{Name: "schema", Value: im.follow(spec.Get("schema")).Plain()})
		if spec.Get("strict").IsTrue() {
			out = append(out, config.Member{Name: "strict", Value: true})
		}
		m.output = out
		return true
	case "text":
		return true
	}
	if m.typ != "openai" || !format.IsMap() {
		return false
	}
	m.extra = append(m.extra, config.Member{Name: "response_format", Value: format.Plain()})
	return true
}

// tools reads the functions that a model can call.
func (im *importer) tools(m *model, e config.Entry) {
	if isScript(e.Value.Text()) {
		im.Lost(e.Value, "tools", "they come from a program, and the import does not run programs.")
		return
	}
	for _, item := range im.spread(e.Value) {
		f := item
		if item.Get("function").IsMap() {
			f = item.Get("function")
		}
		parameters := f.Get("parameters")
		if !parameters.IsSet() {
			parameters = f.Get("input_schema")
		}
		if f.Get("name").Text() == "" || !parameters.IsSet() && item.Get("type").Text() != "function" && e.Key == "tools" {
			im.Lost(item, "tool "+item.Get("type").Text(), "it is not a function, and other tools have no equivalent.")
			continue
		}
		m.tools = append(m.tools, config.Object{
			{Name: "name", Value: f.Get("name").Text()}, {Name: "description", Value: f.Get("description").Text()}, {Name: "parameters", Value: im.follow(parameters).Plain()},
		})
	}
}
