package files

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// shape narrows down what type JSON values have that stand in one place.
type shape struct {
	text, truth bool
	// whole: an int64. wide: one that float64 does not hold exactly.
	whole, wide bool
	// number: what float64 holds and int64 does not. digits: what neither
	// holds exactly.
	number, digits bool
	list           *shape // of the elements
	object         *object
}

// object is the shape of an object: its keys in the order in which they came.
type object struct {
	keys   []string
	fields map[string]*shape
	// objects and members count what was seen.
	objects, members int
	// loose: the keys are data rather than names, so the values are JSON in a
	// string.
	loose bool
}

const (
	// maxNesting is how deep types are inferred; what lies deeper becomes JSON
	// in a string.
	maxNesting = 16
	// maxFields is how many fields a type has in all, at most. An object with
	// more becomes JSON in a string.
	maxFields = 1000
	// sparseKeys: an object with more keys than that, of which a single object
	// has less than a tenth on average, becomes JSON in a string: they are
	// identifiers rather than names.
	sparseKeys = 100
)

// add takes account of a valid JSON value. Null says nothing.
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
		// One deeper than types go, so that the kinds of what becomes JSON are known.
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

// isMap says whether the keys are data rather than names, or include one that
// no field can have.
func (o *object) isMap() bool {
	return o.loose || len(o.keys) == 0 || o.fields[""] != nil ||
		len(o.keys) > sparseKeys && 10*o.members < o.objects*len(o.keys)
}

// arrow is the type of the values seen, and how many fields it has in all.
// Where they have nothing in common it is string. arrow.Null: there were none.
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
