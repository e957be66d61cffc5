package llm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// choice is the preference for one of two texts. Models tend to prefer the text
// that they see first, or last. So each draw asks in both orders, and if the
// result depends on the order, it is a tie.
type choice struct {
	form
	names [2]string
}

// tie is the label if neither text is better.
const tie = "tie"

func newChoice(p *plugin.Prepare[args], f form) (task, error) {
	names := slices.Sorted(maps.Keys(p.Args.Pairwise))
	if len(names) != 2 {
		return nil, plugin.ArgumentErrorf("pairwise", "pairwise must have exactly two texts\nIt has %d.", len(names))
	}
	if slices.Contains(names, tie) {
		return nil, plugin.ArgumentErrorf("pairwise", "The name %q is reserved\nIt is the label if neither text is better. Give the text another name.", tie)
	}
	return choice{f, [2]string{names[0], names[1]}}, nil
}

func (choice) columns(name string) []data.Column { return []data.Column{{Name: name, Type: "string"}} }

func (c choice) instruction() string {
	return c.ask("Two answers follow. Which one is better?", "preferred", `"1", "2" or "tie"`, "1, 2 or tie")
}

func (c choice) schema() json.RawMessage {
	property := map[string]any{"type": "string", "enum": []any{"1", "2", tie}}
	if c.abstain {
		property = map[string]any{"type": []string{"string", "null"}, "enum": []any{"1", "2", tie, nil}}
	}
	return c.object("preferred", property)
}

// show adds the two texts to the request, in one of the two orders.
func (c choice) show(r *llm.Request, texts [2]string, order int) {
	r.Messages = slices.Clone(r.Messages)
	text := fmt.Sprintf("Answer 1:\n%s\n\nAnswer 2:\n%s", texts[order], texts[1-order])
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if m := &r.Messages[i]; m.Role == llm.User {
			m.Content = strings.TrimRight(m.Content, "\n") + "\n\n" + text
			return
		}
	}
	r.Messages = append(r.Messages, llm.Message{Role: llm.User, Content: text})
}

// parse returns the position of the better text, "1" or "2". named converts it
// to a name.
func (c choice) parse(text string) (answer, error) {
	raw, a, err := c.read(text, "preferred")
	if raw == nil {
		return a, err
	}
	preferred := string(raw)
	if !c.text && err == nil {
		if err := json.Unmarshal(raw, &preferred); err != nil && preferred != "1" && preferred != "2" {
			return a, fmt.Errorf(`"preferred" is not a string`)
		}
	}
	preferred = strings.ToLower(bare(preferred))
	if preferred != "1" && preferred != "2" && preferred != tie {
		if err != nil {
			return a, err
		}
		return a, fmt.Errorf("%q is neither 1 nor 2 nor tie", preferred)
	}
	a.values[0] = preferred
	return a, nil
}

func (c choice) named(a answer, order int) answer {
	switch a.values[0] {
	case "1":
		a.values = []any{c.names[order]}
	case "2":
		a.values = []any{c.names[1-order]}
	}
	return a
}

// combine returns the text that more answers prefer. If both texts have the
// same number of answers, the result is a tie, and its confidence is the share
// of answers that said tie.
func (c choice) combine(answers []answer, draws int) (answer, float64) {
	counts := map[any]int{}
	for _, a := range answers {
		counts[a.values[0]]++
	}
	first, second := counts[c.names[0]], counts[c.names[1]]
	var label any = tie
	switch {
	case 2*counts[nil] > len(answers):
		label = nil
	case first > second && first > counts[tie]:
		label = c.names[0]
	case second > first && second > counts[tie]:
		label = c.names[1]
	}
	out := answer{values: []any{label}}
	if at := slices.IndexFunc(answers, func(a answer) bool { return a.values[0] == label }); at >= 0 {
		out.explanation = answers[at].explanation
	}
	return out, float64(counts[label]) / float64(draws)
}
