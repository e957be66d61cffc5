package prepare

import (
	"iter"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// checkOverlap warns about an evaluation on rows that a model was trained on,
// as far as the lineage of the datasets shows it: both are the same rows, or
// one is derived from the other. Parts of a split are neither. Two datasets
// that are derived from a third, each with its own conditions, may or may not
// overlap; the runner counts the rows that they share.
func (n *Instance) checkOverlap() hcl.Diagnostics {
	if n.Kind != kind.Evaluate {
		return nil
	}
	var diags hcl.Diagnostics
	for _, key := range ordered.Keys(n.Inputs) {
		on := n.Inputs[key]
		if !on.IsDataset() {
			continue
		}
		for _, h := range ancestors(on) {
			if !n.readsWhat(h) {
				continue
			}
			for _, model := range trained(h.From.Inputs) {
				if learned := learnedFrom(model, on); learned != nil {
					diags = append(diags, n.evaluatedOnTraining(n.RangeOf(key), model, on, learned))
				}
			}
		}
		for modelKey, model := range trained(n.Inputs) {
			if learned := learnedFrom(model, on); learned != nil {
				n.Overlaps = append(n.Overlaps, modelKey)
				diags = append(diags, n.evaluatedOnTraining(n.RangeOf(modelKey), model, on, learned))
			}
		}
	}
	return diags
}

func (n *Instance) evaluatedOnTraining(at *hcl.Range, model, on, learned *module.Handle) *hcl.Diagnostic {
	return diag.Warningf(at, "Evaluated on training data", "%s evaluates %s on %s, which has rows of %s, and %s was trained on those rows: its figures say nothing about new rows. Train and evaluate on different parts of a transform \"split\".",
		n.Address, model, on, learned, model)
}

// OverlapSubjects returns the names of an evaluation's subjects that are
// trained models, by input key.
func (n *Instance) OverlapSubjects() map[string]string {
	if n.Kind != kind.Evaluate {
		return nil
	}
	var keys []string
	for key, h := range n.Inputs {
		if h.Port != nil && h.Port.Predicts() && n.Bound.Inputs[key].Of != "" {
			keys = append(keys, key)
		}
	}
	return plan.OverlapSubjects(keys)
}

// trained returns the trained models that an instance receives or may receive,
// itself or in model blocks, with their keys.
func trained(inputs map[string]*module.Handle) iter.Seq2[string, *module.Handle] {
	return func(yield func(string, *module.Handle) bool) {
		for _, key := range ordered.Keys(inputs) {
			for _, h := range inputs[key].Each() {
				for _, model := range unwrapped(h) {
					if model.From.Kind == kind.Train && !yield(key, model) {
						return
					}
				}
			}
		}
	}
}

// unwrapped returns what a model block wraps, and any other artifact itself.
func unwrapped(h *module.Handle) []*module.Handle {
	if h.From.Model == nil {
		return []*module.Handle{h}
	}
	return module.Artifacts(h.From.Inputs)
}

// readsWhat reports whether the instance's row expressions read a column that a
// row-wise stage computed, such as the labels of a model.
func (n *Instance) readsWhat(h *module.Handle) bool {
	if !h.From.RowWise() {
		return false
	}
	for _, row := range n.Bound.Rows {
		for _, column := range row.Expr.Columns {
			if _, _, made := h.Port.Columns.Lookup(column); made && h.Port.Origins[column] == "" {
				return true
			}
		}
	}
	return false
}

// learnedFrom returns the dataset that a model was trained on and that shares
// rows with another one, or nil if none is known to.
func learnedFrom(model, on *module.Handle) *module.Handle {
	for _, from := range module.Artifacts(model.From.Inputs) {
		if from.IsDataset() && (madeOf(from, withSameRows(on)) || madeOf(on, withSameRows(from))) {
			return from
		}
	}
	return nil
}

// withSameRows returns the dataset that a dataset's rows come from: itself, or
// the input of row-wise stages.
func withSameRows(h *module.Handle) *module.Handle {
	for h.From.RowWise() && h.Port.RowsOf != "" && h.From.Inputs[h.Port.RowsOf] != nil {
		h = h.From.Inputs[h.Port.RowsOf]
	}
	return h
}

// madeOf reports whether a dataset is another one or is derived from it.
func madeOf(h, other *module.Handle) bool {
	return slices.ContainsFunc(ancestors(h), func(a *module.Handle) bool {
		return a.From == other.From && a.Port.Name == other.Port.Name
	})
}

// ancestors returns the datasets that a dataset is derived from, starting with
// itself.
func ancestors(h *module.Handle) []*module.Handle {
	type output struct {
		from *module.Instance
		port string
	}
	all := slices.Clone(h.Each())
	seen := map[output]bool{}
	for _, one := range all {
		seen[output{one.From, one.Port.Name}] = true
	}
	for i := 0; i < len(all); i++ {
		for _, from := range module.Artifacts(all[i].From.Inputs) {
			if from.IsDataset() && !seen[output{from.From, from.Port.Name}] {
				seen[output{from.From, from.Port.Name}] = true
				all = append(all, from)
			}
		}
	}
	return all
}
