// Package prompting is what stages that ask language models have in common:
// it reads what a prompt gives for a row, draws its examples, and asks for
// answers of a certain form, once more where they are not.
//
// It asks through the host alone, so that limits, retries, budgets and kept
// answers are quern's. Which examples a row gets depends on the prompt, the
// examples and that row, and on nothing else.
package prompting

import (
	"encoding/json"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Prompt is what a prompt gives for a row.
type Prompt struct {
	// Request has no examples that are drawn from a dataset yet.
	Request *llm.Request
	// Drawing says how they are drawn; nil: none are.
	Drawing *llm.Drawing
}

// Read reads the JSON that a prompt gives for a row.
func Read(text string) (*Prompt, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("read the prompt: %w", err)
	}
	p := &Prompt{}
	if raw, ok := fields["examples"]; ok {
		p.Drawing = llm.NewDrawing()
		if err := json.Unmarshal(raw, p.Drawing); err != nil {
			return nil, fmt.Errorf("read how examples are drawn: %w", err)
		}
		if err := checkDrawing(p.Drawing); err != nil {
			return nil, err
		}
		delete(fields, "examples")
		rest, err := json.Marshal(fields)
		if err != nil {
			return nil, err
		}
		text = string(rest)
	}
	var err error
	p.Request, err = llm.DecodeRequest([]byte(text))
	return p, err
}

func checkDrawing(d *llm.Drawing) error {
	switch {
	case d.Count < 0:
		return fmt.Errorf("%d examples can't be drawn", d.Count)
	case d.Select != llm.SelectFirst && d.Select != llm.SelectRandom && d.Select != llm.SelectNearest:
		return fmt.Errorf("examples are selected by %q: it has to be first, random or nearest", d.Select)
	}
	return nil
}

// lastUser is the index of the last message of the user; -1: there is none.
func lastUser(r *llm.Request) int {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == llm.User {
			return i
		}
	}
	return -1
}
