package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// extraction fills in the properties of a JSON schema from a row.
type extraction struct {
	raw        json.RawMessage
	validator  *jsonschema.Schema
	properties []property
}

// property is a property that becomes a column.
type property struct {
	name string
	shape
}

func newExtraction(p *plugin.Prepare[args], f form) (task, error) {
	if !p.Known("schema") {
		return nil, plugin.ArgumentErrorf("schema", "The schema must be known at plan time\nIts properties become columns. Write it out, or read it from a file or a variable.")
	}
	if f.text || f.explain || f.abstain {
		return nil, plugin.ArgumentErrorf("schema", "schema cannot be combined with answer = \"text\", explain, or abstain\nThe schema defines the answer: it says which properties may be null or missing, and can have one for the model's reasons.")
	}
	e := &extraction{}
	var err error
	if e.raw, err = schemaJSON(p.Args.Schema); err == nil {
		err = e.compile()
	}
	if err != nil {
		return nil, plugin.ArgumentErrorf("schema", "Invalid JSON schema for extraction\n%w", err)
	}
	return e, nil
}

// schemaJSON returns the JSON of a schema that is written as an object or as
// JSON.
func schemaJSON(v cty.Value) (json.RawMessage, error) {
	if v.Type() == cty.String {
		return json.RawMessage(v.AsString()), nil
	}
	text, err := ctyjson.Marshal(v, v.Type())
	return jsontext.Plain(text), err
}

// noReferences refuses references to other documents, because a label must not
// depend on their content.
type noReferences struct{}

func (noReferences) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s; put all definitions into this schema", url)
}

func (e *extraction) compile() error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.raw))
	if err != nil {
		return err
	}
	object, ok := doc.(map[string]any)
	if !ok || object["type"] != "object" {
		return errors.New(`Its type must be "object".`)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noReferences{})
	const place = "schema.json"
	if err := c.AddResource(place, doc); err != nil {
		return err
	}
	if e.validator, err = c.Compile(place); err != nil {
		return err
	}
	properties, _ := object["properties"].(map[string]any)
	if len(properties) == 0 {
		return errors.New("It has no properties. Each property becomes a column, so at least one is needed.")
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		e.properties = append(e.properties, property{name, shapeOf(properties[name])})
	}
	return nil
}

func (e *extraction) columns(name string) []data.Column {
	out := make([]data.Column, len(e.properties))
	for i, p := range e.properties {
		out[i] = data.Column{Name: name + "_" + p.name, Type: p.column()}
	}
	return out
}

func (e *extraction) instruction() string {
	return "Extract what the text says. Answer with a JSON object and nothing else. It has to fit this JSON schema:\n" + string(e.raw)
}

func (e *extraction) schema() json.RawMessage { return e.raw }

func (e *extraction) parse(text string) (answer, error) {
	raw, err := prompting.Object(text)
	if err != nil {
		return answer{}, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return answer{}, fmt.Errorf("it is not JSON: %w", err)
	}
	if err := e.validator.Validate(doc); err != nil {
		return answer{}, fmt.Errorf("it does not fit the schema: %s", invalid(err))
	}
	object := doc.(map[string]any)
	a := answer{values: make([]any, len(e.properties))}
	for i, p := range e.properties {
		if a.values[i], err = p.fit(object[p.name]); err != nil {
			return answer{}, fmt.Errorf("%q: %w", p.name, err)
		}
	}
	return a, nil
}

// invalid describes a validation error in one line.
func invalid(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > 1 {
		lines = lines[1:]
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[i]), "-"))
	}
	return strings.Join(lines, "; ")
}

// combine takes a vote on each property. The confidence is the mean of their
// shares.
func (e *extraction) combine(answers []answer, draws int) (answer, float64) {
	out := answer{values: make([]any, len(e.properties))}
	sum := 0.0
	for i := range e.properties {
		single := make([]answer, len(answers))
		for k, a := range answers {
			single[k] = answer{values: a.values[i : i+1]}
		}
		chosen, share := majority(single, draws)
		out.values[i] = chosen.values[0]
		sum += share
	}
	return out, sum / float64(len(e.properties))
}
