package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// leastExamples is the number of examples that a job needs.
const leastExamples = 10

func fewExamples(n int64) string {
	return fmt.Sprintf("There are too few examples\nFine-tuning needs at least %d, but there are %d.", leastExamples, n)
}

// examples are the row expressions that an example consists of.
type examples struct {
	messages, prompt, target, rejected string // keys; empty: not set
}

func (a *tuningArgs) training() examples {
	return examples{a.Messages.Key, a.Prompt.Key, a.Target.Key, a.Rejected.Key}
}

func (v *validation) examples() examples {
	return examples{v.Messages.Key, v.Prompt.Key, v.Target.Key, v.Rejected.Key}
}

// checkExamples checks which row expressions are set. at is what their keys begin
// with.
func checkExamples(p *plugin.Prepare[tuningArgs], e examples, at, method string) {
	if !p.Known("method") {
		return
	}
	switch {
	case method == "dpo" && (e.prompt == "" || e.target == "" || e.rejected == "" || e.messages != ""):
		p.Errorf(at+"prompt", "Set prompt, target, and rejected\nmethod = \"dpo\" learns to prefer the target to the rejected answer to the prompt.")
	case method == "dpo":
	case e.rejected != "":
		p.Errorf(at+"rejected", "rejected needs method = \"dpo\"")
	case e.messages == "" && (e.prompt == "" || e.target == ""), e.messages != "" && (e.prompt != "" || e.target != ""):
		p.Errorf(at+"messages", "Set messages, or prompt and target")
	}
}

// CheckSample checks the examples as far as they are known, and estimates the
// tokens that are trained.
func (tuner) CheckSample(_ context.Context, c *plugin.SampleCheck[tuningArgs]) error {
	a := c.Args
	tokens := checkSample(c, "dataset", c.Sample(a.Dataset), a.training())
	for i := range a.Validation {
		v := &a.Validation[i]
		checkSample(c, "validation.0.dataset", c.Sample(v.Dataset), v.examples())
	}
	if tokens == nil {
		return nil
	}
	if err := a.tooExpensive(*tokens); err != nil {
		c.Errorf("max_cost", "%w", err)
	}
	if a.Epochs != nil {
		all := *tokens * *a.Epochs
		c.SetEstimate(plugin.Estimate{InputTokens: &all, Money: a.cost(*tokens)})
	}
	return nil
}

// checkSample reports the first row that is not a valid example, and returns the
// estimated tokens of all examples, or nil if that is not known.
func checkSample(c *plugin.SampleCheck[tuningArgs], argument string, s *plugin.Sample, e examples) *int64 {
	if s == nil {
		return nil
	}
	var columns []arrow.Array
	for _, key := range e.keys() {
		columns = append(columns, data.Arguments.Find(s.Rows, key))
	}
	bytes, n := 0, int64(0)
	for i := range int(s.Rows.NumRows()) {
		line, err := e.line(columns, i, c.Args.Method)
		if err != nil {
			c.Errorf(argument, "Row %d is not a valid example\n%w", i, err)
			return nil
		}
		if line == nil {
			continue
		}
		text, err := json.Marshal(line)
		if err != nil {
			c.Errorf(argument, "Row %d is not a valid example\n%w", i, err)
			return nil
		}
		n++
		bytes += len(text)
	}
	if s.Complete && n < leastExamples && argument == "dataset" {
		c.Errorf(argument, "%s", fewExamples(n))
	}
	if s.Total == nil || s.Rows.NumRows() == 0 {
		return nil
	}
	tokens := int64(float64(bytes) / bytesPerToken * float64(*s.Total) / float64(s.Rows.NumRows()))
	return &tokens
}

// bytesPerToken is a usual length of tokens in the JSON of examples, in which names
// and quotes take bytes, but no tokens that count.
const bytesPerToken = 6.0

// keys are those that are set.
func (e examples) keys() []string {
	return slices.DeleteFunc([]string{e.messages, e.prompt, e.target, e.rejected}, func(key string) bool { return key == "" })
}

