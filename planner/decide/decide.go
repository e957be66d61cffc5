// Package decide is the fourth phase of planning: it computes the keys of
// instances, compares them with the state and the store, asks plugins about
// deployments, and chooses for each instance what to do and why.
package decide

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/condition"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/phase"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/prepare"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/state"
)

// Decider decides about the instances of a module.
type Decider struct {
	*module.Module
	Context    context.Context
	Conditions *condition.Conditions
	Processes  *processes.Processes
	Store      *store.Store
	// Environment is the one that is planned.
	Environment string
	// Prior contains the instances in the state, by address.
	Prior map[string]*state.Instance
	// Pending contains what stages wait for according to the state, by address.
	Pending map[string]*state.Pending
	// Replace requests new results of these instances.
	Replace []addr.Target
	// Refresh reads deployments. RefreshOnly does nothing else.
	Refresh, RefreshOnly bool
	// Adopting takes the results in Prior as they are, whatever their keys.
	Adopting bool
	// TakeOver lets deployments take over those that are no longer configured,
	// except those at addresses for which Keeps is true.
	TakeOver bool
	Keeps    func(address string) bool
	// Imports returns what the plugin finds an existing deployment by that is to
	// be imported at an address.
	Imports func(address string) (id string, ok bool)

	taken     map[string]bool // addresses in Prior whose deployments others take over
	deposed   sync.Map        // address in Prior of a replaced deployment → plan.Action
	artifacts sync.Map        // artifact.Ref → *artifact.Artifact
	found     sync.Map        // the digests of blobs that exist
}

// Instance is an instance with a decision. Its node has the keys, the action,
// and the reasons.
type Instance struct {
	*prepare.Instance
	Prior  *state.Instance // nil if not in the state
	Result module.Result
	// Replaced: -replace requests a new result.
	Replaced bool
}

// Publish returns the instance as later levels see it.
func (n *Instance) Publish() *module.Instance {
	published := &module.Instance{Node: n.Node, Addr: n.Addr, Inputs: n.Inputs, Result: n.Result, Model: n.Model, Block: n.Block}
	for _, c := range n.Contracts {
		published.Breaches = append(published.Breaches, c.Breaches...)
	}
	for i := range n.Outputs {
		if p := &n.Outputs[i]; p.Kind == plan.KindPrompt {
			published.Prompt = n.Prompts[p.RowsOf][0].Prompt
		}
	}
	return published
}

// Decide decides about the instances of a level. It reports those with errors
// and leaves them out of the result. A validation decides nothing.
func (d *Decider) Decide(level []*prepare.Instance) []*Instance {
	all := phase.Waiting(d.Context, prepare.Lookers, level, func(p *prepare.Instance) *Instance {
		n := &Instance{Instance: p, Prior: d.Prior[p.Address], Replaced: d.replaced(p)}
		if n.Mode == plan.ModeDeploy && !d.Validating && !d.lookAtDeployment(n) {
			return nil
		}
		return n
	})
	if d.Validating {
		return all
	}
	return phase.Each(d.Context, d.takeOver(all), d.decide)
}

func (d *Decider) decide(n *Instance) *Instance {
	ok := true
	switch n.Mode {
	case plan.ModeModel:
		if !d.decideModel(n) {
			return nil
		}
		return n
	case plan.ModeDeploy: // the plugin has decided
	default:
		ok = d.decideResult(n)
	}
	if !ok || !d.Adopting && (!d.checkContracts(n) || !d.checkPost(n)) {
		return nil
	}
	d.repeatOverlap(n)
	return n
}

// keys computes an instance's keys, as far as they can be known.
func (d *Decider) keys(n *Instance) bool {
	definition, fields, err := fingerprint.Definition(n.Node, n.Bound.Body, d.Secrets.Seal)
	if err != nil {
		n.Stage.Module.Report(diag.Errorf(n.Range.Ptr(), "Cannot compute a key", "%s.", err))
		return false
	}
	n.Definition, n.Preimage = definition, fields
	inputs, known, err := n.keyInputs(d.Secrets.Seal)
	if err != nil {
		d.Processes.Failed(n.Node, "key", err)
		return false
	}
	if definition == "" || !known || (n.Mode == plan.ModeRead && n.Fingerprint == "") {
		return true
	}
	var more []plan.Field
	n.ActionKey, more = fingerprint.Action(definition, n.Fingerprint, inputs)
	n.Preimage = append(n.Preimage, more...)
	return true
}

