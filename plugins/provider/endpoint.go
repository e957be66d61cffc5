package provider

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Headers contains additional headers for each request.
type Headers struct {
	Headers map[string]string `quern:"headers,sensitive,operational" doc:"Additional headers for each request, such as { \"X-Team\" = \"search\" }. Values may be sensitive; they are never part of a cache key or a message."`
}

// Add adds them to a request.
func (h *Headers) Add(to http.Header) {
	for name, value := range h.Headers {
		to.Set(name, value)
	}
}

// Problem describes what is wrong with the headers. It returns "" if they are
// valid.
func (h *Headers) Problem() string {
	for name, value := range h.Headers {
		if !token(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Sprintf("%q is not a valid header\nA name has letters, digits, and dashes, and a value is a single line.", name)
		}
	}
	return ""
}

func token(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == ""
}

// The JSON modes say how a model is made to answer with JSON that matches a
// schema.
const (
	JSONSchema = "schema" // send the schema
	JSONObject = "object" // request any object
	JSONNone   = "none"   // request nothing
)

// Described returns a request whose instructions contain the schema, for
// endpoints that do not accept schemas.
func Described(r *llm.Request) *llm.Request {
	if r.Output == nil {
		return r
	}
	out := *r
	text := "Answer with a JSON object that fits this JSON schema, and nothing else:\n" + string(r.Output.Schema)
	out.Messages = append([]llm.Message{}, r.Messages...)
	if len(out.Messages) > 0 && out.Messages[0].Role == llm.System {
		out.Messages[0].Content = strings.TrimRight(out.Messages[0].Content, "\n") + "\n\n" + text
	} else {
		out.Messages = append([]llm.Message{{Role: llm.System, Content: text}}, out.Messages...)
	}
	return &out
}

// Misplaced returns the end of an address that belongs to a call rather than to
// the endpoint, such as /chat/completions, or "" if there is none.
func Misplaced(u *url.URL, calls ...string) string {
	path := strings.TrimRight(u.Path, "/")
	for _, call := range calls {
		if strings.HasSuffix(path, call) {
			return call
		}
	}
	return ""
}

// Moved contains the argument for an endpoint's address, if that is not the
// address that identifies its model.
type Moved struct {
	Address string `quern:"address,operational" doc:"The address to send requests to instead of base_url, for an endpoint that has moved or that environments reach at different addresses. It is not part of any cache key: base_url still identifies the model."`
}

// Endpoint returns the address that requests are sent to: Address or else the
// base URL.
func (m *Moved) Endpoint(base string) string {
	if m.Address != "" {
		return m.Address
	}
	return base
}

// Argument returns the name of the argument that sets the endpoint, for
// messages.
func (m *Moved) Argument() string {
	if m.Address != "" {
		return "address"
	}
	return "base_url"
}

// URL parses an endpoint's address. It returns nil if the address is invalid.
func URL(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	return u
}
