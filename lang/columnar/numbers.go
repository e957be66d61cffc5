package columnar

import (
	"cmp"
	"math"
	"math/big"
	"math/bits"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// holds maps operators to the results of a comparison for which they are true.
var holds = map[*hclsyntax.Operation]func(int) bool{
	hclsyntax.OpLessThan:           func(c int) bool { return c < 0 },
	hclsyntax.OpLessThanOrEqual:    func(c int) bool { return c <= 0 },
	hclsyntax.OpGreaterThan:        func(c int) bool { return c > 0 },
	hclsyntax.OpGreaterThanOrEqual: func(c int) bool { return c >= 0 },
}

// comparison compares two integers, two floats, or either with a constant.
func comparison(l, r *node, holds func(int) bool) *node {
	compare := comparer(l, r)
	if compare == nil {
		if back := comparer(r, l); back != nil {
			compare = func(f *frame, i int) (int, outcome) {
				c, o := back(f, i)
				return -c, o
			}
		}
	}
	if compare == nil {
		return nil
	}
	return &node{form: boolForm, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
		c, o := compare(f, i)
		return holds(c), inTemplate(o)
	}}
}

func comparer(l, r *node) func(*frame, int) (int, outcome) {
	limit, isConstant := convertible(r, cty.Number)
	switch {
	case l.form == integerForm && r.form == integerForm:
		return ordered(l.integer, r.integer)
	case l.form == realForm && r.form == realForm:
		return ordered(l.real, r.real)
	case l.form == integerForm && isConstant:
		return integerAgainst(l.integer, limit.AsBigFloat())
	case l.form == realForm && isConstant:
		return realAgainst(l.real, limit.AsBigFloat())
	}
	return nil
}

// sameNumber reports whether two numbers of different kinds are equal. One of
// them must be constant.
func sameNumber(l, r *node) func(*frame, int) (bool, outcome) {
	compare := comparer(l, r)
	if compare == nil {
		compare = comparer(r, l)
	}
	if compare == nil || l.typ != r.typ {
		return nil
	}
	return func(f *frame, i int) (bool, outcome) {
		c, o := compare(f, i)
		if o == null {
			return false, some
		}
		return c == 0, o
	}
}

func ordered[T cmp.Ordered](l, r func(*frame, int) (T, outcome)) func(*frame, int) (int, outcome) {
	return func(f *frame, i int) (int, outcome) {
		a, oa := l(f, i)
		b, ob := r(f, i)
		return cmp.Compare(a, b), max(oa, ob)
	}
}

// integerAgainst compares with a number that no int64 equals.
func integerAgainst(get func(*frame, int) (int64, outcome), limit *big.Float) func(*frame, int) (int, outcome) {
	if limit.IsInf() {
		return nil
	}
	whole, _ := limit.Int(nil)
	if limit.Sign() < 0 && !limit.IsInt() {
		whole.Sub(whole, big.NewInt(1)) // Int truncates, but the floor is needed
	}
	exact := limit.IsInt()
	return func(f *frame, i int) (int, outcome) {
		n, o := get(f, i)
		switch {
		case !whole.IsInt64():
			return -whole.Sign(), o
		case exact:
			return cmp.Compare(n, whole.Int64()), o
		case n <= whole.Int64():
			return -1, o
		}
		return 1, o
	}
}

// realAgainst compares the decimal forms of floats with a number. They have the
// same order as the floats, so only the float closest to the number needs a
// closer look.
func realAgainst(get func(*frame, int) (float64, outcome), limit *big.Float) func(*frame, int) (int, outcome) {
	near, _ := limit.Float64()
	if !finite(near) {
		return nil
	}
	if near == 0 {
		near = 0
	}
	tie := decimal(near).AsBigFloat().Cmp(limit)
	return func(f *frame, i int) (int, outcome) {
		x, o := get(f, i)
		if c := cmp.Compare(x, near); c != 0 {
			return c, o
		}
		return tie, o
	}
}

// arithmetic computes with integers unless there is an overflow or a negative
// zero, which hcl has and int64 does not.
func arithmetic(l, r *node, op *hclsyntax.Operation) *node {
	compute, ok := operations[op]
	if !ok || l.form != integerForm || r.form != integerForm {
		return nil
	}
	return &node{form: integerForm, typ: cty.Number, integer: func(f *frame, i int) (int64, outcome) {
		a, oa := l.integer(f, i)
		b, ob := r.integer(f, i)
		if o := max(oa, ob); o != some {
			return 0, inTemplate(o)
		}
		n, sure := compute(a, b)
		if !sure {
			return 0, unsure
		}
		return n, some
	}}
}

var operations = map[*hclsyntax.Operation]func(a, b int64) (n int64, sure bool){
	hclsyntax.OpAdd: func(a, b int64) (int64, bool) {
		s := a + b
		return s, (s > a) == (b > 0)
	},
	hclsyntax.OpSubtract: func(a, b int64) (int64, bool) {
		d := a - b
		return d, (d < a) == (b > 0)
	},
	hclsyntax.OpMultiply: func(a, b int64) (int64, bool) {
		hi, lo := bits.Mul64(magnitude(a), magnitude(b))
		negative := (a < 0) != (b < 0)
		if hi != 0 || lo > math.MaxInt64 || lo == 0 && negative {
			return 0, false
		}
		return a * b, true
	},
	hclsyntax.OpModulo: func(a, b int64) (int64, bool) {
		const exact = 1 << 53
		if b == 0 || magnitude(a) >= exact || magnitude(b) >= exact {
			return 0, false
		}
		return a % b, true
	},
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
