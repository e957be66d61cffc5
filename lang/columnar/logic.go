package columnar

import (
	"math"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// conditional selects a branch. hcl evaluates both, but ignores errors in the
// other one.
func (v *vectorizer) conditional(e *hclsyntax.ConditionalExpr) *node {
	cond, yes, no := v.expr(e.Condition), v.expr(e.TrueResult), v.expr(e.FalseResult)
	if cond == nil || yes == nil || no == nil || cond.form != boolForm {
		return nil
	}
	yes, no = sameForm(yes, no)
	if yes == nil || !yes.typ.Equals(no.typ) {
		return nil
	}
	n := &node{form: yes.form, typ: yes.typ}
	switch n.form {
	case textForm:
		n.text = choose(cond.truth, yes.text, no.text)
	case integerForm:
		n.integer = choose(cond.truth, yes.integer, no.integer)
	case realForm:
		n.real = choose(cond.truth, yes.real, no.real)
	case boolForm:
		n.truth = choose(cond.truth, yes.truth, no.truth)
	default:
		n.value = choose(cond.truth, yes.value, no.value)
	}
	return n
}

func choose[T any](cond func(*frame, int) (bool, outcome), yes, no func(*frame, int) (T, outcome)) func(*frame, int) (T, outcome) {
	return func(f *frame, i int) (T, outcome) {
		b, o := cond(f, i)
		switch {
		case o != some:
			var none T
			return none, inTemplate(o)
		case b:
			return yes(f, i)
		}
		return no(f, i)
	}
}

// sameForm gives a constant null the form of the other node. It returns nil if
// the two have no common form.
func sameForm(a, b *node) (*node, *node) {
	switch {
	case a.isNull() && !b.isNull():
		a = nullOf(a, b)
	case b.isNull() && !a.isNull():
		b = nullOf(b, a)
	}
	if a == nil || b == nil || a.form != b.form {
		return nil, nil
	}
	return a, b
}

func (n *node) isNull() bool { return n.constant != nil && n.constant.IsNull() }

func nullOf(n, like *node) *node {
	if n.typ != cty.DynamicPseudoType && !n.typ.Equals(like.typ) {
		return nil
	}
	v := cty.NullVal(like.typ)
	return &node{form: like.form, typ: like.typ, constant: &v,
		text:    always("", null),
		integer: always(int64(0), null),
		real:    always(float64(0), null),
		truth:   always(false, null),
		value:   always(v, null),
	}
}

func always[T any](v T, o outcome) func(*frame, int) (T, outcome) {
	return func(*frame, int) (T, outcome) { return v, o }
}

func (v *vectorizer) unary(e *hclsyntax.UnaryOpExpr) *node {
	n := v.expr(e.Val)
	switch {
	case n == nil:
	case e.Op == hclsyntax.OpLogicalNot && n.form == boolForm:
		return &node{form: boolForm, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
			b, o := n.truth(f, i)
			return !b, inTemplate(o)
		}}
	case e.Op == hclsyntax.OpNegate && n.form == integerForm:
		return &node{form: integerForm, typ: cty.Number, integer: func(f *frame, i int) (int64, outcome) {
			x, o := n.integer(f, i)
			if o == some && (x == 0 || x == math.MinInt64) {
				return 0, unsure // hcl has a negative zero
			}
			return -x, inTemplate(o)
		}}
	}
	return nil
}

func (v *vectorizer) binary(e *hclsyntax.BinaryOpExpr) *node {
	l, r := v.expr(e.LHS), v.expr(e.RHS)
	if l == nil || r == nil {
		return nil
	}
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		return logical(l, r, e.Op == hclsyntax.OpLogicalOr)
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		return equality(l, r, e.Op == hclsyntax.OpEqual)
	case hclsyntax.OpLessThan, hclsyntax.OpLessThanOrEqual, hclsyntax.OpGreaterThan, hclsyntax.OpGreaterThanOrEqual:
		return comparison(l, r, holds[e.Op])
	}
	return arithmetic(l, r, e.Op)
}

// logical is && or ||. If one side has the decisive value, the other side does
// not matter, even if it is null or an error.
func logical(l, r *node, decisive bool) *node {
	if l.form != boolForm || r.form != boolForm {
		return nil
	}
	return &node{form: boolForm, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
		a, oa := l.truth(f, i)
		if oa == some && a == decisive {
			return decisive, some
		}
		b, ob := r.truth(f, i)
		switch {
		case ob == some && b == decisive:
			return decisive, some
		case oa == some && ob == some:
			return !decisive, some
		case oa == unsure || ob == unsure:
			return false, unsure
		}
		return false, fails
	}}
}

// equality is == or !=. Nulls of all types are equal to each other, and values
// of different types are never equal.
func equality(l, r *node, equal bool) *node {
	same := sameness(l, r)
	if same == nil {
		return nil
	}
	return &node{form: boolForm, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
		b, o := same(f, i)
		return b == equal, o
	}}
}

func sameness(l, r *node) func(*frame, int) (bool, outcome) {
	switch {
	case l.isNull() || r.isNull(), l.form != valueForm && r.form != valueForm && !l.typ.Equals(r.typ):
		// Equal only if both are null.
		ls, rs := l.state(), r.state()
		return func(f *frame, i int) (bool, outcome) {
			a, b := ls(f, i), rs(f, i)
			return a == null && b == null, worse(a, b)
		}
	case l.form != r.form && l.typ == cty.Number:
		return sameNumber(l, r)
	case l.form != r.form || l.form == valueForm:
		return nil
	case l.form == textForm:
		return equal(l.text, r.text)
	case l.form == integerForm:
		return equal(l.integer, r.integer)
	case l.form == realForm:
		return equal(l.real, r.real)
	}
	return equal(l.truth, r.truth)
}

func equal[T comparable](l, r func(*frame, int) (T, outcome)) func(*frame, int) (bool, outcome) {
	return func(f *frame, i int) (bool, outcome) {
		a, oa := l(f, i)
		b, ob := r(f, i)
		if oa == some && ob == some {
			return a == b, some
		}
		return oa == null && ob == null, worse(oa, ob)
	}
}

// worse returns the outcome of an operation on two nullable operands.
func worse(a, b outcome) outcome {
	if o := max(a, b); o > null {
		return o
	}
	return some
}
