package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// DecodeRequest decodes the JSON of a request and checks it. Unknown members
// are an error.
func DecodeRequest(text []byte) (*Request, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	r := &Request{}
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return r, r.Check()
}

// Check returns an error if a request has no messages or a message has an
// unknown role.
func (r *Request) Check() error {
	if len(r.Messages) == 0 {
		return errors.New("the request has no messages")
	}
	for i, m := range r.Messages {
		switch m.Role {
		case System, User, Assistant, ToolRole:
		default:
			return fmt.Errorf("message %d has the role %q; it must be system, user, assistant, or tool", i+1, m.Role)
		}
	}
	return nil
}
