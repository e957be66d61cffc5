package files

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// shape tracks which types the JSON values in one place can have.
type shape struct {
	text, truth bool
	// whole: an int64. wide: an int64 that float64 cannot represent exactly.
	whole, wide bool
	// number: fits float64 but not int64. digits: neither can represent it
	// exactly.
	number, digits bool
	list           *shape // of the elements
	object         *object
}

// object is the shape of an object: its keys in the order in which they first
// occurred.
type object struct {
	keys   []string
	fields map[string]*shape
	// objects and members count what was seen.
	objects, members int
	// loose says that the keys are data rather than names, so the values become
	// JSON in a string.
	loose bool
}

const (
	// maxNesting is the maximum depth at which types are inferred. Deeper
	// values become JSON in a string.
	maxNesting = 16
	// maxFields is the maximum total number of fields of a type. An object with
	// more becomes JSON in a string.
	maxFields = 1000
	// An object becomes JSON in a string if it has more than sparseKeys keys
	// and a single object has less than a tenth of them on average. The keys
	// are then identifiers rather than names.
	sparseKeys = 100
)

// add updates the shape with a valid JSON value. Null has no effect.
func (s *shape) add(raw []byte, depth int) error {
	switch c := raw[0]; {
	case c == 'n':
	case c == '"':
		s.text = true
	case c == 't', c == 'f':
		s.truth = true
	case c == '[':
		if s.list == nil {
			s.list = &shape{}
		}
		// One level deeper than types, so that the kinds of values that become
		// JSON are known.
		if depth > maxNesting+1 {
			return nil
		}
		return elements(raw, func(e []byte) error { return s.list.add(e, depth+1) })
	case c == '{':
		if s.object == nil {
			s.object = newObject()
		}
		if depth > maxNesting || s.object.loose {
			return nil
		}
		list, err := members(raw, nil)
		if err != nil {
			return err
		}
		return s.object.add(list, depth)
	default:
		s.addNumber(string(raw))
	}
	return nil
}

func (s *shape) addNumber(text string) {
	f, err := strconv.ParseFloat(text, 64)
	exact := nonFinite[text] || err == nil && holdsDigits(text, f)
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		s.whole = true
		s.wide = s.wide || !exact
		return
	}
	s.number = s.number || exact
	s.digits = s.digits || !exact
}

// elements calls f with each element of a valid list.
func elements(raw []byte, f func([]byte) error) error {
	rest := space(raw[1:])
	for rest[0] != ']' {
		n := valueLength(rest)
		if err := f(rest[:n]); err != nil {
			return err
		}
		rest = space(rest[n:])
		if rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	return nil
}

func newObject() *object { return &object{fields: map[string]*shape{}} }

func (o *object) add(list []member, depth int) error {
	o.objects++
	for _, m := range list {
		o.members++
		field := o.fields[string(m.key)]
		if field == nil {
			field = &shape{}
			o.fields[string(m.key)] = field
			o.keys = append(o.keys, string(m.key))
		}
		if err := field.add(m.value, depth+1); err != nil {
			return err
		}
	}
	if depth > 0 && len(o.keys) > maxFields {
		o.loose, o.keys, o.fields = true, nil, nil
	}
	return nil
}

// isMap reports whether the keys are data rather than names, or include one
// that cannot be the name of a field.
func (o *object) isMap() bool {
	return o.loose || len(o.keys) == 0 || o.fields[""] != nil ||
		len(o.keys) > sparseKeys && 10*o.members < o.objects*len(o.keys)
}

// arrow returns the type of the values, and its total number of fields. If the
// values have no common type, it is string. If there were none, it is
// arrow.Null.
func (s *shape) arrow(depth int) (t arrow.DataType, fields int) {
	kinds := len(s.kinds())
	switch {
	case kinds == 0:
		return arrow.Null, 1
	case kinds > 1 || depth > maxNesting:
		return stringType, 1
	case s.truth:
		return arrow.FixedWidthTypes.Boolean, 1
	case s.digits || s.number && s.wide:
		return digitsType, 1
	case s.number:
		return arrow.PrimitiveTypes.Float64, 1
	case s.whole:
		return arrow.PrimitiveTypes.Int64, 1
	case s.list != nil:
		elem, fields := s.list.arrow(depth + 1)
		return arrow.ListOf(elem), fields
	case s.object != nil && !s.object.isMap():
		return s.object.arrow(depth)
	}
	return stringType, 1
}

func (o *object) arrow(depth int) (arrow.DataType, int) {
	fields, all := make([]arrow.Field, len(o.keys)), 0
	for i, key := range o.keys {
		t, n := o.fields[key].arrow(depth + 1)
		fields[i] = arrow.Field{Name: key, Type: t, Nullable: true}
		if all += n; all > maxFields {
			return stringType, 1
		}
	}
	return arrow.StructOf(fields...), all
}