// keyInputs returns the inputs as the action key covers them. known is false if
// one of them does not exist yet.
func (n *Instance) keyInputs(seal fingerprint.Seal) (inputs []fingerprint.Input, known bool, err error) {
	for key, h := range n.Inputs {
		if !h.Known() {
			return nil, false, nil
		}
		in := fingerprint.Input{Key: key, Kind: h.Port.Kind}
		if m := h.Manifest(); m != nil && h.Port.Kind == plan.KindDataset {
			in.Rows = m.Rows
			for _, c := range fingerprint.ReadColumns(n.Node, key, m.Schema.Names()) {
				in.Columns = append(in.Columns, fingerprint.Column{Name: c, Digest: m.ColumnDigest(c)})
			}
		} else {
			in.Digest, in.Pins = h.From.Result.Digests[h.Port.Name], pins(h.From.Model)
		}
		if in.Kind == plan.KindModel && n.Bound.Inputs[key].Of != "" {
			in.Features = map[string]string{}
			for name, e := range h.Port.Features {
				if in.Features[name], err = fingerprint.Feature(e, seal); err != nil {
					return nil, false, err
				}
			}
		}
		inputs = append(inputs, in)
	}
	return inputs, true, nil
}

// pins returns what the names that a language model depends on refer to.
func pins(m *plan.Model) map[string]string {
	if m == nil {
		return nil
	}
	return m.Pins
}

// decideResult decides about an instance whose result is in the store.
func (d *Decider) decideResult(n *Instance) bool {
	if !d.keys(n) {
		return false
	}
	switch {
	case d.Adopting:
		d.decideAdopted(n)
	case n.Prior != nil && d.IsSettled(n.Addr.Stage):
		return d.settle(n)
	case n.Replaced:
		n.run(plan.Reason{Code: plan.BecauseReplaced, Text: "-replace requests a new result"})
	case n.ActionKey == "":
		n.decideUnknown()
	case d.replacing(n):
		n.run()
	case n.Prior != nil && n.Prior.ActionKey == n.ActionKey:
		d.decideKept(n)
	default:
		d.decideOther(n)
	}
	if n.Runs() {
		d.countNewRows(n)
		d.continuePending(n)
		d.comparePrograms(n)
	}
	return true
}

// settle takes a stage that this run has done as the state has it, even if some
// of its rows failed.
func (d *Decider) settle(n *Instance) bool {
	r, bad := d.load(n.Prior.Outputs, n.Prior.Value)
	if bad != nil {
		return !d.Report(diag.Errorf(n.Range.Ptr(), "Result cannot be used", "%s was done in this run, but %s. Apply again to compute it again.", n.Address, bad.text))
	}
	n.Result, n.Action, n.ActionKey = r, plan.Keep, n.Prior.ActionKey
	return true
}

// Runs reports whether the instance will or may run.
func (n *Instance) Runs() bool { return n.Action == plan.Run || n.Action == plan.MayRun }

func (n *Instance) run(reasons ...plan.Reason) {
	n.Action, n.Reasons = plan.Run, reasons
}

// decideUnknown decides if the action key waits for upstream results.
func (n *Instance) decideUnknown() {
	waits := n.waits()
	switch {
	case n.Prior == nil:
		n.run(append([]plan.Reason{{Code: plan.BecauseNew, After: n.Summary, Text: "is new"}}, n.undecided()...)...)
	case n.Definition != "" && n.Definition != n.Prior.Definition:
		n.run(append(n.compare(), waits...)...)
	case len(waits) == 0:
		// The source was not refreshed.
		n.Action = plan.MayRun
		n.Reasons = []plan.Reason{{Code: plan.BecauseSource, Text: "the source was not refreshed"}}
	default:
		n.Action, n.Reasons = plan.MayRun, waits
	}
}

func newReason() plan.Reason {
	return plan.Reason{Code: plan.BecauseNew, Text: "is new"}
}

