package llm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// classes is the choice of one class or, if multiple is set, of any number of
// classes.
type classes struct {
	form
	multiple bool
	all      []class
}

type class struct{ name, description string }

func newClasses(p *plugin.Prepare[args], f form) (task, error) {
	c := classes{form: f, multiple: p.Args.Multiple}
	if !p.Known("classes") {
		return c, nil
	}
	var err error
	if c.all, err = readClasses(p.Args.Classes); err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, plugin.ArgumentErrorf("classes", "%w", err)
	}
	return c, nil
}

func (c classes) check() error {
	seen := map[string]bool{}
	for _, one := range c.all {
		if strings.TrimSpace(one.name) == "" || seen[one.name] {
			return fmt.Errorf("The class %q is listed twice or is empty\nGive each class a unique name.", one.name)
		}
		if c.text && c.ambiguous(one.name) {
			return fmt.Errorf("The class %q is ambiguous in a text answer\nThe answer could also mean something else: several labels, no label, or that the model can't tell. Give the class another name, or remove answer = \"text\".", one.name)
		}
		seen[one.name] = true
	}
	if len(c.all) < 2 && !c.multiple || len(c.all) == 0 {
		return fmt.Errorf("There are too few classes to choose from\nGive at least two classes, or at least one with multiple = true.")
	}
	return nil
}

// ambiguous reports whether a text that names the class can mean something
// else: several labels, none of them, or that the model can't tell.
func (c classes) ambiguous(name string) bool {
	switch {
	case bare(name) == "":
		return true
	case c.multiple && (strings.Contains(name, ",") || strings.EqualFold(bare(name), noLabel)):
		return true
	}
	return c.abstain && strings.EqualFold(bare(name), c.unsure)
}

func readClasses(v cty.Value) ([]class, error) {
	wrong := fmt.Errorf("Classes must be names\nWrite a list of names, such as [\"card\", \"rate\"], or a map from names to descriptions.")
	if !v.CanIterateElements() {
		return nil, wrong
	}
	described := v.Type().IsMapType() || v.Type().IsObjectType()
	var out []class
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if e.Type() != cty.String && (!described || !e.IsNull()) {
			return nil, wrong
		}
		switch {
		case described && e.IsNull():
			out = append(out, class{name: k.AsString()})
		case described:
			out = append(out, class{k.AsString(), e.AsString()})
		case e.IsNull():
			return nil, wrong
		default:
			out = append(out, class{name: e.AsString()})
		}
	}
	return out, nil
}

func (c classes) columns(name string) []data.Column {
	if c.multiple {
		return []data.Column{{Name: name, Type: "list<string>"}}
	}
	return []data.Column{{Name: name, Type: "string"}}
}

func (c classes) names() []string {
	names := make([]string, len(c.all))
	for i, one := range c.all {
		names[i] = one.name
	}
	return names
}

// longest returns the longest answer that names one class.
func (c classes) longest() string {
	longest := ""
	for _, name := range c.names() {
		if len(name) > len(longest) {
			longest = name
		}
	}
	if c.text {
		return longest
	}
	return `{"label": "` + longest + `"}`
}

func (c classes) instruction() string {
	var b strings.Builder
	b.WriteString("These are the labels:\n")
	for _, one := range c.all {
		b.WriteString("- " + one.name)
		if one.description != "" {
			b.WriteString(": " + one.description)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	if c.multiple {
		b.WriteString(c.ask("Choose all the labels that fit, which may be none.", "labels", "[the labels]", "the labels, separated by commas, or with the word "+noLabel))
		return b.String()
	}
	b.WriteString(c.ask("Choose the one label that fits best.", "label", "the label", "the label alone"))
	return b.String()
}

func (c classes) schema() json.RawMessage {
	one := map[string]any{"type": "string", "enum": c.names()}
	if c.multiple {
		list := map[string]any{"type": "array", "items": one}
		if c.abstain {
			list["type"] = []string{"array", "null"}
		}
		return c.object("labels", list)
	}
	if c.abstain {
		values := []any{}
		for _, name := range c.names() {
			values = append(values, name)
		}
		one = map[string]any{"type": []string{"string", "null"}, "enum": append(values, nil)}
	}
	return c.object("label", one)
}

func (c classes) parse(text string) (answer, error) {
	field := "label"
	if c.multiple {
		field = "labels"
	}
	raw, a, err := c.read(text, field)
	if raw == nil {
		return a, err
	}
	if err != nil { // the answer is not JSON
		name, wrong := c.class(string(raw))
		switch {
		case wrong != nil:
			return a, err
		case c.multiple:
			a.values[0] = []string{name}
		default:
			a.values[0] = name
		}
		return a, nil
	}
	given, err := c.given(raw)
	if err != nil {
		return a, err
	}
	var chosen []string
	for _, label := range given {
		name, err := c.class(label)
		if err != nil {
			return a, err
		}
		chosen = append(chosen, name)
	}
	if !c.multiple {
		a.values[0] = chosen[0]
		return a, nil
	}
	a.values[0] = c.ordered(func(name string) bool { return slices.Contains(chosen, name) })
	return a, nil
}

// given returns the labels as the model wrote them.
func (c classes) given(raw json.RawMessage) ([]string, error) {
	switch {
	case c.text && c.multiple && strings.EqualFold(string(raw), noLabel):
		return nil, nil
	case c.text && c.multiple:
		return strings.Split(string(raw), ","), nil
	case c.text:
		return []string{string(raw)}, nil
	case c.multiple:
		var labels []string
		if err := json.Unmarshal(raw, &labels); err != nil {
			return nil, fmt.Errorf(`"labels" is no list of strings`)
		}
		return labels, nil
	}
	var label string
	if err := json.Unmarshal(raw, &label); err != nil {
		return nil, fmt.Errorf(`"label" is no string`)
	}
	return []string{label}, nil
}

// class returns the class that a label names. It ignores case, quotes, and a
// period at the end.
func (c classes) class(label string) (string, error) {
	for _, one := range c.all {
		if one.name == label {
			return label, nil
		}
	}
	var found []string
	for _, one := range c.all {
		if bare(label) != "" && strings.EqualFold(bare(label), bare(one.name)) {
			found = append(found, one.name)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", fmt.Errorf("%q is none of the labels, which are %s", label, strings.Join(c.names(), ", "))
}

// ordered returns the chosen classes in the order of their declaration.
func (c classes) ordered(chosen func(string) bool) []string {
	out := []string{}
	for _, one := range c.all {
		if chosen(one.name) {
			out = append(out, one.name)
		}
	}
	return out
}

// combine returns the class that most draws name. If multiple is set, it
// returns the classes that more than half of the draws name.
func (c classes) combine(answers []answer, draws int) (answer, float64) {
	if !c.multiple {
		return majority(answers, draws)
	}
	votes, told := map[string]int{}, 0
	for _, a := range answers {
		if labels, ok := a.values[0].([]string); ok {
			told++
			for _, l := range labels {
				votes[l]++
			}
		}
	}
	if 2*told <= len(answers) {
		return answers[slices.IndexFunc(answers, func(a answer) bool { return a.values[0] == nil })], float64(len(answers)-told) / float64(draws)
	}
	chosen := c.ordered(func(name string) bool { return 2*votes[name] > told })
	agree := 0
	out := answer{values: []any{chosen}}
	for _, a := range answers {
		if labels, ok := a.values[0].([]string); ok && slices.Equal(labels, chosen) {
			if agree++; agree == 1 {
				out.explanation = a.explanation
			}
		}
	}
	return out, float64(agree) / float64(draws)
}
