package columnar

import (
	"strings"

	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
)

// texter is a closure that returns text.
type texter = func(*frame, int) (string, outcome)

// calls are the functions with closures of their own. If one returns nil for
// its arguments, the function is called like any other.
var calls map[string]func(*vectorizer, *hclsyntax.FunctionCallExpr) *node

func init() {
	calls = map[string]func(*vectorizer, *hclsyntax.FunctionCallExpr) *node{
		"lower":          mapping(lower),
		"upper":          mapping(upper),
		"trimspace":      mapping(func(_ *frame, s string) string { return strings.TrimSpace(s) }),
		"startswith":     relation(strings.HasPrefix),
		"endswith":       relation(strings.HasSuffix),
		"strcontains":    relation(strings.Contains),
		"replace":        (*vectorizer).replace,
		"substr":         (*vectorizer).substr,
		"length":         (*vectorizer).length,
		"contains":       (*vectorizer).contains,
		"coalesce":       (*vectorizer).coalesce,
		"regex":          (*vectorizer).regex,
		"can":            (*vectorizer).can,
		"try":            (*vectorizer).try,
		"tostring":       (*vectorizer).tostring,
		"jsonencode":     (*vectorizer).jsonencode,
		eval.ConvertName: (*vectorizer).convert,
	}
}

func (v *vectorizer) call(e *hclsyntax.FunctionCallExpr) *node {
	if e.ExpandFinal {
		return nil
	}
	if f, ok := calls[e.Name]; ok {
		if n := f(v, e); n != nil {
			return n
		}
	}
	return v.generic(e)
}

// can reports whether its argument can be computed, with a fast path for
// matching a pattern.
func (v *vectorizer) can(e *hclsyntax.FunctionCallExpr) *node {
	if len(e.Args) != 1 {
		return nil
	}
	if call, ok := e.Args[0].(*hclsyntax.FunctionCallExpr); ok && call.Name == "regex" {
		if re, text := v.pattern(call); re != nil {
			return boolNode(func(f *frame, i int) (bool, outcome) {
				s, o := text(f, i)
				if o == unsure || re.Check(s) != nil {
					return false, unsure
				}
				return o == some && re.MatchString(s), some
			})
		}
	}
	n := v.expr(e.Args[0])
	if n == nil {
		return nil
	}
	state := n.state()
	return boolNode(func(f *frame, i int) (bool, outcome) {
		o := state(f, i)
		if o == unsure {
			return false, unsure
		}
		return o != fails, some
	})
}

// try returns the first of its arguments, all of one type, that can be
// computed.
func (v *vectorizer) try(e *hclsyntax.FunctionCallExpr) *node {
	var args []*node
	for _, arg := range e.Args {
		args = append(args, v.expr(arg))
	}
	args = alike(args)
	if args == nil {
		return nil
	}
	n := &node{form: args[0].form, typ: args[0].typ}
	switch n.form {
	case textForm:
		n.text = firstOf(args, func(n *node) texter { return n.text })
	case integerForm:
		n.integer = firstOf(args, func(n *node) func(*frame, int) (int64, outcome) { return n.integer })
	case realForm:
		n.real = firstOf(args, func(n *node) func(*frame, int) (float64, outcome) { return n.real })
	case boolForm:
		n.truth = firstOf(args, func(n *node) func(*frame, int) (bool, outcome) { return n.truth })
	default:
		return nil
	}
	return n
}

// alike converts nodes to one form and type, or returns nil if that is not
// possible.
func alike(nodes []*node) []*node {
	var like *node
	for _, n := range nodes {
		if n == nil {
			return nil
		}
		if !n.isNull() && like == nil {
			like = n
		}
	}
	if like == nil {
		return nil
	}
	out := make([]*node, len(nodes))
	for i, n := range nodes {
		if n.isNull() {
			if n = nullOf(n, like); n == nil {
				return nil
			}
		}
		if n.form != like.form || !n.typ.Equals(like.typ) {
			return nil
		}
		out[i] = n
	}
	return out
}

func firstOf[T any](args []*node, get func(*node) func(*frame, int) (T, outcome)) func(*frame, int) (T, outcome) {
	gets := make([]func(*frame, int) (T, outcome), len(args))
	for i, n := range args {
		gets[i] = get(n)
	}
	return func(f *frame, i int) (T, outcome) {
		for _, get := range gets {
			if v, o := get(f, i); o != fails {
				return v, o
			}
		}
		var none T
		return none, fails
	}
}

// coalesce returns the first text that is neither null nor empty. All arguments
// are evaluated, as for any function, so an argument that fails makes the call
// fail.
func (v *vectorizer) coalesce(e *hclsyntax.FunctionCallExpr) *node {
	var args []*node
	for _, arg := range e.Args {
		args = append(args, v.expr(arg))
	}
	if args = alike(args); args == nil || args[0].form != textForm {
		return nil
	}
	return textNode(func(f *frame, i int) (string, outcome) {
		found, result := "", null
		for _, n := range args {
			s, o := n.text(f, i)
			if o > null {
				return "", o
			}
			if result == null && o == some && s != "" {
				found, result = s, some
			}
		}
		return found, inTemplate(result)
	})
}