// counted is what became of the rows of a dataset, and the size of the examples.
type counted struct{ examples, skipped, bytes int64 }

// write writes the examples as JSON Lines. Rows in which something is null are
// skipped. Errors name the row.
func (e examples) write(ctx context.Context, w io.Writer, in *plugin.DatasetInput, method string) (n counted, err error) {
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(e.keys()...)) {
		if err != nil {
			return n, err
		}
		for i := range int(rec.NumRows()) {
			line, err := e.line(rec.Columns(), i, method)
			if err != nil {
				return n, fmt.Errorf("Row %d is not a valid example\n%w", n.examples+n.skipped, err)
			}
			if line == nil {
				n.skipped++
				continue
			}
			text, err := json.Marshal(line)
			if err != nil {
				return n, err
			}
			n.examples++
			n.bytes += int64(len(text))
			if _, err := w.Write(append(text, '\n')); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// line returns the example of a row, or nil if a part of it is null. columns are in
// the order of keys.
func (e examples) line(columns []arrow.Array, row int, method string) (map[string]any, error) {
	values := map[string]string{}
	for c, key := range e.keys() {
		column := columns[c]
		if column.IsNull(row) {
			return nil, nil
		}
		var err error
		if values[key], err = textOf(column, row); err != nil {
			return nil, err
		}
	}
	if e.messages != "" {
		messages, err := conversation(values[e.messages])
		return map[string]any{"messages": messages}, err
	}
	prompt, err := llm.DecodePrompt(values[e.prompt])
	if err != nil {
		return nil, err
	}
	asked := []any{}
	for i := range prompt.Request.Messages {
		asked = append(asked, message(&prompt.Request.Messages[i]))
	}
	answer := func(key string) any { return map[string]string{"role": llm.Assistant, "content": values[key]} }
	if method == "dpo" {
		if values[e.target] == values[e.rejected] {
			return nil, fmt.Errorf("The target and the rejected answer are the same, so nothing can be learned from it.")
		}
		return map[string]any{
			"input": map[string]any{"messages": asked}, "preferred_output": []any{answer(e.target)}, "non_preferred_output": []any{answer(e.rejected)},
		}, nil
	}
	if values[e.target] == "" {
		return nil, fmt.Errorf("The target is empty.")
	}
	return map[string]any{"messages": append(asked, answer(e.target))}, nil
}

// textOf returns a value: a text as it is, and everything else as JSON.
func textOf(column arrow.Array, row int) (string, error) {
	if texts, ok := column.(*array.String); ok {
		return texts.Value(row), nil
	}
	text, err := json.Marshal(column.GetOneForMarshal(row))
	return string(text), err
}

// roles are those that messages of an example can have.
var roles = []string{llm.System, "developer", llm.User, llm.Assistant, llm.ToolRole}

// conversation parses the messages of an example: a list, or an object with one.
func conversation(text string) ([]map[string]any, error) {
	var messages []map[string]any
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var whole struct{ Messages []map[string]any }
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			return nil, fmt.Errorf("It is not a list of messages: %w", err)
		}
		messages = whole.Messages
	} else if err := json.Unmarshal([]byte(text), &messages); err != nil {
		return nil, fmt.Errorf("It is not a list of messages: %w", err)
	}
	if len(messages) == 0 {
		return nil, fmt.Errorf("It has no messages.")
	}
	for i, m := range messages {
		for name, v := range m {
			if v == nil {
				delete(m, name) // a column of objects has all members in all rows
			}
		}
		role, _ := m["role"].(string)
		if !slices.Contains(roles, role) {
			return nil, fmt.Errorf("The role of message %d is %q. It must be one of %s.", i, role, strings.Join(roles, ", "))
		}
		content, _ := m["content"].(string)
		if content == "" && m["tool_calls"] == nil {
			return nil, fmt.Errorf("Message %d, of the %s, has no content.", i, role)
		}
	}
	if messages[len(messages)-1]["role"] != llm.Assistant {
		return nil, fmt.Errorf("It does not end with a message of the assistant, so nothing can be learned from it.")
	}
	return messages, nil
}
