package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/quern-dev/quern/sdk/go/host/client"
)

// text is how the content of a field of type bytes is written in a scenario, as
// its name says: rows as columns, values as what JSON can hold, notes of the
// plugin as text, and the rest as JSON.
func isText(name protoreflect.Name) bool {
	return name == "memo" || name == "private" || name == "token"
}

// fill fills a message from a scenario.
func (r *runner) fill(m proto.Message, tree map[string]any) error {
	tree, err := r.encode(m.ProtoReflect().Descriptor(), tree)
	if err != nil {
		return err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		return fmt.Errorf("the scenario's request is no %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

// encode replaces what a scenario writes for fields of type bytes by base64.
func (r *runner) encode(d protoreflect.MessageDescriptor, tree map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(tree))
	if d.Name() == "Artifact" {
		var err error
		if tree, err = r.store(tree); err != nil {
			return nil, err
		}
	}
	for key, v := range tree {
		f := field(d, key)
		if f == nil {
			return nil, fmt.Errorf("%s has no field %q", d.Name(), key)
		}
		var err error
		switch {
		case f.Kind() == protoreflect.BytesKind && f.Name() == "config":
			v, err = r.configuration(tree, v)
		case f.Kind() == protoreflect.BytesKind:
			v, err = content(f.Name(), v)
		default:
			v, err = each(f, v, r.encode)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out[key] = v
	}
	return out, nil
}

func field(d protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if f := d.Fields().ByJSONName(key); f != nil {
		return f
	}
	return d.Fields().ByName(protoreflect.Name(key))
}

// each applies f to the messages in a field.
func each(d protoreflect.FieldDescriptor, v any, f func(protoreflect.MessageDescriptor, map[string]any) (map[string]any, error)) (_ any, err error) {
	if d.IsMap() {
		d = d.MapValue()
	}
	if d.Message() == nil {
		return v, nil
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			if out[i], err = each(d, e, f); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if d.ContainingMessage().IsMapEntry() {
			return eachMember(d, v, f)
		}
		return f(d.Message(), v)
	}
	return v, nil
}

func eachMember(d protoreflect.FieldDescriptor, v map[string]any, f func(protoreflect.MessageDescriptor, map[string]any) (map[string]any, error)) (any, error) {
	out := map[string]any{}
	for name, e := range v {
		member, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is not an object", name)
		}
		var err error
		if out[name], err = f(d.Message(), member); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// isRows reports whether a field of type bytes contains rows.
func isRows(name protoreflect.Name) bool {
	return name == "rows" || name == "arguments" || name == "results"
}

// content encodes the content of a field of type bytes.
func content(name protoreflect.Name, v any) (any, error) {
	raw := func(b []byte) any { return base64.StdEncoding.EncodeToString(b) }
	switch {
	case isRows(name):
		if garbage, ok := v.(string); ok {
			return raw([]byte(garbage)), nil
		}
		rec, err := record(v)
		if err != nil {
			return nil, err
		}
		b, err := encodeRows(rec)
		return raw(b), err
	case name == "value":
		value, err := implied(v)
		if err != nil {
			return nil, err
		}
		b, err := client.EncodeValue(value)
		return raw(b), err
	case isText(name):
		return raw([]byte(fmt.Sprint(v))), nil
	}
	if garbage, ok := v.(string); ok {
		return raw([]byte(garbage)), nil
	}
	b, err := json.Marshal(v)
	return raw(b), err
}

// tree returns a message as scenarios write it.
func tree(m proto.Message) (map[string]any, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := decodeJSON(text, &out); err != nil {
		return nil, err
	}
	return decode(m.ProtoReflect().Descriptor(), out)
}

// decode is the inverse of encode.
func decode(d protoreflect.MessageDescriptor, tree map[string]any) (map[string]any, error) {
	for key, v := range tree {
		f := field(d, key)
		var err error
		switch {
		case f.Kind() == protoreflect.BytesKind && !f.IsMap():
			v, err = decodeContent(f.Name(), v.(string))
		case isWhole(f) && !f.IsMap():
			v = numbers(v)
		default:
			v, err = each(f, v, decode)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		tree[key] = v
	}
	return tree, nil
}

func isWhole(f protoreflect.FieldDescriptor) bool {
	return f.Kind() == protoreflect.Int64Kind || f.Kind() == protoreflect.Uint64Kind
}

// numbers are 64-bit integers, which protobuf's JSON writes as strings.
func numbers(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
		return v
	case string:
		return json.Number(v)
	}
	return v
}

func decodeContent(name protoreflect.Name, encoded string) (any, error) {
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	switch {
	case isText(name):
		return string(b), nil
	case isRows(name):
		return columnsOf(b)
	case name == "value" || name == "config":
		v, err := client.DecodeValue(b)
		if err != nil {
			return nil, err
		}
		if b, err = ctyjson.Marshal(v, v.Type()); err != nil {
			return nil, err
		}
	}
	var out any
	err = decodeJSON(b, &out)
	return out, err
}

// implied converts what JSON can hold to a value of the type that it implies.
func implied(v any) (cty.Value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return cty.NilVal, err
	}
	t, err := ctyjson.ImpliedType(text)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(text, t)
}
