package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Prompt is what a prompt block produces for a row.
type Prompt struct {
	// Request does not contain examples from a dataset yet; see InsertExamples.
	Request *Request
	// Examples says how they are selected; nil if the prompt has none.
	Examples *ExampleSelection
}

// DecodePrompt decodes the JSON that a prompt block produces for a row.
func DecodePrompt(text string) (*Prompt, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("decode the prompt: %w", err)
	}
	p := &Prompt{}
	if raw, ok := fields["examples"]; ok {
		p.Examples = NewExampleSelection()
		if err := json.Unmarshal(raw, p.Examples); err != nil {
			return nil, fmt.Errorf("decode the selection of examples: %w", err)
		}
		if err := p.Examples.check(); err != nil {
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
	p.Request, err = DecodeRequest([]byte(text))
	return p, err
}

func (d *ExampleSelection) check() error {
	switch {
	case d.Count < 0:
		return fmt.Errorf("the number of examples must not be negative, but is %d", d.Count)
	case d.Select != SelectFirst && d.Select != SelectRandom && d.Select != SelectNearest:
		return fmt.Errorf("examples are selected by %q; it must be first, random, or nearest", d.Select)
	}
	return nil
}

// Example is an exchange that a prompt shows to the model.
type Example struct{ User, Assistant string }

// InsertExamples inserts examples before the last user message. by is the text
// that the nearest examples should resemble; if it is empty, that message. An
// example whose question equals the message is left out, since it would give
// the answer away. nearest is called for SelectNearest only: it returns the
// indexes of all examples, most similar to a text first.
func (p *Prompt) InsertExamples(examples []Example, by string, nearest func(text string) ([]int, error)) error {
	d := p.Examples
	if d == nil || d.Count == 0 || len(examples) == 0 {
		return nil
	}
	at := p.Request.lastUser()
	if at < 0 {
		return errors.New("the prompt has examples but no user message to put them before")
	}
	question := p.Request.Messages[at].Content
	if by == "" {
		by = question
	}
	order := d.Order(len(examples))
	if order == nil {
		var err error
		if order, err = nearest(by); err != nil {
			return err
		}
	}
	var shown []Message
	for _, i := range d.choose(order, examples, question, by) {
		e := examples[i]
		shown = append(shown, Message{Role: User, Content: e.User}, Message{Role: Assistant, Content: e.Assistant})
	}
	p.Request.Messages = slices.Insert(p.Request.Messages, at, shown...)
	return nil
}

// choose returns the indexes of the examples in the order in which they are
// shown. The nearest comes last, next to the question.
func (d *ExampleSelection) choose(order []int, examples []Example, question, by string) []int {
	var chosen []int
	for _, i := range order {
		if e := examples[i]; e.User == question || e.User == by {
			continue
		}
		if chosen = append(chosen, i); len(chosen) == d.Count {
			break
		}
	}
	if d.Select == SelectNearest {
		slices.Reverse(chosen)
	}
	return chosen
}

// lastUser returns the index of the last user message, or -1.
func (r *Request) lastUser() int {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == User {
			return i
		}
	}
	return -1
}
