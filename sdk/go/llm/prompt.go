package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Prompt is what a prompt gives for a row.
type Prompt struct {
	// Request has no examples that are drawn from a dataset yet.
	Request *Request
	// Drawing says how they are drawn; nil: none are.
	Examples *ExampleSelection
}

// ReadPrompt reads the JSON that a prompt gives for a row.
func DecodePrompt(text string) (*Prompt, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("read the prompt: %w", err)
	}
	p := &Prompt{}
	if raw, ok := fields["examples"]; ok {
		p.Examples = NewExampleSelection()
		if err := json.Unmarshal(raw, p.Examples); err != nil {
			return nil, fmt.Errorf("read how examples are drawn: %w", err)
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
		return fmt.Errorf("%d examples can't be drawn", d.Count)
	case d.Select != SelectFirst && d.Select != SelectRandom && d.Select != SelectNearest:
		return fmt.Errorf("examples are selected by %q: it has to be first, random or nearest", d.Select)
	}
	return nil
}

// Example is an exchange that is shown to a model.
type Example struct{ User, Assistant string }

// Fill puts examples before the last message of the user. By is what they are
// to be near to; empty: that message. An example that asks the very same is
// left out: it would give the answer away. Nearest, which is called where the
// nearest are drawn, returns the places of all examples by their likeness to a
// text, the most alike first.
func (p *Prompt) InsertExamples(examples []Example, by string, nearest func(text string) ([]int, error)) error {
	d := p.Examples
	if d == nil || d.Count == 0 || len(examples) == 0 {
		return nil
	}
	at := p.Request.lastUser()
	if at < 0 {
		return errors.New("the prompt has no message of the user that examples could stand before")
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

// choose returns the places of the examples in the order in which they are
// shown: the nearest last, next to the question.
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

// lastUser is the place of the last message of the user; -1: there is none.
func (r *Request) lastUser() int {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == User {
			return i
		}
	}
	return -1
}
