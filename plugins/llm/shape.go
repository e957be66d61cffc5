package llm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/sdk/go/data"
)

// shape is the column type for the values that a JSON schema allows. Values
// that do not fit any column type, such as values of one of two types, are
// stored as JSON.
type shape struct {
	// kind is string, integer, number, boolean, array, object, or json.
	kind   string
	items  *shape
	fields []field // of an object
}

type field struct {
	name string
	shape
}

func shapeOf(schema any) shape {
	s, ok := schema.(map[string]any)
	if !ok {
		return shape{kind: "json"}
	}
	switch kind := typeOf(s); kind {
	case "string", "integer", "number", "boolean":
		return shape{kind: kind}
	case "array":
		if s["items"] == nil {
			break
		}
		items := shapeOf(s["items"])
		return shape{kind: kind, items: &items}
	case "object":
		properties, _ := s["properties"].(map[string]any)
		if len(properties) == 0 {
			break
		}
		out := shape{kind: kind}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			out.fields = append(out.fields, field{name, shapeOf(properties[name])})
		}
		return out
	}
	return shape{kind: "json"}
}

// typeOf returns the only type, other than null, that a schema allows. It
// returns "" if there is not exactly one.
func typeOf(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		t = slices.DeleteFunc(slices.Clone(t), func(v any) bool { return v == "null" })
		if len(t) == 1 {
			kind, _ := t[0].(string)
			return kind
		}
		return ""
	}
	values, _ := s["enum"].([]any)
	for _, v := range values {
		if _, ok := v.(string); !ok && v != nil {
			return ""
		}
	}
	if len(values) > 0 {
		return "string"
	}
	return ""
}

func (s shape) arrow() arrow.DataType {
	switch s.kind {
	case "integer":
		return arrow.PrimitiveTypes.Int64
	case "number":
		return arrow.PrimitiveTypes.Float64
	case "boolean":
		return arrow.FixedWidthTypes.Boolean
	case "array":
		return arrow.ListOf(s.items.arrow())
	case "object":
		fields := make([]arrow.Field, len(s.fields))
		for i, f := range s.fields {
			fields[i] = arrow.Field{Name: f.name, Type: f.arrow(), Nullable: true}
		}
		return arrow.StructOf(fields...)
	}
	return arrow.BinaryTypes.String
}

// column returns the name of the column type.
func (s shape) column() string {
	name, err := data.TypeName(s.arrow())
	if err != nil {
		panic(err) // all of these types have names
	}
	return name
}

// fit converts a value that the schema allows to the column's type.
func (s shape) fit(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch s.kind {
	case "json":
		text, err := jsontext.Marshal(v)
		return string(text), err
	case "integer":
		// In JSON Schema, 3.0 is an integer.
		n, ok := v.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v is no number", v)
		}
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
		f, err := n.Float64()
		if err != nil || f < -1<<63 || f >= 1<<63 {
			return nil, fmt.Errorf("%s is out of range", n)
		}
		return int64(f), nil
	case "number":
		n, ok := v.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v is no number", v)
		}
		return n.Float64()
	case "array":
		list, _ := v.([]any)
		out := make([]any, len(list))
		for i, e := range list {
			var err error
			if out[i], err = s.items.fit(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case "object":
		object, _ := v.(map[string]any)
		out := map[string]any{}
		for _, f := range s.fields {
			var err error
			if out[f.name], err = f.fit(object[f.name]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
