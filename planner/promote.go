package planner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/state"
)

// Promote plans to let an environment refer to the results of another one. o is
// about the environment that changes: its state, and the configuration with its
// variables.
//
// Every result that the configuration needs must exist, in from or elsewhere in
// the store, and all gates must pass. Sources are not read: the environment gets
// the rows that from has. Deployments are planned as in any other plan.
func Promote(ctx context.Context, o Options, from *state.State) (*plan.Plan, hcl.Diagnostics) {
	o.adopts, o.preparedIn = fmt.Sprintf("environment %q", from.Environment), from.Environment
	a := newAdopter(ctx, o, from, isResult)
	defer a.close()
	p, diags := a.build()
	if p == nil {
		return nil, diags
	}
	a.checkGates(p)
	a.checkMissing(p, from.Environment)
	a.adopt(p)
	return a.finished(p)
}

// adopter plans to adopt results.
type adopter struct {
	*builder
	from, to *state.State
}

// newAdopter returns an adopter of those instances that adopts selects. The others
// stay as they are.
func newAdopter(ctx context.Context, o Options, from *state.State, adopts func(*state.Instance) bool) *adopter {
	to := o.State
	o.State = combined(from, to, adopts)
	return &adopter{builder: newBuilder(ctx, o), from: from, to: to}
}

// combined returns the state to with the selected instances of from instead of its
// own.
func combined(from, to *state.State, selected func(*state.Instance) bool) *state.State {
	s := *to
	s.Pending = from.Pending
	s.Instances = make(map[string]*state.Instance, len(from.Instances))
	for address, i := range from.Instances {
		if selected(i) {
			s.Instances[address] = i
		}
	}
	for address, i := range to.Instances {
		if !selected(i) {
			s.Instances[address] = i
		}
	}
	return &s
}

// isResult reports whether an instance is a result in the store, which
// environments share.
func isResult(i *state.Instance) bool { return i.Deployment == nil && i.Kind != kind.Gate }

// checkGates reports gates whose conditions the results do not meet.
func (a *adopter) checkGates(p *plan.Plan) {
	for _, n := range p.Nodes {
		if n.Kind != kind.Gate || n.Action != plan.Check {
			continue
		}
		for _, r := range n.Reasons {
			if r.Code == plan.BecauseCondition {
				a.Report(diag.Errorf(n.Range.Ptr(), "Gate failed", "%s does not pass in environment %q: %s", n.Address, a.Environment, r.Text))
			}
		}
	}
}

// checkMissing reports results that the configuration needs and that do not
// exist.
func (a *adopter) checkMissing(p *plan.Plan, from string) {
	missing, waiting := 0, 0
	for _, n := range p.Nodes {
		if n.Mode == plan.ModeDeploy || n.Action != plan.Run && n.Action != plan.MayRun {
			continue
		}
		missing++
		if waits(n) {
			waiting++
			continue
		}
		detail := fmt.Sprintf("Environment %q needs a result of %s that environment %q does not have", a.Environment, n.Address, from)
		if a.from.Pending[n.Address] != nil {
			detail += " yet: it is still waiting there"
		}
		if why := differences(n); why != "" {
			detail += ": " + why
		}
		a.Report(diag.Errorf(n.Range.Ptr(), "Result is missing", "%s. Compute it with \"quern apply -env=%s -target='%s'\", or make the variables of both environments agree.", detail, a.Environment, n.Address))
	}
	if waiting > 0 && waiting == missing || p.Deferred != nil {
		waiting = max(waiting, 1)
		a.Report(diag.Errorf(nil, "Results are missing", "%s of environment %q %s for results that do not exist. Run \"quern apply -env=%s\".",
			english.Count(waiting, "stage"), a.Environment, english.Agree(waiting, "waits", "wait"), a.Environment))
	}
}

// waits reports whether an instance may run only because others do.
func waits(n *plan.Node) bool {
	return len(n.Reasons) > 0 && !slices.ContainsFunc(n.Reasons, func(r plan.Reason) bool {
		return r.Code != plan.BecauseUpstream && r.Code != plan.BecauseChoice
	})
}

// differences says why the existing result cannot be used.
func differences(n *plan.Node) string {
	var texts []string
	for _, r := range n.Reasons {
		switch {
		case r.Code == plan.BecauseNew:
			return "it has never computed this stage"
		case r.Before != "" && r.After != "" && len(r.Before)+len(r.After) < 80:
			texts = append(texts, fmt.Sprintf("%s from %s to %s", r.Text, r.Before, r.After))
		default:
			texts = append(texts, r.Text)
		}
	}
	return english.And(texts)
}

// adopt turns what a plan keeps or reuses into adoptions, where the environment
// refers to something else, and forgets the other results of the environment.
func (a *adopter) adopt(p *plan.Plan) {
	p.Adopts = a.adopts
	p.Moves = slices.DeleteFunc(p.Moves, func(m state.Move) bool { return !a.to.Has(m.From) || isResult(a.to.Instances[m.From]) })
	there := make(map[string]bool, len(p.Nodes))
	var adopted []*plan.Node
	p.Nodes = slices.DeleteFunc(p.Nodes, func(n *plan.Node) bool { return n.Action == plan.Forget })
	for _, n := range p.Nodes {
		there[n.Address] = true
		n.Reasons = slices.DeleteFunc(n.Reasons, func(r plan.Reason) bool { return r.Code == plan.BecauseDepends }) // the gates pass
		if n.Mode == plan.ModeDeploy || n.Action == plan.Delete {
			continue
		}
		if i := a.instance(n, p); i != nil && !same(a.to.Instances[n.Address], i) {
			n.Action, n.Adoption, n.Estimate = plan.Adopt, &plan.Adoption{Instance: i}, plan.Estimate{}
			adopted = append(adopted, n)
		} else if i != nil {
			n.Action, n.Reasons = plan.Keep, nil
		}
	}
	parallel.For(len(adopted), runtime.GOMAXPROCS(0), func(i int) { a.compare(adopted[i]) })
	if !p.Partial {
		p.Nodes = append(p.Nodes, removals(a.others(there), "is not among the results of "+a.adopts)...)
	}
}

