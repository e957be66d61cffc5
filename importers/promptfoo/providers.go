package promptfoo

import (
	"net/url"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// model is a model block.
type model struct {
	name, typ string
	at        config.Node
	// written are its names in the configuration: its ID and its label.
	written []string
	attrs   []attr
	price   []attr
	extra   config.Object
	// azure is set for a deployment on Azure, each of which has its own host.
	azure bool
	// echo is set for the provider that returns the prompt: it is not a model.
	echo bool
	// only are the labels of the prompts that it is called with, or nil for
	// all.
	only []config.Node
	// tools and output belong to prompts in quern.
	tools     []any
	output    any
	transform config.Node
}

// attr is an argument with its expression.
type attr struct{ name, text string }

// set sets an argument. The last one wins.
func (m *model) set(name, text string) {
	for i := range m.attrs {
		if m.attrs[i].name == name {
			m.attrs[i].text = text
			return
		}
	}
	m.attrs = append(m.attrs, attr{name, text})
}

func (m *model) has(name string) bool {
	return slices.ContainsFunc(m.attrs, func(a attr) bool { return a.name == name })
}

// vendor is a provider with an API that is compatible with OpenAI's.
type vendor struct{ baseURL, key string }

// vendors are the vendors by the prefix of a provider's ID.
var vendors = map[string]vendor{
	"openrouter": {"https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"},
	"groq":       {"https://api.groq.com/openai/v1", "GROQ_API_KEY"},
	"mistral":    {"https://api.mistral.ai/v1", "MISTRAL_API_KEY"},
	"deepseek":   {"https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"},
	"togetherai": {"https://api.together.xyz/v1", "TOGETHER_API_KEY"},
	"perplexity": {"https://api.perplexity.ai", "PERPLEXITY_API_KEY"},
	"xai":        {"https://api.x.ai/v1", "XAI_API_KEY"},
	"cerebras":   {"https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"},
	"fireworks":  {"https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"},
	"hyperbolic": {"https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"},
	"nscale":     {"https://inference.api.nscale.com/v1", "NSCALE_SERVICE_TOKEN"},
	"cometapi":   {"https://api.cometapi.com/v1", "COMETAPI_KEY"},
	"aimlapi":    {"https://api.aimlapi.com/v1", "AIML_API_KEY"},
	"github":     {"https://models.github.ai/inference", "GITHUB_TOKEN"},
	"google":     {"https://generativelanguage.googleapis.com/v1beta/openai", "GOOGLE_API_KEY"},
	"litellm":    {"http://localhost:4000", "LITELLM_API_KEY"},
	"localai":    {"http://localhost:8080/v1", "LOCALAI_API_KEY"},
	"llama.cpp":  {"http://localhost:8080/v1", ""},
	"lmstudio":   {"http://localhost:1234/v1", ""},
	"vllm":       {"http://localhost:8000/v1", ""},
	"docker":     {"http://localhost:12434/engines/v1", ""},
}

// readProviders reads the providers of the configuration.
func (im *importer) readProviders(n config.Node) {
	for _, item := range im.spread(n) {
		if m := im.provider(item); m != nil {
			im.models = append(im.models, m)
		}
	}
	if !n.IsSet() {
		im.Lost(im.root, "providers", "there are no providers, so there is no model to ask.")
	}
}

// spread returns the elements of a list, and replaces lists in files with their
// elements.
func (im *importer) spread(n config.Node) []config.Node {
	var out []config.Node
	for _, item := range im.follow(n).Listed() {
		if followed := im.follow(item); followed.IsList() {
			out = append(out, followed.Items()...)
		} else if followed.IsSet() {
			out = append(out, followed)
		}
	}
	return out
}

// provider reads one provider: only its ID, a mapping with an ID, or a mapping
// from the ID to the rest.
func (im *importer) provider(n config.Node) *model {
	m := &model{at: n}
	id, rest := n.Text(), config.Node{}
	if n.IsMap() {
		id, rest = n.Get("id").Text(), n
		if e := n.Entries(); id == "" && len(e) == 1 {
			id, rest = e[0].Key, e[0].Value
		}
	}
	if id == "" {
		im.Lost(n, "provider", "it has no id.")
		return nil
	}
	im.Known(rest, "option of a provider", "id", "label", "config", "prompts", "transform", "delay", "env")
	label := rest.Get("label").Text()
	m.written = []string{id, label}
	m.only = rest.Get("prompts").Listed()
	m.transform = rest.Get("transform")
	if e := rest.Get("env"); e.IsSet() {
		im.Note(e, "environment of a provider", "quern reads it from its own environment, where keys belong, or from variables.")
	}
	kind, name := im.locate(m, id, n)
	if kind == "" {
		return nil
	}
	if label != "" {
		name = label
	}
	m.name = im.Name("model", name, "model")
	im.configure(m, rest.Get("config"))
	if d, ok := rest.Get("delay").Number(); ok {
		im.delay(m, rest.Get("delay"), d)
	}
	return m
}

// locate returns the vendor of a model, or "" if it has no counterpart. wish is
// a suggested name.
func (im *importer) locate(m *model, id string, at config.Node) (kind, wish string) {
	first, rest, _ := strings.Cut(id, ":")
	second, name, deeper := strings.Cut(rest, ":")
	switch first {
	case "echo":
		m.echo, m.typ = true, "echo"
		return "echo", "echo"
	case "openai", "azure", "azureopenai":
		return im.openai(m, first, second, name, deeper, at)
	case "anthropic":
		if second == "claude-agent-sdk" {
			break
		}
		if second == "messages" || second == "completion" {
			rest = name
		}
		m.typ = "anthropic"
		m.set("name", im.nameOf(at, rest))
		return m.typ, wished(rest)
	case "ollama":
		if second == "chat" || second == "completion" || second == "embeddings" {
			rest = name
		}
		if second == "completion" {
			im.Note(at, "provider "+id, "quern uses the chat API instead of the completion API.")
		}
		m.typ = "ollama"
		m.set("name", im.nameOf(at, rest))
		return m.typ, wished(rest)
	case "exec":
		m.typ = "exec"
		m.set("command", hcltext.Literal(words(rest)))
		im.Lost(at, "provider "+id, "promptfoo passes the prompt to the command as an argument and reads its output. In quern, model \"exec\" keeps one process running, writes each request as a line of JSON, and reads the answer in the same form. Adapt the command.")
		return m.typ, "command"
	}
	if v, ok := vendors[first]; ok && !isMedia(second) {
		return im.vendor(m, v, first, second, rest, name, at)
	}
	im.Lost(at, "provider "+short(id), "%s", unknownProvider(first, id))
	return "", ""
}

// short truncates a text so that it fits into a finding.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "…"
	}
	return s
}

