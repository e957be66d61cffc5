package planner

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// Values are everything that an output of a module could refer to: variables,
// locals, functions, and the values of stages as the state has them. Whatever
// an apply would compute again is unknown.
type Values struct{ builder *builder }

// Evaluate computes the values of a module. It does not read sources or
// deployments.
func Evaluate(ctx context.Context, o Options) (*Values, hcl.Diagnostics) {
	o.Refresh, o.RefreshOnly, o.Destroy, o.Targets, o.Excludes, o.Replace = false, false, false, nil, nil, nil
	b := newBuilder(ctx, o)
	defer b.close()
	_, diags := b.build()
	return &Values{builder: b}, diags
}

// BuildValues is Build, and also returns the values of the module as they are when
// planning: what a plan would compute is unknown.
func BuildValues(ctx context.Context, o Options) (*plan.Plan, *Values, hcl.Diagnostics) {
	b := newBuilder(ctx, o)
	defer b.close()
	p, diags := b.build()
	return p, &Values{builder: b}, diags
}

// Eval evaluates one expression. filename is for its diagnostics. The result
// may be unknown, and sensitive values carry their marks.
func (v *Values) Eval(text, filename string) (cty.Value, hcl.Diagnostics) {
	e, diags := limit.ParseExpression([]byte(text), filename, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	value, _, diags := v.Expression(e, nil)
	return value, diags
}

// Expression is Eval for an expression that is parsed already. It can also use the
// names and functions of more, which may be nil. It returns what the expression was
// evaluated with, too, or nil if it was not evaluated.
func (v *Values) Expression(e hcl.Expression, more *hcl.EvalContext) (cty.Value, *hcl.EvalContext, hcl.Diagnostics) {
	if expr.MentionsRow(e) {
		return cty.DynamicVal, nil, hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Name is not available here",
			"`row` is available only in arguments of a stage, where it refers to a row of a dataset.")}
	}
	var names []string
	if more != nil {
		names = slices.Collect(maps.Keys(more.Variables))
	}
	m := v.builder.root
	if diags := m.Config.Check(e, names...); diags.HasErrors() {
		return cty.DynamicVal, nil, diags
	}
	r := module.RefsOf(e)
	m.Clear()
	if m.Report(m.CheckTraversals(r, e)...) || m.BrokenUpstream(r) {
		return cty.DynamicVal, nil, m.Sorted()
	}
	ctx := m.ForeignIn(e, m.Scope(r).Values)
	if more != nil {
		ctx = ctx.NewChild()
		ctx.Variables, ctx.Functions = more.Variables, more.Functions
	}
	value, diags := eval.Value(e, ctx)
	m.Report(diags...)
	return value, ctx, m.Sorted()
}
