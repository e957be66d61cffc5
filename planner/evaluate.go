package planner

import (
	"context"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/module"
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

// Eval evaluates one expression. filename is for its diagnostics. The result
// may be unknown, and sensitive values carry their marks.
func (v *Values) Eval(text, filename string) (cty.Value, hcl.Diagnostics) {
	e, diags := limit.ParseExpression([]byte(text), filename, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	if expr.MentionsRow(e) {
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Name is not available here",
			"`row` is available only in arguments of a stage, where it refers to a row of a dataset.")}
	}
	m := v.builder.root
	if diags := m.Config.Check(e); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	r := module.RefsOf(e)
	m.Clear()
	if m.Report(m.CheckTraversals(r, e)...) || m.BrokenUpstream(r) {
		return cty.DynamicVal, m.Sorted()
	}
	value, diags := eval.Value(e, m.Scope(r).Values)
	m.Report(diags...)
	return value, m.Sorted()
}
