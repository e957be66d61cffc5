package verbatim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	ctymsgpack "github.com/zclconf/go-cty/cty/msgpack"
	"golang.org/x/text/unicode/norm"
)

// JSON decodes a value of a type as cty's package json does.
func JSON(text []byte, t cty.Type) (cty.Value, error) {
	if norm.NFC.IsNormal(text) && !escapes(text) {
		return ctyjson.Unmarshal(text, t)
	}
	return decode(t, func(t cty.Type) (cty.Value, error) { return ctyjson.Unmarshal(text, t) }, func() (any, error) {
		var tree any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		err := d.Decode(&tree)
		return tree, err
	})
}

// escapes reports whether a JSON text may contain an escape for a character
// that is not ASCII.
func escapes(text []byte) bool {
	for {
		at := bytes.Index(text, []byte(`\u`))
		if at < 0 {
			return false
		}
		digits := text[at+2:]
		if len(digits) < 3 || digits[0] != '0' || digits[1] != '0' || digits[2] > '7' {
			return true
		}
		text = digits
	}
}

// Msgpack decodes a value of a type as cty's package msgpack does.
func Msgpack(b []byte, t cty.Type) (cty.Value, error) {
	if norm.NFC.IsNormal(b) {
		return ctymsgpack.Unmarshal(b, t)
	}
	return decode(t, func(t cty.Type) (cty.Value, error) { return ctymsgpack.Unmarshal(b, t) }, func() (any, error) {
		return msgpackTree(msgpack.NewDecoder(bytes.NewReader(b)))
	})
}

// decode decodes a value and gives its texts the bytes that they have in the
// tree it came from.
func decode(t cty.Type, read func(cty.Type) (cty.Value, error), parse func() (any, error)) (cty.Value, error) {
	tree, err := parse()
	if err != nil {
		return read(t) // whose message is the usual one
	}
	if err := checkKeys(tree); err != nil {
		return cty.NilVal, err
	}
	v, err := read(t)
	if err != nil {
		return v, err
	}
	return restore(v, t, tree), nil
}

// checkKeys reports keys of one map that cty considers equal, on which it
// panics.
func checkKeys(tree any) error {
	switch tree := tree.(type) {
	case []any:
		for _, e := range tree {
			if err := checkKeys(e); err != nil {
				return err
			}
		}
	case map[string]any:
		written := make(map[string]string, len(tree))
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			name := norm.NFC.String(key)
			if other, twice := written[name]; twice {
				return fmt.Errorf("the keys %+q and %+q are the same in Unicode's normal form NFC, which all keys are in", other, key)
			}
			written[name] = key
			if err := checkKeys(tree[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Restore gives the texts in a value the bytes that they have in the tree that
// the value was made from: map[string]any, []any, and string. It leaves texts
// alone that differ by more than normalization.
func Restore(v cty.Value, tree any) cty.Value { return restore(v, v.Type(), tree) }

// restore is Restore for a value that was decoded as type t. For the dynamic
// type, the tree has the value together with its type.
func restore(v cty.Value, t cty.Type, tree any) cty.Value {
	if t == cty.DynamicPseudoType {
		tree, t = inner(tree), v.Type()
	}
	if !v.IsKnown() || v.IsNull() {
		return v
	}
	switch tree := tree.(type) {
	case string:
		if t == cty.String && tree != v.AsString() && norm.NFC.String(tree) == v.AsString() {
			return Text(tree)
		}
	case []any:
		switch {
		case t.IsSetType():
			return restoreSet(v, t, tree)
		case t.IsListType() || t.IsTupleType():
			return restoreSequence(v, t, tree)
		}
	case map[string]any:
		if t.IsObjectType() || t.IsMapType() {
			return restoreMapping(v, t, tree)
		}
	}
	return v
}

// inner returns the value from what encodes a value with its type: an object in
// JSON, a pair in msgpack.
func inner(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		return tree["value"]
	case []any:
		if len(tree) == 2 {
			return tree[1]
		}
	}
	return nil
}

func restoreSequence(v cty.Value, t cty.Type, tree []any) cty.Value {
	elements := v.AsValueSlice()
	if len(elements) != len(tree) || len(elements) == 0 {
		return v
	}
	for i, e := range elements {
		var of cty.Type
		if t.IsTupleType() {
			of = t.TupleElementType(i)
		} else {
			of = t.ElementType()
		}
		elements[i] = restore(e, of, tree[i])
	}
	if t.IsTupleType() {
		return cty.TupleVal(elements)
	}
	return cty.ListVal(elements)
}

// restoreSet finds the elements in the tree, which has another order. In sets
// of anything but texts, elements keep cty's form.
func restoreSet(v cty.Value, t cty.Type, tree []any) cty.Value {
	if t.ElementType() != cty.String || !v.IsWhollyKnown() {
		return v
	}
	var elements []cty.Value
	for _, e := range tree {
		switch e := e.(type) {
		case string:
			elements = append(elements, Text(e))
		case nil:
			elements = append(elements, cty.NullVal(cty.String))
		default:
			return v
		}
	}
	if len(elements) == 0 {
		return v
	}
	return cty.SetVal(elements)
}

func restoreMapping(v cty.Value, t cty.Type, tree map[string]any) cty.Value {
	parts := v.AsValueMap()
	for key, value := range tree {
		name := norm.NFC.String(key)
		part, ok := parts[name]
		if !ok {
			continue
		}
		of := cty.DynamicPseudoType
		if t.IsMapType() {
			of = t.ElementType()
		} else if t.HasAttribute(name) {
			of = t.AttributeType(name)
		}
		parts[name] = restore(part, of, value)
	}
	switch {
	case len(parts) == 0:
		return v
	case t.IsMapType():
		return cty.MapVal(parts)
	}
	return cty.ObjectVal(parts)
}

// msgpackTree decodes arrays, maps, and texts; anything else becomes nil.
func msgpackTree(d *msgpack.Decoder) (any, error) {
	code, err := d.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case msgpcode.IsString(code):
		return d.DecodeString()
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		n, err := d.DecodeArrayLen()
		if err != nil {
			return nil, err
		}
		var list []any
		for range n {
			e, err := msgpackTree(d)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return msgpackMap(d)
	}
	return nil, d.Skip()
}

func msgpackMap(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	parts := make(map[string]any, n)
	for range n {
		key, err := d.DecodeString()
		if err != nil {
			return nil, err
		}
		if parts[key], err = msgpackTree(d); err != nil {
			return nil, err
		}
	}
	return parts, nil
}
