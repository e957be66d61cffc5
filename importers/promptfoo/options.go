package promptfoo

import (
	"regexp"
	"strings"
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
func (im *importer) configure(m *model, config node) {
	config = im.follow(config)
	for _, e := range config.entries() {
		if !e.value.there() {
			continue
		}
		if name, ok := renamed[e.key]; ok && (only[name] == "" || only[name] == m.typ) {
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
		im.lost(m.at, "provider", "the address of the endpoint is not known. Set base_url.")
	}
}

// argument sets an argument from an option. The last one wins, for example if
// the environment sets an address, too.
func (im *importer) argument(m *model, name string, e entry) {
	text := literal(e.value.plain())
	if e.value.isText() {
		text = im.setting(e.value)
		if n, ok := e.value.number(); ok && name != "stop" && name != "api_version" {
			text = literal(n)
		}
	}
	if name == "stop" && !e.value.isList() {
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
func (im *importer) setting(n node) string { return im.settingOf(n, n.text()) }

func (im *importer) settingOf(n node, text string) string {
	sc := &scope{env: im.env.variable}
	pieces, err := sc.template(text)
	if err != nil {
		im.lost(n, "text "+short(text), "%s.", sentence(err))
		return quote(text)
	}
	return expression(pieces, 1)
}

// special handles options that are not simply copied to an argument. It reports
// whether the option is one of these.
func (im *importer) special(m *model, e entry) bool {
	switch e.key {
	case "apiHost":
		base := host(e.value.text())
		if m.typ == "openai" && m.has("api_key") && strings.Contains(base, "azure.com") {
			base += "/openai/v1"
		} else if m.typ == "openai" {
			base += "/v1"
		}
		m.set("base_url", quote(base))
	case "apiKey":
		im.key(m, e)
	case "apiKeyEnvar", "apiKeyEnv":
		m.attrs = append(without(m.attrs, "api_key"), attr{"api_key", im.env.variable(e.value.text())})
	case "cost", "inputCost", "outputCost":
		im.cost(m, e)
	case "reasoning":
		if effort := e.value.get("effort"); effort.isText() && m.typ == "openai" {
			m.set("reasoning_effort", quote(effort.text()))
			return true
		}
		return false
	case "response_format", "response_schema":
		return im.responseFormat(m, e)
	case "tools", "functions":
		im.tools(m, e)
	case "timeout":
		if ms, ok := e.value.number(); ok {
			m.set("timeout", quote(literal(ms/1000)+"s"))
			return true
		}
		return false
	case "passthrough", "extra_body":
		if o, ok := e.value.plain().(object); ok && m.typ == "openai" {
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
func (im *importer) further(m *model, e entry) {
	if m.echo {
		return
	}
	if m.typ == "openai" && bodyField.MatchString(e.key) {
		m.extra = append(m.extra, member{e.key, e.value.plain()})
		return
	}
	im.lost(e.at, "option "+e.key+" of a provider", "model %q does not have this argument.", m.typ)
}

// bodyField matches names of fields in the API, in contrast to promptfoo's own
// options.
var bodyField = regexp.MustCompile(`^(frequency_penalty|presence_penalty|logit_bias|tool_choice|function_call|top_k|min_p|n|user|verbosity|service_tier|parallel_tool_calls|metadata|store|top_logprobs|repetition_penalty|safe_prompt|random_seed|search_parameters|web_search_options|prediction|modalities)$`)

// key reads a key. A key from the environment becomes a variable, and a key in
// the configuration is not copied.
func (im *importer) key(m *model, e entry) {
	if strings.Contains(e.value.text(), "{{") {
		if text := im.setting(e.value); strings.HasPrefix(text, "var.") {
			m.attrs = append(without(m.attrs, "api_key"), attr{"api_key", text})
			return
		}
	}
	im.note(e.at, "key of a provider", "a literal key is not copied. Put it in the environment, or set the variable that api_key refers to.")
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
func (im *importer) cost(m *model, e entry) {
	perToken, ok := e.value.number()
	if !ok {
		im.lost(e.at, "option "+e.key+" of a provider", "it is not a number.")
		return
	}
	million := literal(perToken * 1e6)
	switch e.key {
	case "inputCost":
		m.price = append(m.price, attr{"input", million})
	case "outputCost":
		m.price = append(m.price, attr{"output", million})
	default:
		m.price = append(m.price, attr{"input", million}, attr{"output", million})
	}
}

// delay converts a pause between calls, in milliseconds.
func (im *importer) delay(m *model, at node, ms float64) {
	if ms <= 0 || m.echo || m.has("requests_per_minute") { // a provider's own option comes first
		return
	}
	m.set("requests_per_minute", literal(float64(int(60000/ms*10))/10))
	im.note(at, "delay", "it becomes requests_per_minute.")
}

// responseFormat reads the format that answers must have.
func (im *importer) responseFormat(m *model, e entry) bool {
	format := im.follow(e.value)
	switch format.get("type").text() {
	case "json_schema":
		spec := im.follow(format.get("json_schema"))
		if !spec.get("schema").there() {
			spec = format
		}
		out := object{}
		if name := spec.get("name").text(); name != "" {
			out = append(out, member{"name", name})
		}
		out = append(out, member{"schema", im.follow(spec.get("schema")).plain()})
		if spec.get("strict").isTrue() {
			out = append(out, member{"strict", true})
		}
		m.output = out
		return true
	case "text":
		return true
	}
	if m.typ != "openai" || !format.isMap() {
		return false
	}
	m.extra = append(m.extra, member{"response_format", format.plain()})
	return true
}

// tools reads the functions that a model can call.
func (im *importer) tools(m *model, e entry) {
	if isScript(e.value.text()) {
		im.lost(e.value, "tools", "they come from a program, and the import does not run programs.")
		return
	}
	for _, item := range im.spread(e.value) {
		f := item
		if item.get("function").isMap() {
			f = item.get("function")
		}
		parameters := f.get("parameters")
		if !parameters.there() {
			parameters = f.get("input_schema")
		}
		if f.get("name").text() == "" || !parameters.there() && item.get("type").text() != "function" && e.key == "tools" {
			im.lost(item, "tool "+item.get("type").text(), "it is not a function, and other tools have no equivalent.")
			continue
		}
		m.tools = append(m.tools, object{
			{"name", f.get("name").text()}, {"description", f.get("description").text()}, {"parameters", im.follow(parameters).plain()},
		})
	}
}
