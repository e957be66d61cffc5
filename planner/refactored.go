package planner

import (
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/refactor"
)

// ownState copies the state if the plan may move instances in it.
func (b *builder) ownState() {
	if b.State != nil && len(b.Module.Moved)+len(b.Module.Calls) > 0 {
		b.State = b.State.Clone()
	}
}

// refactor evaluates the moved, removed, and import blocks, and plans with the
// state as it is after the moves.
func (b *builder) refactor() {
	b.blocks = refactor.Evaluate(b.root.Module, b.State)
	if b.State == nil {
		return
	}
	moves, diags := b.blocks.Moves(b.State)
	b.Report(diags...)
	if err := b.State.Move(moves); err != nil {
		b.Report(diag.Errorf(nil, "Instances cannot be moved", "%s.", err))
		return
	}
	b.moves = moves
}

// keeps reports whether a removed block leaves the deployment at an address in
// place.
func (b *builder) keeps(address string) bool { return b.blocks.Keeps(address) }

// imports returns the ID of the deployment that is to be imported at an address.
func (b *builder) imports(address string) (id string, ok bool) {
	i := b.blocks.Imports[address]
	if i == nil {
		return "", false
	}
	return i.ID, true
}

// kept makes removals forget the deployments that removed blocks leave in place.
func (b *builder) kept(removals []*plan.Node) []*plan.Node {
	for _, n := range removals {
		if n.Action == plan.Delete && b.keeps(n.Address) {
			n.Action, n.Mode, n.Deployment = plan.Forget, "", nil
			n.Reasons = []plan.Reason{{Code: plan.BecauseRemoved, Text: "a removed block leaves the deployment in place"}}
		}
	}
	return removals
}

// checkBlocks compares the blocks with what is configured.
func (b *builder) checkBlocks(all []*module.Instance) {
	there := make(map[string]bool, len(all))
	for _, n := range all {
		if b.isDeferred(n) {
			continue
		}
		there[n.Address] = true
		if d := b.blocks.CheckDeclared(n.Address); d != nil {
			b.Report(d)
		}
	}
	if b.limited() || b.validating {
		return
	}
	for _, address := range ordered.Keys(b.blocks.Imports) {
		if !there[address] && !b.decidedLater(address) {
			b.Report(diag.Errorf(&b.blocks.Imports[address].Range, "Import target does not exist", "The configuration has no %s. Write its block first, or remove the import block.", address))
		}
	}
}
