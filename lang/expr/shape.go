package expr

import (
	"errors"
	"maps"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/sdk/go/data"
)

// shape records which numbers in a value are certainly integers, which cty's
// types do not. nil means that nothing is known.
type shape struct {
	// anything is the shape of null and of impossible values. It is compatible
	// with every other shape.
	anything bool
	integer  bool
	elem     *shape
	fields   map[string]*shape
}

var (
	integerShape = &shape{integer: true}
	anyShape     = &shape{anything: true}
)

func (s *shape) isInteger() bool { return s != nil && (s.integer || s.anything) }

func (s *shape) element() *shape {
	if s == nil || s.anything {
		return s
	}
	return s.elem
}

func (s *shape) field(name string) *shape {
	if s == nil || s.anything {
		return s
	}
	if s.fields == nil {
		return s.elem
	}
	return s.fields[name]
}

// meet returns what is true for values of either shape.
func meet(a, b *shape) *shape {
	switch {
	case a == nil || b == nil:
		return nil
	case a.anything:
		return b
	case b.anything:
		return a
	case a.integer && b.integer:
		return a
	case a.elem != nil || b.elem != nil:
		return &shape{elem: meet(a.elements(), b.elements())}
	case a.fields != nil && b.fields != nil:
		m := &shape{fields: map[string]*shape{}}
		for name := range a.fields {
			m.fields[name] = meet(a.fields[name], b.fields[name])
		}
		return m
	}
	return nil
}

// elements returns the shape of all elements or fields.
func (s *shape) elements() *shape {
	if s == nil || s.anything || s.fields == nil {
		return s.element()
	}
	all := anyShape
	for _, f := range s.fields {
		all = meet(all, f)
	}
	return all
}

func columnShape(t arrow.DataType) *shape {
	switch t := t.(type) {
	case *arrow.Int64Type:
		return integerShape
	case *arrow.ListType:
		return &shape{elem: columnShape(t.Elem())}
	case *arrow.StructType:
		s := &shape{fields: map[string]*shape{}}
		for _, f := range t.Fields() {
			s.fields[f.Name] = columnShape(f.Type)
		}
		return s
	}
	return nil
}

func literalShape(v cty.Value) *shape {
	t := v.Type()
	switch {
	case v.IsNull():
		return anyShape
	case t == cty.Number:
		if v.AsBigFloat().IsInt() {
			return integerShape
		}
		return nil
	case t.IsListType(), t.IsSetType(), t.IsTupleType(), t.IsMapType():
		all := anyShape
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			all = meet(all, literalShape(e))
		}
		return &shape{elem: all}
	case t.IsObjectType():
		s := &shape{fields: map[string]*shape{}}
		for name, a := range v.AsValueMap() {
			s.fields[name] = literalShape(a)
		}
		return s
	}
	return nil
}

// integral functions always return integers. Those of keeping do if all their
// arguments are integers.
var (
	integral = map[string]bool{"length": true, "ceil": true, "floor": true, "parseint": true, "signum": true, "index": true,
		"levenshtein": true, "word_count": true}
	keeping = map[string]bool{"abs": true, "min": true, "max": true, "coalesce": true, "try": true, "sum": true,
		"concat": true, "distinct": true, "reverse": true, "flatten": true, "slice": true, "compact": true, "coalescelist": true, convertName: true}
)

// ReturnsInteger reports whether the result of a function is always an integer.
func ReturnsInteger(function string) bool { return integral[function] }

