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

// Check returns an error if a request has no messages and no prompt, has both, or
// has a message with an unknown role, or if nothing is asked for.
func (r *Request) Check() error {
	switch {
	case len(r.Messages) == 0 && r.Prompt == "":
		return errors.New("the request has no messages")
	case len(r.Messages) > 0 && r.Prompt != "":
		return errors.New("the request has both messages and a prompt")
	case r.Prompt != "" && (len(r.Tools) > 0 || r.Output != nil):
		return errors.New("the request has a prompt, which cannot have tools or an output schema")
	case r.MaxTokens != nil && *r.MaxTokens == 0 && !r.PromptLogProbs:
		return errors.New("max_tokens is 0, which needs prompt_logprobs")
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
