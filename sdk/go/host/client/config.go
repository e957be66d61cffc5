package client

import (
	"fmt"
	"math"

	msgpacked "github.com/vmihailenco/msgpack/v5"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// EncodeValue encodes a value for the protocol's messages: msgpack, with the
// value's type. It can contain unknown values, but no marks.
func EncodeValue(v cty.Value) ([]byte, error) {
	b, err := msgpack.Marshal(v, cty.DynamicPseudoType)
	if err != nil {
		return nil, fmt.Errorf("encode a value for a plugin: %w", err)
	}
	return b, nil
}

// DecodeValue decodes a value from a plugin. No bytes are an empty object. A
// NaN, which cty does not support, becomes an infinity: neither can be stored.
func DecodeValue(b []byte) (cty.Value, error) {
	if len(b) == 0 {
		return cty.EmptyObjectVal, nil
	}
	v, err := decodeNumbers(b)
	if err != nil {
		b, err = withoutNaN(b, err)
		if err == nil {
			v, err = decodeNumbers(b)
		}
	}
	if err != nil {
		return cty.NilVal, fmt.Errorf("decode a plugin's value: %w", err)
	}
	return v, nil
}

func decodeNumbers(b []byte) (v cty.Value, err error) {
	defer func() {
		if r := recover(); r != nil { // cty panics on NaN
			v, err = cty.NilVal, fmt.Errorf("%v", r)
		}
	}()
	return verbatim.Msgpack(b, cty.DynamicPseudoType)
}

// withoutNaN replaces each NaN with an infinity. If there is none, it returns
// the error that it was given.
func withoutNaN(b []byte, failed error) ([]byte, error) {
	var tree any
	if err := msgpacked.Unmarshal(b, &tree); err != nil {
		return nil, failed
	}
	tree, found := infinite(tree)
	if !found {
		return nil, failed
	}
	return msgpacked.Marshal(tree)
}

func infinite(tree any) (out any, found bool) {
	replace := func(part any) any {
		part, in := infinite(part)
		found = found || in
		return part
	}
	switch tree := tree.(type) {
	case float32:
		if math.IsNaN(float64(tree)) {
			return math.Inf(1), true
		}
	case float64:
		if math.IsNaN(tree) {
			return math.Inf(1), true
		}
	case []any:
		for i, part := range tree {
			tree[i] = replace(part)
		}
	case map[string]any:
		for key, part := range tree {
			tree[key] = replace(part)
		}
	}
	return tree, found
}
