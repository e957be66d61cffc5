package runner

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/state"
)

// check evaluates a node's conditions of one kind and returns all that do not
// hold as one *failure.
func (r *run) check(n *plan.Node, when string) error {
	var diags hcl.Diagnostics
	for i := range n.Conditions {
		if c := &n.Conditions[i]; c.When == when {
			diags = append(diags, r.checkOne(n.Address, c)...)
		}
	}
	if diags.HasErrors() {
		return &failure{diags}
	}
	return nil
}

var broken = map[string]string{
	plan.WhenGate: "Gate failed",
	plan.WhenPre:  "Precondition failed",
	plan.WhenPost: "Postcondition failed",

	plan.WhenOutput: "Output precondition failed",
	plan.WhenCheck:  "Check failed",
}

func (r *run) checkOne(what string, c *plan.Condition) hcl.Diagnostics {
	vars := r.vars(c.Test.Refs, c.Test.Secrets)
	verdict := c.Test.Decide(vars)
	if !verdict.Known {
		return hcl.Diagnostics{diag.Errorf(c.Test.Range.Ptr(), "Condition cannot be evaluated",
			"It depends on a value that is still not known, although everything that %s depends on is done.", what)}
	}
	if verdict.Holds {
		return nil
	}
	d := diag.Errorf(c.Test.Range.Ptr(), broken[c.When], "%s%s", r.message(c), verdict.Undecided())
	// The values that mattered are shown with it.
	if e, diags := limit.ParseExpression([]byte(c.Test.Text), "", hcl.InitialPos); !diags.HasErrors() && len(c.Test.Secrets) == 0 {
		d.Expression, d.EvalContext = e, &hcl.EvalContext{Variables: vars}
	}
	return hcl.Diagnostics{d}
}

// checks evaluates the pipeline's checks when everything else is done. A failed check is
// a warning: it does not make anything else fail.
func (r *run) checks(res *Result) {
	undone := r.undone(res)
	for _, c := range r.plan.Checks {
		status, diags := r.checkAll(c, undone)
		diags = r.redactor.Diagnostics(diags)
		res.Diagnostics = append(res.Diagnostics, diags...)
		r.emit(events.Event{Type: events.Checked, Check: &events.Check{Name: c.Name, Status: string(status)}, Diagnostics: events.FromHCL(diags)})
	}
}

func (r *run) checkAll(c *plan.CheckBlock, undone map[string]bool) (plan.CheckStatus, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	status := plan.Pass
	for i := range c.Conditions {
		condition := &c.Conditions[i]
		if !r.ready(condition.Refs(), undone) {
			status = plan.Unknown
			continue
		}
		diags = append(diags, r.checkOne("check."+c.Name, condition)...)
	}
	for _, d := range diags {
		d.Severity, status = hcl.DiagWarning, plan.Fail
	}
	return status, diags
}

// message is the condition's error_message.
func (r *run) message(c *plan.Condition) string {
	const silent = "The condition is not met."
	if c.Message == nil {
		return silent
	}
	if len(c.Message.Secrets) > 0 {
		return "The condition is not met. (Its message contains a sensitive value.)"
	}
	v, diags := c.Message.Eval(r.vars(c.Message.Refs, nil))
	if diags.HasErrors() {
		return silent
	}
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		return silent
	}
	return v.AsString()
}

// gate checks a gate. One that does not hold fails, and so keeps back all that
// depends on it.
func (r *run) gate(n *plan.Node, res *StageResult) error {
	if err := r.check(n, plan.WhenPre); err != nil {
		return err
	}
	if err := r.check(n, plan.WhenGate); err != nil {
		return err
	}
	key, fields, err := r.gateKey(n)
	if err != nil {
		return err
	}
	res.Action, res.ActionKey = plan.Check, key
	r.saver.set(n.Address, &state.Instance{
		Address: n.Address, Kind: n.Kind, Definition: key, ActionKey: key,
		Preimage: preimage(fields), Inputs: r.valueRefs(n.DependsOn), DependsOn: n.DependsOn, Run: r.RunID, Updated: time.Now().UTC(),
	})
	return nil
}

// gateKey is the key of a gate now that the values of its conditions are known.
func (r *run) gateKey(n *plan.Node) (key string, fields []plan.Field, err error) {
	if n.ActionKey != "" {
		return n.ActionKey, n.Preimage, nil
	}
	known := *n
	known.Conditions = make([]plan.Condition, len(n.Conditions))
	for i, c := range n.Conditions {
		var diags hcl.Diagnostics
		if known.Conditions[i], diags = c.Resolve(r.vars(c.Test.Refs, c.Test.Secrets)); diags.HasErrors() {
			return "", nil, &failure{diags}
		}
	}
	return fingerprint.Definition(&known, nil, r.seal)
}

// checkKept checks the conditions of an instance that does not change.
func (r *run) checkKept(n *plan.Node, res *StageResult) error {
	res.Action, res.ActionKey = plan.Keep, n.ActionKey
	for _, when := range []string{plan.WhenPre, plan.WhenGate, plan.WhenPost} {
		if err := r.check(n, when); err != nil {
			return err
		}
	}
	return nil
}

func preimage(fields []plan.Field) []action.Field {
	out := make([]action.Field, len(fields))
	for i, f := range fields {
		out[i] = action.Field(f)
	}
	return slices.Clip(out)
}