// shapeOf finds integers. locals are the shapes of loop variables.
func (r *reducer) shapeOf(e hclsyntax.Expression, locals map[string]*shape) *shape {
	sub := func(e hclsyntax.Expression) *shape { return r.shapeOf(e, locals) }
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return literalShape(e.Val)
	case *hclsyntax.ScopeTraversalExpr:
		return r.traversalShape(e.Traversal, locals)
	case *hclsyntax.RelativeTraversalExpr:
		return follow(sub(e.Source), e.Traversal)
	case *hclsyntax.IndexExpr:
		return sub(e.Collection).elements()
	case *hclsyntax.ConditionalExpr:
		return meet(sub(e.TrueResult), sub(e.FalseResult))
	case *hclsyntax.UnaryOpExpr:
		return sub(e.Val)
	case *hclsyntax.BinaryOpExpr:
		if e.Op.Type != cty.Number || e.Op == hclsyntax.OpDivide {
			return nil
		}
		return meet(sub(e.LHS), sub(e.RHS))
	case *hclsyntax.TupleConsExpr:
		all := anyShape
		for _, part := range e.Exprs {
			all = meet(all, sub(part))
		}
		return &shape{elem: all}
	case *hclsyntax.ObjectConsExpr:
		return r.objectShape(e, sub)
	case *hclsyntax.ForExpr:
		return r.forShape(e, locals)
	case *hclsyntax.FunctionCallExpr:
		if f := r.foreign[e.Name]; f != nil {
			return foreignShape(f)
		}
		return callShape(e, sub)
	}
	return nil
}

func (r *reducer) traversalShape(t hcl.Traversal, locals map[string]*shape) *shape {
	if s, ok := locals[t.RootName()]; ok {
		return follow(s, t[1:])
	}
	if t.RootName() != RowName {
		return madeShape(t)
	}
	name, ok := columnOf(t)
	if !ok {
		return rowShape(r.scope.Row)
	}
	if c, ok := LookupColumn(r.scope.Row, name); ok {
		name = c.Name
	}
	return follow(rowShape(r.columnsRead(t)).field(name), t[2:])
}

// madeShape returns what is certain about a value that a stage will produce:
// the number of rows in a dataset is an integer.
func madeShape(t hcl.Traversal) *shape {
	last, ok := t[len(t)-1].(hcl.TraverseAttr)
	if ok && addr.StartsReference(t.RootName()) && last.Name == "rows" {
		return integerShape
	}
	return nil
}

func rowShape(columns data.Schema) *shape {
	s := &shape{fields: map[string]*shape{}}
	for _, c := range columns {
		if t, err := data.ArrowType(c.Type); err == nil {
			s.fields[c.Name] = columnShape(t)
		}
	}
	return s
}

func follow(s *shape, steps hcl.Traversal) *shape {
	for _, step := range steps {
		if name, ok := AttributeName(step); ok {
			s = s.field(name)
		} else {
			s = s.elements()
		}
	}
	return s
}

func (r *reducer) objectShape(e *hclsyntax.ObjectConsExpr, sub func(hclsyntax.Expression) *shape) *shape {
	s := &shape{fields: map[string]*shape{}}
	for _, item := range e.Items {
		name, ok := knownKey(item.KeyExpr)
		if !ok {
			return nil
		}
		s.fields[name] = sub(item.ValueExpr)
	}
	return s
}

func (r *reducer) forShape(e *hclsyntax.ForExpr, locals map[string]*shape) *shape {
	inner := maps.Clone(locals)
	if inner == nil {
		inner = map[string]*shape{}
	}
	inner[e.ValVar] = r.shapeOf(e.CollExpr, locals).elements()
	if e.KeyVar != "" {
		inner[e.KeyVar] = nil
	}
	elem := r.shapeOf(e.ValExpr, inner)
	if e.Group {
		elem = &shape{elem: elem}
	}
	return &shape{elem: elem}
}

func callShape(e *hclsyntax.FunctionCallExpr, sub func(hclsyntax.Expression) *shape) *shape {
	switch {
	case integral[e.Name]:
		return integerShape
	case !keeping[e.Name] || e.ExpandFinal || len(e.Args) == 0:
		return nil
	case e.Name == "sum", e.Name == convertName, e.Name == "slice":
		s := sub(e.Args[0])
		if e.Name == "sum" {
			return s.elements()
		}
		return s
	}
	all := anyShape
	for _, arg := range e.Args {
		all = meet(all, sub(arg))
	}
	return all
}

// foreignShape returns what the column type of a plugin's results says.
func foreignShape(f *Foreign) *shape {
	t, err := data.ArrowType(f.Result)
	if err != nil {
		return nil
	}
	return columnShape(t)
}

func unify(types []cty.Type) (cty.Type, error) {
	t, _ := convert.UnifyUnsafe(types)
	if t == cty.NilType {
		return t, errors.New("the elements of this list have different types; convert them to one type")
	}
	return t, nil
}