func unknownProvider(first, id string) string {
	switch {
	case isScript(id), first == "python", first == "golang", first == "ruby":
		return "it is a program, and the import does not run programs. Make it read and write JSON lines and use model \"exec\", or make it serve OpenAI's API."
	case strings.HasPrefix(id, "http"), first == "webhook", first == "ws", first == "wss", first == "websocket":
		return "it is an endpoint with its own protocol. Put a command in front of it and use model \"exec\", or write a plugin."
	}
	return "quern has no plugin for it. If it serves OpenAI's API, use model \"openai\" with its base_url."
}

// isMedia reports whether a provider is for something other than text.
func isMedia(part string) bool {
	return slices.Contains([]string{"image", "audio", "live", "realtime", "tts", "video", "moderation", "transcription", "assistant"}, part)
}

// openai reads openai:chat:NAME, openai:NAME, azure:chat:DEPLOYMENT, and so on.
func (im *importer) openai(m *model, first, second, name string, deeper bool, at config.Node) (kind, wish string) {
	m.typ = "openai"
	switch {
	case isMedia(second) || second == "agents" || second == "codex-sdk" || second == "chatkit" || second == "assistant" || second == "foundry-agent":
		im.Lost(at, "provider "+first+":"+second, "it is not a chat model, and models in quern answer messages.")
		return "", ""
	case second == "responses":
		im.Note(at, "provider "+first+":responses", "quern uses the Chat Completions API; the Responses API has no equivalent.")
	case second == "completion":
		im.Note(at, "provider "+first+":completion", "quern uses the chat API instead of the completion API.")
	case second == "chat", second == "embeddings", second == "embedding":
	default:
		name, deeper = strings.TrimSuffix(second+":"+name, ":"), true
	}
	if !deeper || name == "" {
		name = "gpt-4.1"
		im.Note(at, "provider "+first+":"+second, "it names no model, so the import uses %s.", name)
	}
	m.set("name", im.nameOf(at, name))
	if first != "openai" {
		m.azure = true
		m.set("api_key", im.env.variable("AZURE_API_KEY"))
	} else if base := im.openaiBase(); base != "" {
		m.set("base_url", base)
	}
	return m.typ, wished(name)
}

