package client

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/verbatim"
)

// EncodeValue writes a value as the protocol's messages hold it: msgpack with
// the value's type. It may be unknown in places; it is unmarked.
func EncodeValue(v cty.Value) ([]byte, error) {
	b, err := msgpack.Marshal(v, cty.DynamicPseudoType)
	if err != nil {
		return nil, fmt.Errorf("encode a value for a plugin: %w", err)
	}
	return b, nil
}

// DecodeValue reads a value that a plugin sent. No bytes are an empty object.
func DecodeValue(b []byte) (v cty.Value, err error) {
	if len(b) == 0 {
		return cty.EmptyObjectVal, nil
	}
	defer func() {
		if r := recover(); r != nil { // cty panics at a NaN
			v, err = cty.NilVal, fmt.Errorf("decode a plugin's value: %v", r)
		}
	}()
	v, err = verbatim.Msgpack(b, cty.DynamicPseudoType)
	if err != nil {
		return cty.NilVal, fmt.Errorf("decode a plugin's value: %w", err)
	}
	return v, nil
}
