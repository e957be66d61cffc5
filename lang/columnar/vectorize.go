package columnar

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// vectorizer compiles expressions to closures. Each of its methods returns nil
// if it has no closure; the whole expression is then left to hcl's evaluator.
type vectorizer struct {
	schema      data.Schema
	late        map[string]value.Type
	lateColumns data.Schema
	// vars are the values other than the row, and the functions.
	vars *hcl.EvalContext
	// paths are the columns and fields in the slots.
	paths []path
	// made caches closures, because a function may request those of its
	// arguments more than once.
	made map[hclsyntax.Expression]*node
}

// path identifies a column of the row or a late value, and a field in it.
type path struct {
	root  data.Namespace
	steps []string
}

func (v *vectorizer) expr(e hclsyntax.Expression) *node {
	n, ok := v.made[e]
	if !ok {
		n = v.make(e)
		v.made[e] = n
	}
	return n
}

func (v *vectorizer) make(e hclsyntax.Expression) *node {
	if v.fixed(e) {
		return v.constant(e)
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return v.expr(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return v.expr(e.Wrapped)
	case *hclsyntax.ScopeTraversalExpr:
		if t, ok := v.late[e.Traversal.RootName()]; ok {
			return v.lateValue(e.Traversal, t.Type)
		}
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
	case *foreignCall:
		return v.foreign(e)
	}
	return nil
}

// fixed reports whether a part is the same for all rows.
func (v *vectorizer) fixed(e hclsyntax.Expression) bool {
	return !slices.ContainsFunc(config.Variables(e), func(t hcl.Traversal) bool {
		_, late := v.late[t.RootName()]
		return late || t.RootName() == expr.RowName
	})
}

func (v *vectorizer) constant(e hclsyntax.Expression) *node {
	val, diags := eval.Value(e, v.vars)
	if diags.HasErrors() || !val.IsWhollyKnown() {
		return nil
	}
	return constantNode(val)
}

func constantNode(val cty.Value) *node {
	n := &node{typ: val.Type(), constant: &val, form: valueForm}
	if val.IsNull() {
		n.value = func(*frame, int) (cty.Value, outcome) { return val, null }
		return n
	}
	switch n.typ {
	case cty.String:
		s := val.AsString()
		n.form, n.text = textForm, func(*frame, int) (string, outcome) { return s, some }
	case cty.Bool:
		b := val.True()
		n.form, n.truth = boolForm, func(*frame, int) (bool, outcome) { return b, some }
	case cty.Number:
		if i, err := integer(val); err == nil {
			n.form, n.integer = integerForm, func(*frame, int) (int64, outcome) { return i, some }
			return n
		}
		fallthrough
	default:
		n.value = func(*frame, int) (cty.Value, outcome) { return val, some }
	}
	return n
}

// column reads a column or a field of a struct in it.
func (v *vectorizer) column(t hcl.Traversal) *node {
	from := path{data.Columns, make([]string, 0, len(t)-1)}
	for _, step := range t[1:] {
		name, ok := expr.AttributeName(step)
		if !ok {
			return nil
		}
		from.steps = append(from.steps, name)
	}
	if len(from.steps) == 0 {
		return nil
	}
	c, ok := expr.LookupColumn(v.schema, from.steps[0])
	if !ok {
		return nil
	}
	from.steps[0] = c.Name
	at, err := data.ArrowType(c.Type)
	for _, name := range from.steps[1:] {
		if at = fieldType(at, name); at == nil {
			return nil
		}
	}
	if err != nil {
		return nil
	}
	return v.slot(from, at)
}

func fieldType(t arrow.DataType, name string) arrow.DataType {
	if s, ok := t.(*arrow.StructType); ok {
		if f, ok := s.FieldByName(name); ok {
			return f.Type
		}
	}
	return nil
}

// slotIndex returns the index in a frame of the column or field at a path.
func (v *vectorizer) slotIndex(to path) int {
	k := slices.IndexFunc(v.paths, func(p path) bool { return p.root == to.root && slices.Equal(p.steps, to.steps) })
	if k < 0 {
		k = len(v.paths)
		v.paths = append(v.paths, to)
	}
	return k
}

func (v *vectorizer) slot(from path, t arrow.DataType) *node {
	k := v.slotIndex(from)
	n := &node{typ: expr.ValueType(t)}
	switch t.(type) {
	case *arrow.StringType:
		n.form, n.text = textForm, func(f *frame, i int) (string, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return "", o
			}
			return s.str.Value(i), some
		}
	case *arrow.Int64Type:
		n.form, n.integer = integerForm, func(f *frame, i int) (int64, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return 0, o
			}
			return s.i64.Value(i), some
		}
	case *arrow.Float64Type:
		n.form, n.real = realForm, func(f *frame, i int) (float64, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return 0, o
			}
			return s.real(i)
		}
	case *arrow.BooleanType:
		n.form, n.truth = boolForm, func(f *frame, i int) (bool, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return false, o
			}
			return s.bit.Value(i), some
		}
	default:
		n.form, n.value = valueForm, func(f *frame, i int) (cty.Value, outcome) {
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

// real returns a float that is not null.
func (s *slot) real(i int) (float64, outcome) {
	x := s.f64.Value(i)
	if !finite(x) {
		return 0, null
	}
	if x == 0 {
		x = 0 // so that it is no longer -0
	}
	return x, some
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// bind finds the columns of a batch.
func bind(rec arrow.RecordBatch, paths []path) (*frame, error) {
	f := &frame{slots: make([]slot, len(paths))}
	for k, p := range paths {
		col, err := find(rec, p.root, p.steps[0])
		if err != nil {
			return nil, err
		}
		var parents []*array.Struct
		for _, name := range p.steps[1:] {
			s := col.(*array.Struct)
			at, _ := s.DataType().(*arrow.StructType).FieldIdx(name)
			parents, col = append(parents, s), s.Field(at)
		}
		f.slots[k] = newSlot(col, parents)
	}
	return f, nil
}

// template joins its parts, none of which may be null.
func (v *vectorizer) template(e *hclsyntax.TemplateExpr) *node {
	parts := make([]texter, len(e.Parts))
	for j, part := range e.Parts {
		n := v.expr(part)
		if n == nil || n.asText() == nil {
			return nil
		}
		parts[j] = n.asText()
	}
	return textNode(joined(parts))
}

func joined(parts []texter) texter {
	return func(f *frame, i int) (string, outcome) {
		var room [8]string
		texts := room[:0]
		for _, part := range parts {
			s, o := part(f, i)
			if o != some {
				return "", inTemplate(o)
			}
			texts = append(texts, s)
		}
		return f.keep(texts...), some
	}
}

func inTemplate(o outcome) outcome {
	if o == null {
		return fails
	}
	return o
}

// convertible reports whether a constant node's value converts to a type.
func convertible(n *node, t cty.Type) (cty.Value, bool) {
	if n.constant == nil {
		return cty.NilVal, false
	}
	v, err := convert.Convert(*n.constant, t)
	return v, err == nil && v.IsKnown() && !v.IsNull()
}
