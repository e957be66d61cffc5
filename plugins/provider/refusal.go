package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Refusal is an answer of a web server, such as that of an object store or a hub, that
// is not a success.
type Refusal struct {
	Status int
	// Message is what the server says in JSON, or "".
	Message string
	Header  http.Header
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("HTTP status %d %s", r.Status, http.StatusText(r.Status))
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}

// Temporary reports whether the same request may succeed later.
func (r *Refusal) Temporary() bool {
	switch r.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return r.Status >= http.StatusInternalServerError && r.Status != http.StatusNotImplemented
}

// refusalBytes is how much of an answer is read for its message.
const refusalBytes = 4096

// RefusalOf reads and closes an answer that is not a success.
func RefusalOf(resp *http.Response) *Refusal {
	defer resp.Body.Close()
	r := &Refusal{Status: resp.StatusCode, Header: resp.Header}
	if body, err := io.ReadAll(io.LimitReader(resp.Body, refusalBytes)); err == nil && json.Valid(body) {
		r.Message, _ = Message(body)
	}
	return r
}

// Successful returns an answer, or its Refusal if it is not a success. It passes on err.
func Successful(resp *http.Response, err error) (*http.Response, error) {
	if err != nil || resp.StatusCode < http.StatusMultipleChoices {
		return resp, err
	}
	return nil, RefusalOf(resp)
}

// StatusOf returns the status of the Refusal that an error is, or 0.
func StatusOf(err error) int {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r.Status
	}
	return 0
}
