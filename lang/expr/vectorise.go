package expr

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/sdk/go/data"
)

// vectoriser compiles expressions to closures. Each of its methods returns
// nil for what it has no closure for; the whole expression is then left to
// hcl's evaluator.
type vectoriser struct {
	schema data.Schema
	// vars are the values beside the row, with the functions.
	vars *hcl.EvalContext
	// paths are the columns, with the fields inside, that the slots hold.
	paths [][]string
}

func (v *vectoriser) expr(e hclsyntax.Expression) *node {
	if v.fixed(e) {
		return v.constant(e)
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return v.expr(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return v.expr(e.Wrapped)
	case *hclsyntax.ScopeTraversalExpr:
		return v.column(e.Traversal)
	case *hclsyntax.TemplateExpr:
		return v.template(e)
	case *hclsyntax.ConditionalExpr:
		return v.conditional(e)
	case *hclsyntax.BinaryOpExpr:
		return v.binary(e)
	case *hclsyntax.UnaryOpExpr:
		return v.unary(e)
	case *hclsyntax.FunctionCallExpr:
		return v.call(e)
	}
	return nil
}

// fixed says whether a part is the same for all rows.
func (v *vectoriser) fixed(e hclsyntax.Expression) bool {
	return !slices.ContainsFunc(e.Variables(), func(t hcl.Traversal) bool { return t.RootName() == rowRoot })
}

func (v *vectoriser) constant(e hclsyntax.Expression) *node {
	val, diags := e.Value(v.vars)
	if diags.HasErrors() || !val.IsWhollyKnown() {
		return nil
	}
	return constantNode(val)
}

func constantNode(val cty.Value) *node {
	n := &node{typ: val.Type(), constant: &val, kind: valueKind}
	if val.IsNull() {
		n.value = func(*frame, int) (cty.Value, outcome) { return val, null }
		return n
	}
	switch n.typ {
	case cty.String:
		s := val.AsString()
		n.kind, n.text = textKind, func(*frame, int) (string, outcome) { return s, some }
	case cty.Bool:
		b := val.True()
		n.kind, n.truth = boolKind, func(*frame, int) (bool, outcome) { return b, some }
	case cty.Number:
		if i, err := integer(val); err == nil {
			n.kind, n.integer = integerKind, func(*frame, int) (int64, outcome) { return i, some }
			return n
		}
		fallthrough
	default:
		n.value = func(*frame, int) (cty.Value, outcome) { return val, some }
	}
	return n
}

// column reads a column or a field of a struct in it.
func (v *vectoriser) column(t hcl.Traversal) *node {
	path := make([]string, 0, len(t)-1)
	for _, step := range t[1:] {
		name, ok := stepName(step)
		if !ok {
			return nil
		}
		path = append(path, name)
	}
	if len(path) == 0 {
		return nil
	}
	c, _, ok := v.schema.Lookup(path[0])
	if !ok {
		return nil
	}
	at, err := data.ArrowType(c.Type)
	for _, name := range path[1:] {
		if at = fieldType(at, name); at == nil {
			return nil
		}
	}
	if err != nil {
		return nil
	}
	return v.slot(path, at)
}

func fieldType(t arrow.DataType, name string) arrow.DataType {
	if s, ok := t.(*arrow.StructType); ok {
		if f, ok := s.FieldByName(name); ok {
			return f.Type
		}
	}
	return nil
}

func (v *vectoriser) slot(path []string, t arrow.DataType) *node {
	k := slices.IndexFunc(v.paths, func(p []string) bool { return slices.Equal(p, path) })
	if k < 0 {
		k = len(v.paths)
		v.paths = append(v.paths, path)
	}
	n := &node{typ: valueType(t)}
	switch t.(type) {
	case *arrow.StringType:
		n.kind, n.text = textKind, func(f *frame, i int) (string, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return "", o
			}
			return normal(s.str.Value(i)), some
		}
	case *arrow.Int64Type:
		n.kind, n.integer = integerKind, func(f *frame, i int) (int64, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return 0, o
			}
			return s.i64.Value(i), some
		}
	case *arrow.Float64Type:
		n.kind, n.real = realKind, func(f *frame, i int) (float64, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return 0, o
			}
			x := s.f64.Value(i)
			if !finite(x) {
				return 0, null
			}
			if x == 0 {
				x = 0 // which -0 is no longer
			}
			return x, some
		}
	case *arrow.BooleanType:
		n.kind, n.truth = boolKind, func(f *frame, i int) (bool, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return false, o
			}
			return s.bit.Value(i), some
		}
	default:
		n.kind, n.value = valueKind, func(f *frame, i int) (cty.Value, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return cty.NilVal, o
			}
			val, err := cell(s.any, i)
			if err != nil {
				return cty.NilVal, unsure
			}
			return val, some
		}
		if _, ok := t.(*arrow.ListType); ok {
			n.count = func(f *frame, i int) (int64, outcome) {
				s := &f.slots[k]
				if o := s.state(i); o != some {
					return 0, inTemplate(o)
				}
				from, to := s.list.ValueOffsets(i)
				return to - from, some
			}
		}
	}
	return n
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// bind finds the columns of a batch.
func bind(rec arrow.RecordBatch, paths [][]string) (*frame, error) {
	f := &frame{slots: make([]slot, len(paths))}
	for k, path := range paths {
		col, err := columnNamed(rec, path[0])
		if err != nil {
			return nil, err
		}
		var parents []*array.Struct
		for _, name := range path[1:] {
			s := col.(*array.Struct)
			at, _ := s.DataType().(*arrow.StructType).FieldIdx(name)
			parents, col = append(parents, s), s.Field(at)
		}
		f.slots[k] = newSlot(col, parents)
	}
	return f, nil
}

