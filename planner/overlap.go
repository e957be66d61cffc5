package planner

import (
	"iter"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
)

// checkOverlap warns of an evaluation on rows that a model was trained on, as
// far as the lineage of the datasets shows it: both are the same rows, or one
// is made of the other. Parts of a split are neither. Two datasets that are
// made of a third, by conditions of their own, may or may not overlap: the runner
// counts the rows that they share.
func (n *node) checkOverlap() hcl.Diagnostics {
	if n.Kind != kind.Evaluate {
		return nil
	}
	var diags hcl.Diagnostics
	for _, key := range sortedKeys(n.inputs) {
		on := n.inputs[key]
		if !on.isDataset() {
			continue
		}
		for _, user := range append(on.ancestors(), &handle{node: n}) {
			if user.node != n && !n.readsWhat(user) {
				continue
			}
			for modelKey, model := range user.node.models() {
				if learned := model.learnedFrom(on); learned != nil {
					subject := n.RangeOf(key)
					if user.node == n {
						subject = n.RangeOf(modelKey)
						n.overlaps = append(n.overlaps, modelKey)
					}
					diags = append(diags, diag.Warningf(subject, "Evaluated on training data", "%s evaluates %s on %s, which has rows of %s, and %s was trained on those rows: its figures say nothing about new rows. Train and evaluate on different parts of a transform \"split\".",
						n.Address, model, on, learned, model))
				}
			}
		}
	}
	return diags
}

// overlapSubjects are the names of the subjects of an evaluation that are trained
// models, by input key.
func (n *node) overlapSubjects() map[string]string {
	if n.Kind != kind.Evaluate {
		return nil
	}
	var trained []string
	for key, h := range n.inputs {
		if h.port != nil && h.port.Kind == plan.KindModel && h.port.Format != plan.FormatRemote && n.bound.Inputs[key].Of != "" {
			trained = append(trained, key)
		}
	}
	return plan.OverlapSubjects(trained)
}

// repeatOverlap warns of the rows that were counted when a result was made,
// unless the lineage has shown as much.
func (b *builder) repeatOverlap(n *node) {
	subjects := n.overlapSubjects()
	if len(subjects) == 0 || n.result.value == nil {
		return
	}
	counts, err := n.result.value.Attribute(plan.OverlapName)
	if err != nil {
		return // whoever needs the values says so
	}
	for _, key := range sortedKeys(subjects) {
		h := n.inputs[key].each()[0]
		if d := plan.ReadOverlap(counts, subjects[key]).Warning(n.RangeOf(key), n.inputs[key].String(), h.port.Features); d != nil && !slices.Contains(n.overlaps, key) {
			b.report(d)
		}
	}
}

// models are the trained models that an instance is or may be given, with their
// keys.
func (n *node) models() iter.Seq2[string, *handle] {
	return func(yield func(string, *handle) bool) {
		for _, key := range sortedKeys(n.inputs) {
			for _, h := range n.inputs[key].each() {
				if h.node.Kind == kind.Train && !yield(key, h) {
					return
				}
			}
		}
	}
}

// readsWhat says whether the instance's row expressions read a column that a
// row-wise stage made, such as the labels of a model.
func (n *node) readsWhat(h *handle) bool {
	if !h.node.RowWise() {
		return false
	}
	for _, row := range n.bound.Rows {
		for _, column := range row.Expr.Columns {
			if _, _, made := h.port.Columns.Lookup(column); made && h.port.Origins[column] == "" {
				return true
			}
		}
	}
	return false
}

// learnedFrom is the dataset that a model was trained on and that has rows of
// another one; nil: none is known to.
func (h *handle) learnedFrom(on *handle) *handle {
	for _, from := range h.node.artifacts() {
		if from.isDataset() && (from.madeOf(on.rows()) || on.madeOf(from.rows())) {
			return from
		}
	}
	return nil
}

func (h *handle) isDataset() bool { return h.port != nil && h.port.Kind == plan.KindDataset }

// rows is the dataset that a dataset has the rows of: itself, or what row-wise
// stages were given.
func (h *handle) rows() *handle {
	for h.node.RowWise() && h.port.RowsOf != "" && h.node.inputs[h.port.RowsOf] != nil {
		h = h.node.inputs[h.port.RowsOf]
	}
	return h
}

// madeOf says whether a dataset is another one, or is made of it.
func (h *handle) madeOf(other *handle) bool {
	for _, a := range h.ancestors() {
		if a.node == other.node && a.port.Name == other.port.Name {
			return true
		}
	}
	return false
}

// ancestors are the datasets that a dataset is made of, itself first.
func (h *handle) ancestors() []*handle {
	type output struct {
		node *node
		port string
	}
	all := slices.Clone(h.each())
	seen := map[output]bool{}
	for _, one := range all {
		seen[output{one.node, one.port.Name}] = true
	}
	for i := 0; i < len(all); i++ {
		for _, from := range all[i].node.artifacts() {
			if from.isDataset() && !seen[output{from.node, from.port.Name}] {
				seen[output{from.node, from.port.Name}] = true
				all = append(all, from)
			}
		}
	}
	return all
}