// waits names the upstream instances whose results are not known yet.
func (n *Instance) waits() []plan.Reason {
	upstream := map[string]bool{}
	for _, h := range n.Inputs {
		if !h.Known() && h.Among == nil {
			upstream[h.From.Address] = true
		}
	}
	if n.Bound != nil {
		refs, _ := n.Bound.Body.Refs()
		for _, r := range refs {
			upstream[r] = true
		}
	}
	reasons := n.undecided()
	for _, address := range ordered.Keys(upstream) {
		reasons = append(reasons, plan.Reason{Code: plan.BecauseUpstream, Subject: address, Text: "waits for " + address})
	}
	return reasons
}

// decideKept decides if the state already has the key.
func (d *Decider) decideKept(n *Instance) {
	r, bad := d.load(n.Prior.Outputs, n.Prior.Value)
	switch {
	case bad != nil:
		n.run(plan.Reason{Code: bad.code, Text: bad.text})
	case n.Prior.Errors > 0:
		what := english.Spell(n.Prior.Errors, "row")
		if n.Kind == kind.Evaluate {
			what = english.Spell(n.Prior.Errors, "call")
		}
		n.run(plan.Reason{Code: plan.BecauseFailed, Text: what + " failed and will be retried"})
	default:
		n.Result, n.Action = r, plan.Keep
	}
}

// decideAdopted decides about an instance whose result is the one in Prior,
// whatever it would be computed from now.
func (d *Decider) decideAdopted(n *Instance) {
	if n.Prior == nil {
		n.run(newReason())
		return
	}
	n.Definition, n.ActionKey = n.Prior.Definition, n.Prior.ActionKey
	if r, bad := d.load(n.Prior.Outputs, n.Prior.Value); bad != nil {
		n.run(plan.Reason{Code: bad.code, Text: bad.text})
	} else {
		n.Result, n.Action = r, plan.Keep
	}
}

// decideOther decides if the key differs from the one in the state. The store
// may have a result for it nevertheless.
func (d *Decider) decideOther(n *Instance) {
	entry, err := d.Store.Actions.Get(n.ActionKey)
	reasons := n.compare()
	if err != nil {
		n.run(append(reasons, plan.Reason{Code: plan.BecauseDamaged, Text: "its result in the store is damaged: " + err.Error()})...)
		return
	}
	if entry == nil || entry.Errors > 0 {
		n.run(reasons...)
		return
	}
	r, bad := d.load(entry.Outputs, entry.Value)
	if bad != nil {
		n.run(append(reasons, plan.Reason{Code: bad.code, Text: bad.text})...)
		return
	}
	n.Result, n.Action = r, plan.Reuse
	n.Reasons = append(reasons, n.madeBefore(entry))
}

const alreadyStored = "its result is already in the store"

func (n *Instance) madeBefore(e *action.Entry) plan.Reason {
	text := alreadyStored
	if e.Address != "" && e.Address != n.Address {
		text += ", created by " + e.Address
	}
	if !e.Created.IsZero() {
		if text == alreadyStored {
			text += ", created"
		}
		text += " on " + e.Created.Format("January 2, 2006")
	}
	return plan.Reason{Code: plan.BecauseReused, Subject: e.Address, Text: text}
}

// undecided describes the candidates of an instance's open choices.
func (n *Instance) undecided() []plan.Reason {
	if n.Bound == nil {
		return nil
	}
	var reasons []plan.Reason
	for _, key := range ordered.Keys(n.Bound.Undecided) {
		c := n.Bound.Undecided[key]
		reasons = append(reasons, plan.Reason{Code: plan.BecauseChoice, Subject: key,
			Text: fmt.Sprintf("%s is one of %s, chosen by %s", key, strings.Join(c.Names(), ", "), expr.Readable(c.Key.Text))})
	}
	return reasons
}

// decideModel computes a model's key, which represents it in the keys of the
// stages that call it.
func (d *Decider) decideModel(n *Instance) bool {
	if !d.keys(n) {
		return false
	}
	key := n.Definition
	if len(n.Inputs) > 0 {
		key = n.ActionKey // the trained model that it wraps
	}
	n.Model.Definition, n.Model.Preimage = key, n.Preimage
	if key != "" {
		n.Result = module.Result{Known: true, Digests: map[string]string{"": key}}
	}
	return true
}

// replaced reports whether -replace names the instance.
func (d *Decider) replaced(n *prepare.Instance) bool {
	return slices.ContainsFunc(d.Replace, func(t addr.Target) bool { return t.Contains(n.Addr) })
}
