package plan

import (
	"encoding/binary"
	"encoding/json"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
)

// encodeConfig encodes a configuration with its type, in the form of cty's package
// msgpack for values of any type: an array of the type, as JSON, and the value.
// cty's encoder uses reflection for each type, which took longer than
// everything else.
func encodeConfig(v cty.Value) ([]byte, error) {
	t, err := appendType(nil, v.Type())
	if err != nil {
		return nil, err
	}
	encoded, err := msgpack.Marshal(v, v.Type())
	if err != nil {
		return nil, err
	}
	const arrayOfTwo, bytes8, bytes16, bytes32 = 0x92, 0xc4, 0xc5, 0xc6
	out := make([]byte, 0, 6+len(t)+len(encoded))
	switch n := len(t); {
	case n < 1<<8:
		out = append(out, arrayOfTwo, bytes8, byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, arrayOfTwo, bytes16), uint16(n))
	default:
		out = binary.BigEndian.AppendUint32(append(out, arrayOfTwo, bytes32), uint32(n))
	}
	return append(append(out, t...), encoded...), nil
}

// appendType appends a type as its method MarshalJSON encodes it.
func appendType(to []byte, t cty.Type) ([]byte, error) {
	switch {
	case t == cty.String, t == cty.Number, t == cty.Bool:
		return append(append(append(to, '"'), t.FriendlyName()...), '"'), nil
	case t.IsListType():
		return appendCollection(to, `["list",`, t.ElementType())
	case t.IsMapType():
		return appendCollection(to, `["map",`, t.ElementType())
	case t.IsObjectType() && len(t.OptionalAttributes()) == 0:
		return appendObject(to, t.AttributeTypes())
	}
	encoded, err := t.MarshalJSON()
	return append(to, encoded...), err
}

func appendCollection(to []byte, begin string, element cty.Type) ([]byte, error) {
	to, err := appendType(append(to, begin...), element)
	return append(to, ']'), err
}

func appendObject(to []byte, attrs map[string]cty.Type) ([]byte, error) {
	to = append(to, `["object",{`...)
	for i, name := range ordered.Keys(attrs) {
		if i > 0 {
			to = append(to, ',')
		}
		var err error
		if to, err = appendName(to, name); err != nil {
			return nil, err
		}
		if to, err = appendType(append(to, ':'), attrs[name]); err != nil {
			return nil, err
		}
	}
	return append(to, "}]"...), nil
}

// appendName appends a name as a JSON string. An identifier needs no escapes.
func appendName(to []byte, name string) ([]byte, error) {
	if addr.ValidIdentifier(name) {
		return append(append(append(to, '"'), name...), '"'), nil
	}
	encoded, err := json.Marshal(name)
	return append(to, encoded...), err
}