// azureBase sets the address of a deployment whose provider names no host to
// the one in the environment. It must never be omitted, because the key would
// then be sent to OpenAI.
func (im *importer) azureBase(m *model) {
	for _, name := range []string{"AZURE_API_BASE_URL", "AZURE_OPENAI_API_BASE_URL", "AZURE_OPENAI_BASE_URL"} {
		if v := im.env.given[name]; v != "" {
			m.set("base_url", hcltext.Quote(v))
			return
		}
	}
	for _, name := range []string{"AZURE_API_HOST", "AZURE_OPENAI_API_HOST"} {
		if v := im.env.given[name]; v != "" {
			m.set("base_url", hcltext.Quote(strings.TrimRight(host(v), "/")+"/openai/v1"))
			return
		}
	}
	m.set("base_url", im.env.variable("AZURE_API_BASE_URL"))
	im.Note(m.at, "provider", "it names no host, because promptfoo reads it from the environment. Set the variable to the address of the resource, such as https://NAME.openai.azure.com/openai/v1.")
}

// nameOf returns a name in which {{ env.NAME }} is replaced.
func (im *importer) nameOf(at config.Node, name string) string {
	if !strings.Contains(name, "{{") {
		return hcltext.Quote(name)
	}
	return im.settingOf(at, name)
}

// wished suggests a name for a model.
func wished(name string) string {
	if strings.Contains(name, "{{") {
		return "model"
	}
	return name
}

// openaiBase returns the address that the configuration's env sets for all
// providers.
func (im *importer) openaiBase() string {
	for _, name := range []string{"OPENAI_BASE_URL", "OPENAI_API_BASE_URL"} {
		if v := im.env.given[name]; v != "" {
			return hcltext.Quote(v)
		}
	}
	if v := im.env.given["OPENAI_API_HOST"]; v != "" {
		return hcltext.Quote("https://" + v + "/v1")
	}
	return ""
}

func (im *importer) vendor(m *model, v vendor, first, second, rest, name string, at config.Node) (kind, wish string) {
	m.typ = "openai"
	switch second {
	case "chat", "embeddings", "embedding":
		rest = name
	case "completion":
		rest = name
		im.Note(at, "provider "+first+":completion", "quern uses the chat API instead of the completion API.")
	}
	if first == "google" {
		im.Note(at, "provider "+first, "quern uses Google's endpoint for OpenAI's API.")
	}
	m.set("name", im.nameOf(at, rest))
	m.set("base_url", hcltext.Quote(v.baseURL))
	if v.key != "" {
		m.set("api_key", im.env.variable(v.key))
	}
	return m.typ, wished(rest)
}

// words splits a command line at white space outside quotes.
func words(s string) []any {
	var out []any
	var word strings.Builder
	quote, within := rune(0), false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, within = r, true
		case quote == 0 && r == ' ':
			if within {
				out = append(out, word.String())
			}
			word.Reset()
			within = false
		default:
			word.WriteRune(r)
			within = true
		}
	}
	if within {
		out = append(out, word.String())
	}
	return out
}

// host returns the base URL for a host name.
func host(name string) string {
	if u, err := url.Parse(name); err == nil && u.Scheme != "" {
		return name
	}
	return "https://" + name
}
