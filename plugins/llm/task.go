package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// task is what the model is asked to do for each row.
type task interface {
	// columns returns the columns of the label for a block with that name.
	columns(name string) []data.Column
	// instruction says what to do, and in which format to answer.
	instruction() string
	// schema returns the JSON schema of the answer, or nil if the answer is
	// text.
	schema() json.RawMessage
	// parse parses an answer.
	parse(text string) (answer, error)
	// combine combines at least one answer into one, and returns the share of
	// all draws that agree with it.
	combine(answers []answer, draws int) (answer, float64)
}

// answer contains a JSON value for each column of the task. A nil value is
// null.
type answer struct {
	values      []any
	explanation string
}

// form is what tasks have in common.
type form struct {
	text, abstain, explain bool
	// unsure is the word that means "can't tell" in a text.
	unsure string
}

// newTask returns the task that the arguments describe.
func newTask(p *plugin.Prepare[args]) (task, error) {
	a := p.Args
	given := func(key string, v cty.Value) bool { return !p.Known(key) || v != cty.NilVal && !v.IsNull() }
	var kinds []string
	for _, k := range []struct {
		name  string
		given bool
	}{
		{"classes", given("classes", a.Classes)}, {"schema", given("schema", a.Schema)},
		{"range", !p.Known("range") || len(a.Range) > 0}, {"pairwise", len(a.Pairwise) > 0},
	} {
		if k.given {
			kinds = append(kinds, k.name)
		}
	}
	f := form{text: a.Answer == "text", abstain: a.Abstain, explain: a.Explain, unsure: noLabel}
	if a.Multiple {
		f.unsure = "unknown" // having none of the labels is different
	}
	switch {
	case len(kinds) > 1:
		return nil, plugin.ArgumentErrorf(kinds[1], "A label can have only one form\n%s cannot be combined. Keep one of them.", strings.Join(kinds, " and "))
	case a.Multiple && (len(kinds) == 0 || kinds[0] != "classes"):
		return nil, plugin.ArgumentErrorf("multiple", "multiple needs classes\nList the labels to choose from in classes.")
	case f.text && f.explain:
		return nil, plugin.ArgumentErrorf("explain", "explain cannot be combined with answer = \"text\"\nA text answer contains only the label. Remove one of the two.")
	case len(kinds) == 0 && f.explain:
		return nil, plugin.ArgumentErrorf("explain", "explain does not work with free text\nAsk for the reasons in the prompt, or set classes, range, or pairwise.")
	case len(kinds) == 0:
		return free{}, nil
	case kinds[0] == "classes":
		return newClasses(p, f)
	case kinds[0] == "schema":
		return newExtraction(p, f)
	case kinds[0] == "range":
		return newScore(p, f)
	}
	return newChoice(p, f)
}

// ---- free text -------------------------------------------------------------

type free struct{}

func (free) columns(name string) []data.Column { return []data.Column{{Name: name, Type: "string"}} }
func (free) instruction() string               { return "" }
func (free) schema() json.RawMessage           { return nil }

func (free) parse(text string) (answer, error) {
	if text = strings.TrimSpace(text); text == "" {
		return answer{}, errors.New("it is empty")
	}
	return answer{values: []any{text}}, nil
}

func (free) combine(answers []answer, draws int) (answer, float64) { return majority(answers, draws) }

// ---- a score ---------------------------------------------------------------

type score struct {
	form
	low, high float64
}

func newScore(p *plugin.Prepare[args], f form) (task, error) {
	if !p.Known("range") {
		return score{form: f}, nil
	}
	r := p.Args.Range
	if len(r) != 2 || r[0] >= r[1] {
		return nil, plugin.ArgumentErrorf("range", "Invalid range\nWrite the lowest and the highest score, such as [1, 5].")
	}
	return score{f, r[0], r[1]}, nil
}

func (score) columns(name string) []data.Column { return []data.Column{{Name: name, Type: "float64"}} }

