package decode

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/data"
)

// argument decodes one argument of a body: a plain value or a row expression.
type argument struct {
	*schema.Argument
	*bodyDecoder
	scope *module.Scope
}

// artifactArgument decodes an argument that takes artifacts, possibly among row
// expressions.
type artifactArgument struct{ *argument }

// decode decodes an expression. It returns nil if the expression is null or has
// errors.
func (a *argument) decode(e hclsyntax.Expression, key string) *plan.Arg {
	switch {
	case !a.Handles():
		return a.plain(e)
	case a.Collection != 0:
		return (&artifactArgument{a}).collection(e, key)
	}
	return (&artifactArgument{a}).element(e, key)
}

// plain decodes an argument that takes a plain value.
func (a *argument) plain(e hclsyntax.Expression) *plan.Arg {
	if a.blind(e, a.scope) {
		return nil
	}
	want := a.PlainType()
	if expr.MentionsRow(e) {
		a.errorf(e.Range(), "Name is not available here", "The argument %q has one value for the whole stage, so it cannot depend on `row`.%s", a.Name, described(a.Doc))
		return nil
	}
	v, diags := eval.Value(e, a.scope.Values)
	if diags.HasErrors() || !v.IsWhollyKnown() || v.ContainsMarked() || (!a.Operational && a.impureIn(e)) {
		return a.compiled(e, want, v, diags)
	}
	v, err := value.Convert(v, want)
	if err != nil {
		a.errorf(e.Range(), "Wrong type of value", "The argument %q must be of type %s: %s.%s", a.Name, want.FriendlyNameForConstraint(), err, described(a.Doc))
		return nil
	}
	if v.IsNull() {
		return nil
	}
	if !a.allowed(v, e.Range()) {
		return nil
	}
	return &plan.Arg{Value: &value.Value{Value: v}}
}

// compiled decodes a plain argument whose value is not known yet or contains a
// secret. v and diags are the result of evaluating it.
func (a *argument) compiled(e hclsyntax.Expression, want cty.Type, v cty.Value, diags hcl.Diagnostics) *plan.Arg {
	c, more := expr.Compile(e, valueScope(a.scope), want)
	if more.HasErrors() {
		a.diags = append(a.diags, more...)
		return nil
	}
	if diags.HasErrors() {
		a.diags = append(a.diags, diags...)
		return nil
	}
	if v.IsKnown() && v.IsNull() && !v.IsMarked() {
		return nil
	}
	return &plan.Arg{Expr: c}
}

// impureIn reports whether a value comes from an impure function. If a local is
// the cause, it reports the error; for the expression itself, Compile does.
func (a *argument) impureIn(e hclsyntax.Expression) bool {
	return a.impureLocal(e) != "" || a.Impure(e, &module.Refs{}) != ""
}

// allowed checks what the schema requires of a value beyond its type.
func (a *argument) allowed(v cty.Value, subject hcl.Range) bool {
	if a.Sensitive {
		a.errorf(subject, "Secret in the configuration", "The argument %q is sensitive, and a value written here would appear in files and plans in plain text. Take it from a variable with sensitive = true.", a.Name)
		a.diags[len(a.diags)-1].Extra = diag.Secret{}
		return false
	}
	if len(a.OneOf) == 0 || v.Type() != cty.String || slices.Contains(a.OneOf, v.AsString()) {
		return true
	}
	a.errorf(subject, "Wrong value", "The argument %q must be %s, not %q.%s", a.Name, alternatives(a.OneOf), v.AsString(), diag.Suggest(v.AsString(), a.OneOf))
	return false
}

// valueScope returns the scope of expressions that have one value.
func valueScope(sc *module.Scope) *expr.Scope {
	return sc.Expr()
}

// rowScope returns the scope of expressions over the rows of a dataset.
func rowScope(sc *module.Scope, of *module.Handle) *expr.Scope { return overRows(valueScope(sc), of) }

// overRows adds the rows of a dataset to a scope.
func overRows(s *expr.Scope, of *module.Handle) *expr.Scope {
	s.Row, s.RowOf = of.Port.Columns, of.String()
	if s.Row == nil {
		s.Row = data.Schema{}
	}
	return s
}