// contains looks up a text in a fixed list or set.
func (v *vectorizer) contains(e *hclsyntax.FunctionCallExpr) *node {
	if len(e.Args) != 2 || !v.fixed(e.Args[0]) {
		return nil
	}
	list, needle := v.constant(e.Args[0]), v.expr(e.Args[1])
	if list == nil || list.isNull() || needle == nil || needle.form != textForm {
		return nil
	}
	if t := list.typ; !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return nil
	}
	among := map[string]bool{}
	for _, v := range list.constant.AsValueSlice() {
		if v.Type() != cty.String || v.IsNull() {
			return nil
		}
		among[v.AsString()] = true
	}
	return boolNode(func(f *frame, i int) (bool, outcome) {
		s, o := needle.text(f, i)
		if o == null {
			o = unsure
		}
		return among[s], o
	})
}

func (v *vectorizer) tostring(e *hclsyntax.FunctionCallExpr) *node {
	args := v.texts(e, 1)
	if args == nil {
		return nil
	}
	return textNode(args[0])
}

// convert converts to string, or to the type that the value already has.
func (v *vectorizer) convert(e *hclsyntax.FunctionCallExpr) *node {
	if len(e.Args) != 2 {
		return nil
	}
	t, diags := typeexpr.TypeConstraint(e.Args[1])
	n := v.expr(e.Args[0])
	switch {
	case diags.HasErrors() || n == nil:
		return nil
	case n.typ.Equals(t):
		return n
	case t == cty.String && n.asText() != nil:
		return textNode(n.asText())
	}
	return nil
}

// generic calls a function on cty values, which saves only hcl's own work
// around the call.
func (v *vectorizer) generic(e *hclsyntax.FunctionCallExpr) *node {
	fn, ok := expr.Functions()[e.Name]
	if !ok {
		return nil // of a plugin, for single values
	}
	params, tail := fn.Params(), fn.VarParam()
	if len(e.Args) < len(params) || tail == nil && len(e.Args) > len(params) {
		return nil
	}
	c := &genericCall{fn: fn}
	var typical []cty.Value
	for j, arg := range e.Args {
		param := tail
		if j < len(params) {
			param = &params[j]
		}
		n := v.expr(arg)
		if n == nil || customdecode.CustomExpressionDecoderForType(param.Type) != nil {
			return nil
		}
		sample := cty.UnknownVal(n.typ)
		if n.constant != nil {
			sample = *n.constant
		}
		sample, err := convert.Convert(sample, param.Type)
		if err != nil {
			return nil
		}
		typical = append(typical, sample)
		c.args = append(c.args, n.asValue())
		c.types = append(c.types, param.Type)
	}
	t, err := fn.ReturnTypeForValues(typical)
	if err != nil || t.HasDynamicTypes() {
		return nil
	}
	c.result = t
	return c.node(expr.ReturnsInteger(e.Name))
}

type genericCall struct {
	fn     function.Function
	args   []func(*frame, int) (cty.Value, outcome)
	types  []cty.Type
	result cty.Type
}

func (c *genericCall) value(f *frame, i int) (cty.Value, outcome) {
	vals := make([]cty.Value, len(c.args))
	for j, arg := range c.args {
		v, o := arg(f, i)
		if o != some {
			return cty.NilVal, o
		}
		if v, err := convert.Convert(v, c.types[j]); err == nil {
			vals[j] = v
		} else {
			return cty.NilVal, fails
		}
	}
	v, err := c.fn.Call(vals)
	switch {
	case err != nil:
		return cty.NilVal, fails
	case !v.IsKnown() || !v.Type().Equals(c.result):
		return cty.NilVal, unsure
	case v.IsNull():
		return cty.NilVal, null
	}
	return v, some
}

func (c *genericCall) node(integral bool) *node {
	switch {
	case c.result == cty.String:
		return textNode(unlift(c.value, func(v cty.Value) (string, outcome) { return v.AsString(), some }))
	case c.result == cty.Bool:
		return boolNode(unlift(c.value, func(v cty.Value) (bool, outcome) { return v.True(), some }))
	case c.result == cty.Number && integral:
		return integerNode(unlift(c.value, func(v cty.Value) (int64, outcome) {
			n, err := integer(v)
			if err != nil {
				return 0, unsure
			}
			return n, some
		}))
	}
	return &node{form: valueForm, typ: c.result, value: c.value}
}

// unlift is the inverse of lift: it extracts the content of cty values.
func unlift[T any](get func(*frame, int) (cty.Value, outcome), take func(cty.Value) (T, outcome)) func(*frame, int) (T, outcome) {
	return func(f *frame, i int) (T, outcome) {
		v, o := get(f, i)
		if o != some {
			var none T
			return none, o
		}
		return take(v)
	}
}