// template joins its parts; null has no place in one.
func (v *vectoriser) template(e *hclsyntax.TemplateExpr) *node {
	parts := make([]func(*frame, int) (string, outcome), len(e.Parts))
	for j, part := range e.Parts {
		n := v.expr(part)
		if n == nil || n.asText() == nil {
			return nil
		}
		parts[j] = n.asText()
	}
	return &node{kind: textKind, typ: cty.String, text: func(f *frame, i int) (string, outcome) {
		var room [8]string
		texts := room[:0]
		combines := false
		for _, part := range parts {
			s, o := part(f, i)
			if o != some {
				return "", inTemplate(o)
			}
			combines = combines || mayCombine(s)
			texts = append(texts, s)
		}
		s := f.keep(texts...)
		if combines {
			s = normal(s)
		}
		return s, some
	}}
}

func inTemplate(o outcome) outcome {
	if o == null {
		return fails
	}
	return o
}

// conditional picks a branch. hcl evaluates both, but what goes wrong in the
// other one is of no account.
func (v *vectoriser) conditional(e *hclsyntax.ConditionalExpr) *node {
	cond, yes, no := v.expr(e.Condition), v.expr(e.TrueResult), v.expr(e.FalseResult)
	if cond == nil || yes == nil || no == nil || cond.kind != boolKind {
		return nil
	}
	yes, no = sameKind(yes, no)
	if yes == nil || !yes.typ.Equals(no.typ) {
		return nil
	}
	n := &node{kind: yes.kind, typ: yes.typ}
	switch n.kind {
	case textKind:
		n.text = choose(cond.truth, yes.text, no.text)
	case integerKind:
		n.integer = choose(cond.truth, yes.integer, no.integer)
	case realKind:
		n.real = choose(cond.truth, yes.real, no.real)
	case boolKind:
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

// sameKind gives a constant null the kind of the other node; nil where the
// two cannot be brought together.
func sameKind(a, b *node) (*node, *node) {
	switch {
	case a.isNull() && !b.isNull():
		a = nullOf(a, b)
	case b.isNull() && !a.isNull():
		b = nullOf(b, a)
	}
	if a == nil || b == nil || a.kind != b.kind {
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
	return &node{kind: like.kind, typ: like.typ, constant: &v,
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

func (v *vectoriser) unary(e *hclsyntax.UnaryOpExpr) *node {
	n := v.expr(e.Val)
	switch {
	case n == nil:
	case e.Op == hclsyntax.OpLogicalNot && n.kind == boolKind:
		return &node{kind: boolKind, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
			b, o := n.truth(f, i)
			return !b, inTemplate(o)
		}}
	case e.Op == hclsyntax.OpNegate && n.kind == integerKind:
		return &node{kind: integerKind, typ: cty.Number, integer: func(f *frame, i int) (int64, outcome) {
			x, o := n.integer(f, i)
			if o == some && (x == 0 || x == math.MinInt64) {
				return 0, unsure // hcl has a negative zero
			}
			return -x, inTemplate(o)
		}}
	}
	return nil
}

func (v *vectoriser) binary(e *hclsyntax.BinaryOpExpr) *node {
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

// logical is && or ||. hcl takes a null for false in && and for true in
// neither; the decisive value on one side makes up for anything on the other.
func logical(l, r *node, decisive bool) *node {
	if l.kind != boolKind || r.kind != boolKind {
		return nil
	}
	return &node{kind: boolKind, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
		a, o := l.truth(f, i)
		switch {
		case o == some && a == decisive, o == null && !decisive:
			return decisive, some
		case o > null:
			return false, unsure
		}
		b, ob := r.truth(f, i)
		switch {
		case ob == some && b == decisive, ob == null && !decisive:
			return decisive, some
		case ob > null, o == null, ob == null:
			return false, unsure
		}
		return !decisive, some
	}}
}

// equality is == or !=. Nulls of any type are equal to each other, and values
// of different types never are.
func equality(l, r *node, equal bool) *node {
	same := sameness(l, r)
	if same == nil {
		return nil
	}
	return &node{kind: boolKind, typ: cty.Bool, truth: func(f *frame, i int) (bool, outcome) {
		b, o := same(f, i)
		return b == equal, o
	}}
}

func sameness(l, r *node) func(*frame, int) (bool, outcome) {
	switch {
	case l.isNull() || r.isNull(), l.kind != valueKind && r.kind != valueKind && !l.typ.Equals(r.typ):
		// Equal only where both are null.
		ls, rs := l.state(), r.state()
		return func(f *frame, i int) (bool, outcome) {
			a, b := ls(f, i), rs(f, i)
			return a == null && b == null, worse(a, b)
		}
	case l.kind != r.kind && l.typ == cty.Number:
		return sameNumber(l, r)
	case l.kind != r.kind || l.kind == valueKind:
		return nil
	case l.kind == textKind:
		return equal(l.text, r.text)
	case l.kind == integerKind:
		return equal(l.integer, r.integer)
	case l.kind == realKind:
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

// worse is the outcome of an operation that takes nulls.
func worse(a, b outcome) outcome {
	if o := max(a, b); o > null {
		return o
	}
	return some
}

// convertible says whether a constant node's value converts to a type.
func convertible(n *node, t cty.Type) (cty.Value, bool) {
	if n.constant == nil {
		return cty.NilVal, false
	}
	v, err := convert.Convert(*n.constant, t)
	return v, err == nil && v.IsKnown() && !v.IsNull()
}
