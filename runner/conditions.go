package runner

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/store/state"
)

// checker evaluates conditions.
type checker struct{ values *values }

// check evaluates a node's conditions of one kind and returns all that are not
// met as one *failure.Diagnosed.
func (k *checker) check(n *plan.Node, when string) error {
	var diags hcl.Diagnostics
	for i := range n.Conditions {
		if c := &n.Conditions[i]; c.When == when {
			diags = append(diags, k.checkOne(n.Address, c)...)
		}
	}
	if diags.HasErrors() {
		return &failure.Diagnosed{Diagnostics: diags}
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

func (k *checker) checkOne(what string, c *plan.Condition) hcl.Diagnostics {
	vars := k.values.vars(c.Test.Refs, c.Test.Secrets)
	verdict := c.Test.Decide(vars)
	if !verdict.Known {
		return hcl.Diagnostics{diag.Errorf(c.Test.Range.Ptr(), "Condition cannot be evaluated",
			"It depends on a value that is still not known, although everything that %s depends on is done.", what)}
	}
	if verdict.Holds {
		return nil
	}
	d := diag.Errorf(c.Test.Range.Ptr(), broken[c.When], "%s%s", k.message(c), verdict.Undecided())
	// The error shows the values that mattered.
	if e, diags := limit.ParseExpression([]byte(c.Test.Text), "", hcl.InitialPos); !diags.HasErrors() && len(c.Test.Secrets) == 0 {
		d.Expression, d.EvalContext = e, &hcl.EvalContext{Variables: vars}
	}
	return hcl.Diagnostics{d}
}

// checkKept checks the conditions of an instance that does not change.
func (k *checker) checkKept(n *plan.Node, res *StageResult) error {
	res.Action, res.ActionKey = plan.Keep, n.ActionKey
	for _, when := range []string{plan.WhenPre, plan.WhenGate, plan.WhenPost} {
		if err := k.check(n, when); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) checkAll(c *plan.CheckBlock, undone map[string]bool) (plan.CheckStatus, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	status := plan.Pass
	if c.Deferred {
		status = plan.Unknown
	}
	for i := range c.Conditions {
		condition := &c.Conditions[i]
		if !k.values.ready(condition.Refs(), undone) {
			status = plan.Unknown
			continue
		}
		diags = append(diags, k.checkOne("check."+c.Name, condition)...)
	}
	for _, d := range diags {
		d.Severity, status = hcl.DiagWarning, plan.Fail
	}
	return status, diags
}

// message returns the condition's error_message.
func (k *checker) message(c *plan.Condition) string {
	const silent = "The condition is not met."
	if c.Message == nil {
		return silent
	}
	if len(c.Message.Secrets) > 0 {
		return "The condition is not met. (Its message contains a sensitive value.)"
	}
	v, diags := c.Message.Eval(k.values.vars(c.Message.Refs, nil))
	if diags.HasErrors() {
		return silent
	}
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		return silent
	}
	return v.AsString()
}

// gates checks gates.
type gates struct {
	*checker
	publisher *publisher
}

// gate checks a gate. If a condition is not met, the gate fails, so that
// nothing that depends on it runs.
func (g *gates) gate(n *plan.Node, res *StageResult) error {
	if err := g.check(n, plan.WhenPre); err != nil {
		return err
	}
	if err := g.check(n, plan.WhenGate); err != nil {
		return err
	}
	key, fields, err := g.gateKey(n)
	if err != nil {
		return err
	}
	res.Action, res.ActionKey = plan.Check, key
	if prior, ok := g.publisher.state.instance(n.Address); ok && prior.ActionKey == key {
		res.Action = plan.Keep // the values that it passed with before
	}
	g.publisher.state.set(n.Address, &state.Instance{
		Address: n.Address, Kind: n.Kind, Definition: key, ActionKey: key,
		Preimage: preimage(fields), Inputs: g.publisher.valueRefs(n.DependsOn), DependsOn: n.DependsOn, Run: g.publisher.run, Updated: time.Now().UTC(),
	})
	return nil
}

// gateKey returns the key of a gate, now that the values of its conditions are
// known.
func (g *gates) gateKey(n *plan.Node) (key string, fields []plan.Field, err error) {
	if n.ActionKey != "" {
		return n.ActionKey, n.Preimage, nil
	}
	known := *n
	known.Conditions = make([]plan.Condition, len(n.Conditions))
	for i, c := range n.Conditions {
		var diags hcl.Diagnostics
		if known.Conditions[i], diags = c.Resolve(g.values.vars(c.Test.Refs, c.Test.Secrets)); diags.HasErrors() {
			return "", nil, &failure.Diagnosed{Diagnostics: diags}
		}
	}
	return fingerprint.Definition(&known, nil, g.values.seal)
}
