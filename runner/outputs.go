package runner

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/store/state"
)

// conclusion evaluates the pipeline's outputs and checks, after all stages have
// ended.
type conclusion struct {
	plan     *plan.Plan
	checker  *checker
	reporter *reporter
	state    *saver
	seal     func([]byte) (string, error)
}

// outputs evaluates the pipeline's outputs and writes them to the state. An
// output that needs a stage that is not done keeps its former value.
func (c *conclusion) outputs(res *Result) {
	if c.plan.Destroy && res.Status != Done {
		return // they still describe what could not be deleted
	}
	all, changed := c.state.allOutputs(), false
	if all == nil {
		all = map[string]*state.Output{}
	}
	missing := undone(res)
	res.Outputs = map[string]cty.Value{}
	for _, o := range c.plan.Outputs {
		if o.Deferred {
			continue
		}
		if o.Expr == nil || o.Action == plan.Delete {
			changed = changed || all[o.Name] != nil
			delete(all, o.Name)
			continue
		}
		v, ok, diags := c.output(o, missing)
		res.Diagnostics = append(res.Diagnostics, c.reporter.redactor.Diagnostics(diags)...)
		if diags.HasErrors() {
			res.Status = Failed
		}
		if !ok {
			continue
		}
		res.Outputs[o.Name] = v
		stored := value.Value{Value: unmarked(v)}
		if old := all[o.Name]; old == nil || old.Sensitive != sensitive(o) || old.Unkeyed() || !old.Is(stored, c.seal) {
			made, err := state.NewOutput(stored, sensitive(o), c.seal)
			if err != nil {
				res.Diagnostics = append(res.Diagnostics, diag.Errorf(o.Expr.Range.Ptr(), "Output cannot be stored", "%s.", err))
				res.Status = Failed
				continue
			}
			all[o.Name], changed = made, true
		}
		c.reporter.Emit(events.Event{Type: events.OutputSet, Output: outputEvent(o, stored.Value)})
	}
	if changed {
		c.state.setOutputs(all)
	}
}

// undone returns the stages with an instance that is not done.
func undone(res *Result) map[string]bool {
	out := map[string]bool{}
	for _, s := range res.Stages {
		if a, err := addr.Parse(s.Address); err == nil && s.Status != Done {
			out[a.Stage.String()] = true
		}
	}
	return out
}

// output evaluates one output. ok is false if it has no value yet.
func (c *conclusion) output(o *plan.Output, undone map[string]bool) (v cty.Value, ok bool, diags hcl.Diagnostics) {
	if slices.ContainsFunc(o.DependsOn, func(stage string) bool { return undone[stage] }) || !c.checker.values.ready(o.Expr.Refs, undone) {
		return cty.NilVal, false, nil
	}
	for i := range o.Conditions {
		condition := &o.Conditions[i]
		if !c.checker.values.ready(condition.Refs(), undone) {
			return cty.NilVal, false, nil
		}
		diags = append(diags, c.checker.checkOne("output."+o.Name, condition)...)
	}
	if diags.HasErrors() {
		return cty.NilVal, false, diags
	}
	v, diags = o.Expr.Eval(c.checker.values.vars(o.Expr.Refs, o.Expr.Secrets))
	if diags.HasErrors() {
		return cty.NilVal, false, diags
	}
	v = unmarked(v)
	if !v.IsWhollyKnown() {
		return cty.NilVal, false, nil
	}
	if sensitive(o) {
		return v.Mark(value.Sensitive{Variable: "output." + o.Name}), true, nil
	}
	return v, true, nil
}

// checks evaluates the pipeline's checks. A failed check is a warning and makes
// nothing else fail.
func (c *conclusion) checks(res *Result) {
	missing := undone(res)
	for _, check := range c.plan.Checks {
		status, diags := c.checker.checkAll(check, missing)
		diags = c.reporter.redactor.Diagnostics(diags)
		res.Diagnostics = append(res.Diagnostics, diags...)
		c.reporter.Emit(events.Event{Type: events.Checked, Check: &events.Check{Name: check.Name, Status: string(status)}, Diagnostics: events.FromHCL(diags)})
	}
}

// sensitive reports whether an output is sensitive: declared as such, or
// computed from a sensitive variable.
func sensitive(o *plan.Output) bool { return o.Sensitive || len(o.Expr.Secrets) > 0 }

func unmarked(v cty.Value) cty.Value {
	v, _ = v.UnmarkDeep()
	return v
}

func outputEvent(o *plan.Output, v cty.Value) *events.Output {
	e := &events.Output{Name: o.Name, Sensitive: sensitive(o)}
	if !e.Sensitive {
		// A value without a JSON form (a capsule) does not go into the stream.
		if text, err := ctyjson.Marshal(v, v.Type()); err == nil {
			e.Value = text
		}
	}
	return e
}
