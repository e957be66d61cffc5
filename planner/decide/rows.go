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

// comparePrograms reports that reused rows come from a different program than
// new ones will: a plugin that changed without raising its behavior version.
func (d *Decider) comparePrograms(n *Instance) {
	if !n.RowWise() || d.Store == nil || n.Prior == nil || n.Prior.Definition != n.Definition || n.Replaced || !n.makesColumns() {
		return
	}
	if m := n.Inputs[n.Outputs[0].RowsOf].Manifest(); m != nil && n.Estimate.NewRows != nil && *n.Estimate.NewRows >= m.Rows {
		return // none is reused
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

// makesColumns says whether the plugin is called for rows.
func (n *Instance) makesColumns() bool {
	return n.Mode == plan.ModeFlatMap || slices.ContainsFunc(n.Outputs[0].Columns, func(c data.Column) bool { return n.Outputs[0].Origins[c.Name] == "" })
}

func program(version, digest string) string {
	return strings.TrimSpace(version + " " + digest[:min(len(digest), len("sha256:")+12)])
}

// countNewRows says how many rows of a row-wise stage have no result yet:
// at most, since rows in shards that changed may be known one by one.
func (d *Decider) countNewRows(n *Instance) {
	if !n.RowWise() || n.Definition == "" || d.Store == nil {
		return
	}
	of := n.Outputs[0].RowsOf
	m := n.Inputs[of].Manifest()
	if m == nil {
		return
	}
	if n.Replaced { // none is reused
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

// unfinished are the parts that runs left which did not come to the end of a
// shard.
func (d *Decider) unfinished(definition string) []*memo.Part {
	var parts []*memo.Part
	for p, err := range d.Store.Memo.Parts(definition) {
		if err != nil {
			continue // it was set aside, and its rows are made again
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

// rowsDone is how many rows of a shard the parts of it have results for. Parts
// may overlap: a run that goes on writes what it found, too.
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

// isOf says whether a part was made of a shard's columns.
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
