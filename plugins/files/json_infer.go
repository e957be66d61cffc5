package files

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// shape narrows down what type JSON values have that stand in one place.
type shape struct {
	text, whole, number, truth bool
	list                       *shape // of the elements
	object                     *object
}

// object is the shape of an object: its keys in the order in which they came.
type object struct {
	keys   []string
	fields map[string]*shape
}

// maxNesting is how deep types are inferred; what lies deeper becomes JSON in
// a string.
const maxNesting = 16

// add takes account of a valid JSON value. Null says nothing.
func (s *shape) add(raw []byte) error {
	switch raw[0] {
	case 'n':
	case '"':
		s.text = true
	case 't', 'f':
		s.truth = true
	case '[':
		return s.addList(raw)
	case '{':
		if s.object == nil {
			s.object = &object{fields: map[string]*shape{}}
		}
		list, err := members(raw, nil)
		if err != nil {
			return err
		}
		return s.object.add(list)
	default:
		if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			s.whole = true
		} else {
			s.number = true
		}
	}
	return nil
}

func (s *shape) addList(raw []byte) error {
	if s.list == nil {
		s.list = &shape{}
	}
	rest := space(raw[1:])
	for rest[0] != ']' {
		n := valueLength(rest)
		if err := s.list.add(rest[:n]); err != nil {
			return err
		}
		rest = space(rest[n:])
		if rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	return nil
}

func (o *object) add(list []member) error {
	for _, m := range list {
		field := o.fields[string(m.key)]
		if field == nil {
			field = &shape{}
			o.fields[string(m.key)] = field
			o.keys = append(o.keys, string(m.key))
		}
		if err := field.add(m.value); err != nil {
			return err
		}
	}
	return nil
}

// arrow is the type of the values seen; where they have nothing in common,
// string.
func (s *shape) arrow(depth int) arrow.DataType {
	kinds := 0
	for _, is := range []bool{s.text, s.truth, s.whole || s.number, s.list != nil, s.object != nil} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds != 1 || depth > maxNesting:
		return arrow.BinaryTypes.String
	case s.truth:
		return arrow.FixedWidthTypes.Boolean
	case s.number:
		return arrow.PrimitiveTypes.Float64
	case s.whole:
		return arrow.PrimitiveTypes.Int64
	case s.list != nil:
		return arrow.ListOf(s.list.arrow(depth + 1))
	case s.object != nil && len(s.object.keys) > 0:
		fields := make([]arrow.Field, len(s.object.keys))
		for i, key := range s.object.keys {
			fields[i] = arrow.Field{Name: key, Type: s.object.fields[key].arrow(depth + 1), Nullable: true}
		}
		return arrow.StructOf(fields...)
	}
	return arrow.BinaryTypes.String
}
