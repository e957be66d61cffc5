package decide

import (
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
)

// checkPost checks the postconditions of an instance that has a result. It
// returns false if one is not met.
func (d *Decider) checkPost(n *Instance) bool {
	if len(n.Stage.Config.Post) == 0 || d.RefreshOnly {
		return true
	}
	made := d.Made(n.Node, &n.Result, true)
	if made == nil {
		return true
	}
	ok := true
	var own plan.Scope
	own.Set(n.Addr, plan.StageValue(n.Node, made))
	for i := range n.Conditions {
		c := &n.Conditions[i]
		if c.When != plan.WhenPost {
			continue
		}
		vars := d.postVars(n, c, &own)
		if v := d.Conditions.Evaluate(c, vars); v.Known && !v.Holds {
			seen := n.Scope.Values.NewChild()
			seen.Variables = maps.Clone(vars)
			seen.Variables["self"] = plan.StageValue(n.Node, made)
			ok = !n.Stage.Module.Report(d.Conditions.Unmet("Postcondition", c, v, vars, seen)) && ok
		}
	}
	return ok
}

// postVars returns the values that a postcondition sees once the instance is done:
// its own, and those of the other stages that it refers to.
func (d *Decider) postVars(n *Instance, c *plan.Condition, own *plan.Scope) map[string]cty.Value {
	stages := map[addr.Stage]cty.Value{}
	d.Tree.StageValues(slices.DeleteFunc(c.Refs(), func(ref string) bool { return ref == n.Addr.Stage.String() }), stages)
	if v, ok := own.Stage(n.Addr.Stage); ok {
		stages[n.Addr.Stage] = v
	}
	return expr.Stages(stages)
}

// repeatOverlap repeats the warning about an overlap that was counted when a
// result was computed, unless the lineage has already shown it.
func (d *Decider) repeatOverlap(n *Instance) {
	subjects := n.OverlapSubjects()
	if len(subjects) == 0 || n.Result.Value == nil {
		return
	}
	counts, err := n.Result.Value.Attribute(plan.OverlapName)
	if err != nil {
		return // whoever needs the values reports it
	}
	for _, key := range ordered.Keys(subjects) {
		h := n.Inputs[key].Each()[0]
		if w := plan.ReadOverlap(counts, subjects[key]).Warning(n.RangeOf(key), n.Inputs[key].String(), h.Port.Features); w != nil && !slices.Contains(n.Overlaps, key) {
			n.Stage.Module.Report(w)
		}
	}
}