// others returns the results of the environment that are not among those that
// it adopts or keeps.
func (a *adopter) others(there map[string]bool) map[string]*state.Instance {
	gone := map[string]*state.Instance{}
	for address, i := range a.to.Instances {
		if !there[address] && i.Deployment == nil {
			gone[address] = i
		}
	}
	for address, w := range a.to.Pending {
		if !there[address] && gone[address] == nil {
			gone[address] = &state.Instance{Address: address, Kind: w.Kind, Type: w.Type}
		}
	}
	return gone
}

// instance returns what the state is to contain for a node, or nil if its result
// does not exist.
func (a *adopter) instance(n *plan.Node, p *plan.Plan) *state.Instance {
	var made state.Instance
	switch prior := a.State.Instances[n.Address]; {
	case n.Kind == kind.Gate:
		made = a.gate(n)
	case prior != nil && (n.Action == plan.Keep || n.Action == plan.Check):
		made = *prior
	case n.Action == plan.Reuse:
		entry, err := a.Store.Actions.Get(n.ActionKey)
		if err != nil || entry == nil {
			a.Report(diag.Errorf(n.Range.Ptr(), "Result is missing", "The result of %s is no longer in the store. Plan again.", n.Address))
			return nil
		}
		made = state.Instance{
			Definition: entry.Definition, RowsKey: entry.RowsKey, ActionKey: entry.Key, Preimage: entry.Preimage,
			Outputs: entry.Outputs, Value: entry.Value, Errors: entry.Errors, Fingerprint: n.Fingerprint, Memo: n.Memo, Run: entry.Run,
		}
	default:
		return nil
	}
	var checked bool
	if made.Contracts, checked = a.contracts(n); !checked {
		return nil
	}
	made.Address, made.Kind, made.Type, made.Plugin, made.DependsOn = n.Address, n.Kind, n.Type, n.Plugin, n.DependsOn
	made.Updated = p.Created
	return &made
}

// contracts returns the checks of the contracts that a result meets. It reports a
// contract that the result was never checked by, because that would read its rows.
func (a *adopter) contracts(n *plan.Node) (checked map[string]state.Checked, ok bool) {
	for _, c := range n.Contracts {
		if c.Key == "" {
			return nil, false // a dataset that it refers to is missing, which is reported
		}
		entry, err := a.Store.Actions.Get(c.Key)
		if err != nil || entry == nil {
			a.Report(diag.Errorf(c.Range.Ptr(), "Contract was not checked", "The result of %s was never checked by the contract of environment %q. Check it with \"quern apply -env=%s -target='%s'\", or make the variables of both environments agree.", n.Address, a.Environment, a.Environment, n.Address))
			return nil, false
		}
		if checked == nil {
			checked = map[string]state.Checked{}
		}
		checked[c.Violations()] = state.Checked{Key: c.Key, Violations: entry.Outputs[contract.Port]}
	}
	return checked, true
}

// gate returns a gate that passes.
func (a *adopter) gate(n *plan.Node) state.Instance {
	preimage := make([]action.Field, len(n.Preimage))
	for i, f := range n.Preimage {
		preimage[i] = action.Field(f)
	}
	g := state.Instance{Definition: n.ActionKey, ActionKey: n.ActionKey, Preimage: action.NewPreimage(preimage)}
	for _, address := range slices.Sorted(slices.Values(n.DependsOn)) {
		if i := a.State.Instances[address]; i != nil && i.Kind != kind.Gate {
			g.Inputs = append(g.Inputs, action.InputRef{Address: address, Role: action.RoleValues, Action: i.ActionKey})
		}
	}
	return g
}

// same reports whether two instances refer to the same result.
func same(a, b *state.Instance) bool {
	return a != nil && a.ActionKey == b.ActionKey && a.Definition == b.Definition && a.Errors == b.Errors &&
		maps.Equal(a.Outputs, b.Outputs) && maps.Equal(a.Contracts, b.Contracts) && slices.Equal(a.DependsOn, b.DependsOn) && sameValue(a.Value, b.Value)
}

func sameValue(a, b *value.Stored) bool {
	if a == nil || b == nil {
		return a == b
	}
	is, err := json.Marshal(a)
	was, wasErr := json.Marshal(b)
	return err == nil && wasErr == nil && bytes.Equal(is, was)
}

// fields returns a preimage in the form that plans have.
func fields(preimage action.Preimage) []plan.Field {
	all := preimage.Fields()
	out := make([]plan.Field, len(all))
	for i, f := range all {
		out[i] = plan.Field(f)
	}
	return out
}

// compare says how the result that a node adopts differs from the present one.
func (a *adopter) compare(n *plan.Node) {
	before, after := a.to.Instances[n.Address], n.Adoption.Instance
	n.Adoption.After = a.content(after)
	n.Reasons = []plan.Reason{{Code: plan.BecauseNew, Text: "is new"}}
	if before != nil {
		n.Adoption.Before = a.content(before)
		n.Reasons = fingerprint.Compare(fields(before.Preimage), fields(after.Preimage), "")
		if !maps.Equal(before.Contracts, after.Contracts) && before.ActionKey == after.ActionKey {
			n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseContract, Text: "its contract changed, and the result meets it"})
		}
	}
}
