package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// DecodeRequest reads a request's JSON and checks that it can be asked: that
// there is a message, and that roles are those there are.
func DecodeRequest(text []byte) (*Request, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	r := &Request{}
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return r, r.Check()
}

// Check says what is wrong with a request.
func (r *Request) Check() error {
	if len(r.Messages) == 0 {
		return errors.New("the request has no messages")
	}
	for i, m := range r.Messages {
		switch m.Role {
		case System, User, Assistant, ToolRole:
		default:
			return fmt.Errorf("message %d has the role %q: it has to be system, user, assistant or tool", i+1, m.Role)
		}
	}
	return nil
}
