package planner

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// content describes the result of an instance. What can no longer be read is
// left out.
func (b *builder) content(i *state.Instance) *plan.Content {
	c := &plan.Content{Artifacts: make(map[string]string, len(i.Outputs))}
	for port, ref := range i.Outputs {
		c.Artifacts[port] = ref.Digest
	}
	if own, ok := i.Outputs[""]; ok && own.Kind == plan.KindDataset {
		if a, err := b.root.decide.Artifact(own); err == nil && a.Dataset != nil {
			rows := a.Dataset.Rows
			c.Rows, c.Columns = &rows, a.Dataset.Schema.Names()
		}
	}
	if i.Kind == kind.Evaluate && i.Value != nil {
		if v, err := i.Value.Get(); err == nil {
			c.Figures = map[string]plan.Figure{}
			addFigures(c.Figures, "", v)
		}
	}
	return c
}

// storedColumns returns the function that returns the columns of a result in the
// store, or nil if sources are read.
func (b *builder) storedColumns() func(*state.Instance, string) data.Schema {
	if b.adopts == "" {
		return nil
	}
	return func(i *state.Instance, port string) data.Schema {
		ref, ok := i.Outputs[port]
		if !ok || ref.Kind != plan.KindDataset {
			return nil
		}
		a, err := artifact.Get(b.Store.Blobs, ref)
		if err != nil || a.Dataset == nil {
			return nil // the plan reports that the result cannot be used
		}
		return a.Dataset.Schema
	}
}

// addFigures adds the figures in a value: objects with a value and an interval.
func addFigures(to map[string]plan.Figure, name string, v cty.Value) {
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return
	}
	members := v.AsValueMap()
	if value := number(members["value"]); value != nil && members["low"] != cty.NilVal {
		to[name] = plan.Figure{Value: *value, Low: number(members["low"]), High: number(members["high"])}
		return
	}
	for key, member := range members {
		if name != "" {
			key = name + "." + key
		}
		addFigures(to, key, member)
	}
}

// number returns a number, or nil if v is none.
func number(v cty.Value) *float64 {
	if v == cty.NilVal {
		return nil
	}
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.Number {
		return nil
	}
	f, _ := v.AsBigFloat().Float64()
	return &f
}
