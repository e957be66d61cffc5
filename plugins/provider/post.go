package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Call is one attempt to get an answer from an endpoint.
type Call struct {
	// URL is the address of the call.
	URL string
	// Header is sent in addition to the headers of any JSON request.
	Header http.Header
	// Source is where the key comes from, and Key is the key in Header, or ""
	// if there is none.
	Source *Key
	Key    string
}

// Post sends a body as JSON, decodes the answer, and returns its bytes. If the
// call fails, it returns the failure and the provider's own code for it, if
// there is one. A successful answer may still report a failure; see Inside.
func (c *Call) Post(ctx context.Context, body, answer any) (raw json.RawMessage, failure *llm.CallError, code string) {
	sent, err := json.Marshal(body)
	if err != nil {
		return nil, &llm.CallError{Message: "write the request: " + err.Error()}, ""
	}
	return c.send(ctx, http.MethodPost, "application/json", bytes.NewReader(sent), answer)
}

// Get is like Post, without a body.
func (c *Call) Get(ctx context.Context, answer any) (raw json.RawMessage, failure *llm.CallError, code string) {
	return c.send(ctx, http.MethodGet, "", nil, answer)
}

func (c *Call) send(ctx context.Context, method, contentType string, body io.Reader, answer any) (raw json.RawMessage, failure *llm.CallError, code string) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL, body)
	if err != nil {
		return nil, &llm.CallError{Message: err.Error()}, ""
	}
	req.Header = c.Header.Clone()
	for name, value := range map[string]string{"Content-Type": contentType, "Accept": "application/json", "User-Agent": "quern"} {
		if value != "" && req.Header.Get(name) == "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := Client.Do(req)
	if err == nil && resp.StatusCode < 300 {
		defer resp.Body.Close()
		if raw, err = io.ReadAll(resp.Body); err == nil {
			raw = TrimMark(raw)
			// Some endpoints send more data after the answer.
			err = json.NewDecoder(bytes.NewReader(raw)).Decode(answer)
		}
		if err == nil {
			return raw, nil, ""
		}
		if reported := c.Inside(raw); reported != nil {
			return nil, reported, ""
		}
	}
	failure, code = Failed(ctx, c.Source, c.Key, resp, err)
	return nil, failure, code
}

// TrimMark removes the byte order mark that some servers and programs begin JSON
// with. RFC 8259 lets readers ignore it.
func TrimMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }
