package columnar

import (
	"strconv"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// Common operations in row expressions are compiled to closures that read Arrow
// columns directly. They do not have to handle everything: if a closure is
// unsure about a value, it says so, and hcl's evaluator decides about that row.
// Rows that fail also go to hcl's evaluator, for its error message.

// outcome is the result of a closure for a row.
type outcome uint8

const (
	some   outcome = iota // a value exists
	null                  // the value is null
	fails                 // hcl's evaluator would report an error
	unsure                // hcl's evaluator must be asked
)

// form is how a closure returns its values.
type form uint8

const (
	textForm    form = iota // string
	integerForm             // number that is an int64
	realForm                // number that is the decimal form of a float64
	boolForm                // bool
	valueForm               // any other type, as cty values
)

// node is a compiled part of an expression. Only the function for its form is
// set.
type node struct {
	form    form
	typ     cty.Type
	text    func(*frame, int) (string, outcome)
	integer func(*frame, int) (int64, outcome)
	real    func(*frame, int) (float64, outcome)
	truth   func(*frame, int) (bool, outcome)
	value   func(*frame, int) (cty.Value, outcome)
	// count returns the number of elements, if that is cheaper than the value.
	count func(*frame, int) (int64, outcome)
	// constant is set if the part is the same for all rows.
	constant *cty.Value
}

// frame is the batch that closures work on, and the memory for the texts that
// they build. Those texts are valid until the next row.
type frame struct {
	slots []slot
	calls []batchCall
	buf   []byte
}

// slot is a column, or a field within struct columns.
type slot struct {
	parents []*array.Struct
	any     arrow.Array
	str     *array.String
	i64     *array.Int64
	f64     *array.Float64
	bit     *array.Boolean
	list    *array.List
}

func newSlot(col arrow.Array, parents []*array.Struct) slot {
	s := slot{any: col, parents: parents}
	switch col := col.(type) {
	case *array.String:
		s.str = col
	case *array.Int64:
		s.i64 = col
	case *array.Float64:
		s.f64 = col
	case *array.Boolean:
		s.bit = col
	case *array.List:
		s.list = col
	}
	return s
}

// state reports whether a row has a value. A field of a null struct is an
// error, like an attribute of null.
func (s *slot) state(i int) outcome {
	for _, p := range s.parents {
		if p.IsNull(i) {
			return fails
		}
	}
	if s.any.IsNull(i) {
		return null
	}
	return some
}

// keep copies text into the frame.
func (f *frame) keep(b ...string) string {
	at := len(f.buf)
	for _, s := range b {
		f.buf = append(f.buf, s...)
	}
	return f.since(at)
}

// since returns what was added to the frame's memory after an offset. The
// memory is not written again before the next row, and if it grows, the old
// part remains where it was, so the string stays valid.
func (f *frame) since(at int) string {
	if at == len(f.buf) {
		return ""
	}
	return unsafe.String(&f.buf[at], len(f.buf)-at)
}

func (f *frame) integer(n int64) string {
	at := len(f.buf)
	f.buf = strconv.AppendInt(f.buf, n, 10)
	return f.since(at)
}

func (f *frame) real(x float64) string {
	at := len(f.buf)
	f.buf = strconv.AppendFloat(f.buf, x, 'f', -1, 64)
	return f.since(at)
}

// ascii reports whether a string is ASCII.
func ascii(s string) bool {
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if w&0x8080808080808080 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// asText returns a node's value as hcl converts it to a string.
func (n *node) asText() func(*frame, int) (string, outcome) {
	switch n.form {
	case textForm:
		return n.text
	case integerForm:
		return written(n.integer, (*frame).integer)
	case realForm:
		return written(n.real, (*frame).real)
	case boolForm:
		return written(n.truth, func(_ *frame, b bool) string { return strconv.FormatBool(b) })
	}
	return nil
}

// written converts a closure's values to texts.
func written[T any](get func(*frame, int) (T, outcome), write func(*frame, T) string) texter {
	return func(f *frame, i int) (string, outcome) {
		v, o := get(f, i)
		if o != some {
			return "", o
		}
		return write(f, v), some
	}
}

// asValue returns a node's value as a cty value.
func (n *node) asValue() func(*frame, int) (cty.Value, outcome) {
	if n.constant != nil {
		v := *n.constant
		return func(*frame, int) (cty.Value, outcome) { return v, some }
	}
	missing := cty.NullVal(n.typ)
	switch n.form {
	case textForm:
		return lift(n.text, missing, func(s string) cty.Value { return verbatim.Text(strings.Clone(s)) })
	case integerForm:
		return lift(n.integer, missing, cty.NumberIntVal)
	case realForm:
		return lift(n.real, missing, decimal)
	case boolForm:
		return lift(n.truth, missing, cty.BoolVal)
	}
	return lift(n.value, missing, func(v cty.Value) cty.Value { return v })
}

// lift converts a closure's values to cty values, in which null is a value as
// well.
func lift[T any](get func(*frame, int) (T, outcome), missing cty.Value, make func(T) cty.Value) func(*frame, int) (cty.Value, outcome) {
	return func(f *frame, i int) (cty.Value, outcome) {
		switch v, o := get(f, i); o {
		case some:
			return make(v), some
		case null:
			return missing, some
		default:
			return cty.NilVal, o
		}
	}
}

// state returns a node's outcome without its value.
func (n *node) state() func(*frame, int) outcome {
	switch n.form {
	case textForm:
		return only(n.text)
	case integerForm:
		return only(n.integer)
	case realForm:
		return only(n.real)
	case boolForm:
		return only(n.truth)
	}
	return only(n.value)
}

func only[T any](get func(*frame, int) (T, outcome)) func(*frame, int) outcome {
	return func(f *frame, i int) outcome {
		_, o := get(f, i)
		return o
	}
}
