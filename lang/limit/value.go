package limit

import (
	"errors"
	"math/big"

	"github.com/zclconf/go-cty/cty"
)

// Size is the size of a value.
type Size struct {
	Elements, Bytes int
}

// maxExponent bounds the binary exponent of a number, so that 1e999999999 does
// not expand to a gigabyte of digits.
const maxExponent = 1 << 14

// Writable reports whether a number can be written in decimal digits.
func Writable(f *big.Float) bool {
	exp := f.MantExp(nil)
	return !f.IsInf() && exp < maxExponent && exp > -maxExponent
}

// ErrNumber is the error about a number that is not Writable.
var ErrNumber = errors.New("the number is infinite, too large, or too small to compute with")

// Measure returns the size of a value, or an error if it exceeds the limits.
// Parts that occur more than once are counted each time.
func Measure(v cty.Value) (Size, error) {
	m := measure{limits: Now()}
	err := m.value(v, 0)
	return m.size, err
}

type measure struct {
	limits Set
	size   Size
}

func (m *measure) value(v cty.Value, depth int) error {
	if v.IsMarked() {
		v, _ = v.Unmark()
	}
	if m.size.Elements++; m.size.Elements > m.limits.Elements {
		return TooManyElements("the value")
	}
	if depth > m.limits.Depth {
		return TooDeep("the value")
	}
	if v.IsNull() || !v.IsKnown() {
		return nil
	}
	switch t := v.Type(); {
	case t == cty.String:
		return m.text(v.AsString())
	case t == cty.Number:
		if !Writable(v.AsBigFloat()) {
			return ErrNumber
		}
	case t.IsCollectionType() && v.LengthInt() > m.limits.Elements:
		return TooManyElements("the value")
	case t.IsObjectType(), t.IsMapType():
		return m.mapping(v, depth)
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		return m.sequence(v, depth)
	}
	return nil
}

func (m *measure) text(s string) error {
	if m.size.Bytes += len(s); m.size.Bytes > m.limits.Bytes {
		return TooLong("the text")
	}
	return nil
}

func (m *measure) sequence(v cty.Value, depth int) error {
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if err := m.value(e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (m *measure) mapping(v cty.Value, depth int) error {
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if err := m.text(k.AsString()); err != nil {
			return err
		}
		if err := m.value(e, depth+1); err != nil {
			return err
		}
	}
	return nil
}
