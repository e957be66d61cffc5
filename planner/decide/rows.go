package decide

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/memo"
)

// comparePrograms adds a reason if reused rows come from a different program
// than new ones will: the plugin changed without raising its behavior version.
func (d *Decider) comparePrograms(n *Instance) {
	if !n.RowWise() || d.Store == nil || n.Prior == nil || n.Prior.Definition != n.Definition || n.Replaced || !n.makesColumns() {
		return
	}
	if m := n.Inputs[n.Outputs[0].RowsOf].Manifest(); m != nil && n.Estimate.NewRows != nil && *n.Estimate.NewRows >= m.Rows {
		return // no row is reused
	}
	entry, err := d.Store.Actions.Get(n.Prior.ActionKey)
	if err != nil || entry == nil {
		return
	}
	was, is := entry.Plugin, d.Processes.Program(n.Plugin)
	if was.Digest == "" || was.Digest == is.Digest {
		return
	}
	before, after := program(was.Version, was.Digest), program(is.Version, is.Digest)
	n.Reasons = append(n.Reasons, plan.Reason{
		Code: plan.BecausePlugin, Subject: n.Plugin, Before: before, After: after,
		Text: fmt.Sprintf("the plugin %q changed (%s → %s), but its behavior version did not: reused rows come from the earlier program", n.Plugin, before, after),
	})
}

// makesColumns reports whether the plugin is called for rows.
func (n *Instance) makesColumns() bool {
	return n.Mode == plan.ModeFlatMap || slices.ContainsFunc(n.Outputs[0].Columns, func(c data.Column) bool { return n.Outputs[0].Origins[c.Name] == "" })
}

func program(version, digest string) string {
	return strings.TrimSpace(version + " " + digest[:min(len(digest), len("sha256:")+12)])
}

// countNewRows counts the rows of a row-wise stage that have no result yet. The
// count is an upper bound, because rows in shards that changed may be known
// individually.
func (d *Decider) countNewRows(n *Instance) {
	if !n.RowWise() || n.Definition == "" || d.Store == nil {
		return
	}
	of := n.Outputs[0].RowsOf
	m := n.Inputs[of].Manifest()
	if m == nil {
		return
	}
	if n.Replaced { // no row is reused
		n.Estimate.NewRows = &m.Rows
		return
	}
	columns := n.Reads[of].Columns
	if n.Reads[of].All {
		columns = m.Schema.Names()
	}
	inputs, known, err := n.keyInputs(d.Secrets.Seal)
	if !known || err != nil {
		return
	}
	definition := fingerprint.Rows(n.Definition, of, inputs)
	var fresh int64
	unfinished := sync.OnceValue(func() []*memo.Part { return d.unfinished(definition) })
	kept := columns
	if n.Mode == plan.ModeFlatMap {
		kept = fingerprint.ReadColumns(n.Node, of, m.Schema.Names())
	}
	for _, s := range m.Shards {
		part, err := d.Store.Memo.Lookup(definition, dataset.ShardKey(definition, s, kept))
		switch {
		case err != nil || part == nil:
			fresh += s.Rows - rowsDone(unfinished(), s, columns)
		default:
			fresh += int64(len(part.Failed))
		}
	}
	n.Estimate.NewRows = &fresh
}

// unfinished returns the parts of shards that earlier runs did not complete.
func (d *Decider) unfinished(definition string) []*memo.Part {
	var parts []*memo.Part
	for p, err := range d.Store.Memo.Parts(definition) {
		if err != nil {
			continue // it was set aside, so its rows are computed again
		}
		if p.ShardKey != "" {
			break // unfinished ones come first
		}
		if groups := p.Groups(); len(groups) > 0 && !slices.ContainsFunc(groups, func(g dataset.Group) bool { return !d.Store.Blobs.Has(g.Blob) }) {
			parts = append(parts, p)
		}
	}
	return parts
}

// rowsDone counts the rows of a shard that its parts have results for. Parts
// may overlap, because a run that continues also writes the results that it
// found.
func rowsDone(parts []*memo.Part, s dataset.Shard, columns []string) int64 {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p *memo.Part) bool { return !isOf(p, s, columns) })
	slices.SortFunc(parts, func(a, b *memo.Part) int { return cmp.Compare(a.Offset, b.Offset) })
	done, next := int64(0), int64(0)
	failed := map[int64]bool{}
	for _, p := range parts {
		from, to := max(p.Offset, next), p.Offset+p.Rows
		if to > from {
			done += to - from
			next = to
		}
		for _, f := range p.Failed {
			failed[f.Row] = true
		}
	}
	return max(done-int64(len(failed)), 0)
}

// isOf reports whether a part was computed from a shard's columns.
func isOf(p *memo.Part, s dataset.Shard, columns []string) bool {
	read := 0
	for _, in := range p.Inputs {
		for _, c := range in.Columns {
			have, ok := s.Column(c.Name)
			if !ok || have.Stored != c.Stored || s.Groups[have.Group].Blob != in.Blob || !slices.Contains(columns, c.Name) {
				return false
			}
			read++
		}
	}
	return read == len(columns) && p.InputRows == s.Rows
}