func (s score) instruction() string {
	ask := fmt.Sprintf("Give a score from %s (lowest) to %s (highest).", number(s.low), number(s.high))
	return s.ask(ask, "score", "the score", "the number alone")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func (s score) schema() json.RawMessage {
	property := map[string]any{"type": "number", "minimum": s.low, "maximum": s.high}
	if s.abstain {
		property["type"] = []string{"number", "null"}
	}
	return s.object("score", property)
}

func (s score) parse(text string) (answer, error) {
	raw, a, err := s.read(text, "score")
	if raw == nil {
		return a, err
	}
	v, wrong := strconv.ParseFloat(string(raw), 64)
	switch {
	case wrong != nil && err != nil: // it is neither JSON nor a number
		return a, err
	case wrong != nil:
		return a, fmt.Errorf("%s is not a number", raw)
	}
	if !(v >= s.low && v <= s.high) {
		return a, fmt.Errorf("%s is not from %s to %s", number(v), number(s.low), number(s.high))
	}
	a.values[0] = v
	return a, nil
}

// combine chooses the median, or the lower of the two middle scores, so that
// the result is a score that was given.
func (s score) combine(answers []answer, draws int) (answer, float64) { return median(answers, draws) }

// ---- the format of answers -------------------------------------------------

// ask returns an instruction that includes the format of the answer.
func (f form) ask(what, field, of, plain string) string {
	if f.text {
		text := what + " Answer with " + plain + ", without any other words."
		if f.abstain {
			text += " If you can't tell, answer with: " + f.unsure
		}
		return text
	}
	text := what + " Answer with a JSON object and nothing else: {"
	if f.explain {
		text += `"explanation": your reasons in one or two sentences, `
	}
	text += fmt.Sprintf("%q: %s}.", field, of)
	if f.abstain {
		text += fmt.Sprintf(" If you can't tell, %q is null.", field)
	}
	return text
}

// object returns the schema of an answer with one field. If reasons are
// requested, they come first, so that the model writes them before it decides.
func (f form) object(field string, property any) json.RawMessage {
	if f.text {
		return nil
	}
	properties, required := map[string]any{field: property}, []string{field}
	if f.explain {
		properties["explanation"] = map[string]any{"type": "string"}
		required = []string{"explanation", field}
	}
	raw, err := jsontext.Marshal(map[string]any{
		"type": "object", "properties": properties, "required": required, "additionalProperties": false,
	})
	if err != nil {
		panic(err) // strings and finite numbers
	}
	return raw
}

// read returns the field of an answer, or nil if the model can't tell. In a
// text answer, the field is the text itself. If JSON was requested but the
// answer is text, read returns both the answer and an error: the answer counts
// if it is exactly a valid value.
func (f form) read(text, field string) (json.RawMessage, answer, error) {
	a := answer{values: []any{nil}}
	if f.text {
		text = bare(text)
		switch {
		case f.abstain && strings.EqualFold(text, f.unsure):
			return nil, a, nil
		case text == "":
			return nil, a, errors.New("it is empty")
		}
		return json.RawMessage(text), a, nil
	}
	var object map[string]json.RawMessage
	err := prompting.Decode(text, &object)
	if prompting.IsBare(err) && !f.explain && bare(text) != "" {
		// The task accepts it if it can only be the value.
		return json.RawMessage(bare(text)), a, err
	}
	if err != nil {
		return nil, a, err
	}
	raw, ok := object[field]
	if !ok {
		return nil, a, fmt.Errorf("it has no field %q", field)
	}
	if f.explain {
		if err := json.Unmarshal(object["explanation"], &a.explanation); err != nil {
			return nil, a, errors.New(`it has no text in the field "explanation"`)
		}
	}
	if string(raw) == "null" {
		if !f.abstain {
			return nil, a, fmt.Errorf("%q is null", field)
		}
		return nil, a, nil
	}
	return raw, a, nil
}

// noLabel is the word that means "no label" in a text.
const noLabel = "none"

// bare removes what models put around a word.
func bare(text string) string { return prompting.Bare(text) }
