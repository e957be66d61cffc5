package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/memo"
)

// decide chooses an instance's action and says why.
func (b *builder) decide(n *node) {
	// What the plugin was told is needed no more.
	defer func() { n.bound = nil }()
	switch {
	case b.validating:
		return
	case n.Kind == kind.Prompt:
		return
	case n.Mode == plan.ModeModel:
		b.decideModel(n)
		return
	case n.stage.typ == nil:
		b.decideGate(n)
	case n.Mode == plan.ModeDeploy:
		// refresh has asked the plugin.
	default:
		b.decideResult(n)
	}
	b.checkPost(n)
	b.repeatOverlap(n)
}

// keys makes an instance's keys, as far as they are known.
func (b *builder) keys(n *node) bool {
	definition, fields, err := fingerprint.Definition(n.Node, n.bound.Body, b.seal)
	if err != nil {
		subject := n.stage.cfg.DeclRange
		n.broken = b.report(diag.Errorf(&subject, "Cannot compute a key", "%s.", err))
		return false
	}
	n.Definition, n.Preimage = definition, fields
	inputs, known, err := n.keyInputs(b.seal)
	if err != nil {
		b.lookFailed(n, "key", err)
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

// keyInputs are the inputs as they go into the action key; known is false
// where one of them is not made yet.
func (n *node) keyInputs(seal fingerprint.Seal) (inputs []fingerprint.Input, known bool, err error) {
	for key, h := range n.inputs {
		if !h.node.result.known {
			return nil, false, nil
		}
		in := fingerprint.Input{Key: key, Kind: h.port.Kind}
		if m := h.manifest(); m != nil && h.port.Kind == plan.KindDataset {
			in.Rows = m.Rows
			for _, c := range fingerprint.ReadColumns(n.Node, key, m.Schema.Names()) {
				in.Columns = append(in.Columns, fingerprint.Column{Name: c, Digest: m.ColumnDigest(c)})
			}
		} else {
			in.Digest = h.node.result.digests[h.port.Name]
		}
		if in.Kind == plan.KindModel && n.bound.Inputs[key].Of != "" {
			in.Features = map[string]string{}
			for name, e := range h.port.Features {
				if in.Features[name], err = fingerprint.Feature(e, seal); err != nil {
					return nil, false, err
				}
			}
		}
		inputs = append(inputs, in)
	}
	return inputs, true, nil
}

// decideResult decides about an instance whose result is kept in the store.
func (b *builder) decideResult(n *node) {
	if !b.keys(n) {
		return
	}
	b.estimateNewRows(n)
	defer func() {
		if n.Action == plan.Run || n.Action == plan.MayRun {
			b.comparePrograms(n)
			b.estimateCalls(n)
			b.estimateSeconds(n)
			b.checkDraws(n)
		}
	}()
	switch {
	case b.replaced(n):
		n.run(plan.Reason{Code: plan.BecauseReplaced, Text: "-replace requests a new result"})
	case n.ActionKey == "":
		b.decideUnknown(n)
	case n.prior != nil && n.prior.ActionKey == n.ActionKey:
		b.decideKept(n)
	default:
		b.decideOther(n)
	}
}

func (n *node) run(reasons ...plan.Reason) {
	n.Action, n.Reasons = plan.Run, reasons
}

// decideUnknown decides where the action key waits for upstream results.
func (b *builder) decideUnknown(n *node) {
	waits := n.waits()
	switch {
	case n.prior == nil:
		n.run(append([]plan.Reason{{Code: plan.BecauseNew, After: n.summary, Text: "is new"}}, n.undecided()...)...)
	case n.Definition != "" && n.Definition != n.prior.Definition:
		n.run(append(n.compare(), waits...)...)
	case len(waits) == 0:
		// A source that was not refreshed.
		n.Action = plan.MayRun
		n.Reasons = []plan.Reason{{Code: plan.BecauseSource, Text: "the source was not refreshed"}}
	default:
		n.Action, n.Reasons = plan.MayRun, waits
	}
}

func newReason() plan.Reason {
	return plan.Reason{Code: plan.BecauseNew, Text: "is new"}
}

// waits names the upstream instances whose results are not known.
func (n *node) waits() []plan.Reason {
	upstream := map[string]bool{}
	for _, h := range n.inputs {
		if !h.node.result.known && h.among == nil {
			upstream[h.node.Address] = true
		}
	}
	if n.bound != nil {
		refs, _ := n.bound.Body.Refs()
		for _, r := range refs {
			upstream[r] = true
		}
	}
	reasons := n.undecided()
	for _, address := range sortedKeys(upstream) {
		reasons = append(reasons, plan.Reason{Code: plan.BecauseUpstream, Subject: address, Text: "waits for " + address})
	}
	return reasons
}

// decideKept decides where the state has the key already.
func (b *builder) decideKept(n *node) {
	r, bad := b.load(n.prior.Outputs, n.prior.Value)
	switch {
	case bad != nil:
		n.run(plan.Reason{Code: bad.code, Text: bad.text})
	case n.prior.Errors > 0:
		what := english.Spell(n.prior.Errors, "row")
		if n.Kind == kind.Evaluate {
			what = english.Spell(n.prior.Errors, "call")
		}
		n.run(plan.Reason{Code: plan.BecauseFailed, Text: what + " failed and will be retried"})
	default:
		n.result, n.Action = r, plan.Keep
	}
}

// decideOther decides where the key differs from the state's: the store may
// have its result all the same.
func (b *builder) decideOther(n *node) {
	entry, err := b.Store.Actions.Get(n.ActionKey)
	reasons := n.compare()
	if err != nil {
		n.run(append(reasons, plan.Reason{Code: plan.BecauseDamaged, Text: "its result in the store is damaged: " + err.Error()})...)
		return
	}
	if entry == nil || entry.Errors > 0 {
		n.run(reasons...)
		return
	}
	r, bad := b.load(entry.Outputs, entry.Value)
	if bad != nil {
		n.run(append(reasons, plan.Reason{Code: bad.code, Text: bad.text})...)
		return
	}
	n.result, n.Action = r, plan.Reuse
	n.Reasons = append(reasons, n.madeBefore(entry))
}

const alreadyStored = "its result is already in the store"

func (n *node) madeBefore(e *action.Entry) plan.Reason {
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

// comparePrograms reports that reused rows come from a different program than
// new ones will: a plugin that changed without raising its behavior version.
func (b *builder) comparePrograms(n *node) {
	if !n.RowWise() || b.Store == nil || n.prior == nil || n.prior.Definition != n.Definition || b.replaced(n) || !n.makesColumns() {
		return
	}
	if m := n.inputs[n.Outputs[0].RowsOf].manifest(); m != nil && n.Estimate.NewRows != nil && *n.Estimate.NewRows >= m.Rows {
		return // none is reused
	}
	entry, err := b.Store.Actions.Get(n.prior.ActionKey)
	if err != nil || entry == nil {
		return
	}
	was, is := entry.Plugin, b.programs()[n.Plugin]
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
func (n *node) makesColumns() bool {
	return n.Mode == plan.ModeFlatMap || slices.ContainsFunc(n.Outputs[0].Columns, func(c data.Column) bool { return n.Outputs[0].Origins[c.Name] == "" })
}

func program(version, digest string) string {
	return strings.TrimSpace(version + " " + digest[:min(len(digest), len("sha256:")+12)])
}

// replaced says whether -replace names the instance.
func (b *builder) replaced(n *node) bool {
	return slices.ContainsFunc(b.Replace, n.matches)
}

// estimateNewRows says how many rows of a row-wise stage have no result yet:
// at most, since rows in shards that changed may be known one by one.
func (b *builder) estimateNewRows(n *node) {
	if !n.RowWise() || n.Definition == "" || b.Store == nil {
		return
	}
	of := n.Outputs[0].RowsOf
	m := n.inputs[of].manifest()
	if m == nil {
		return
	}
	if b.replaced(n) { // none is reused
		n.Estimate.NewRows = &m.Rows
		return
	}
	columns := n.Reads[of].Columns
	if n.Reads[of].All {
		columns = m.Schema.Names()
	}
	inputs, known, err := n.keyInputs(b.seal)
	if !known || err != nil {
		return
	}
	definition := fingerprint.Rows(n.Definition, of, inputs)
	var fresh int64
	unfinished := sync.OnceValue(func() []*memo.Part { return b.unfinished(definition) })
	kept := columns
	if n.Mode == plan.ModeFlatMap {
		kept = fingerprint.ReadColumns(n.Node, of, m.Schema.Names())
	}
	for _, s := range m.Shards {
		part, err := b.Store.Memo.Lookup(definition, dataset.ShardKey(definition, s, kept))
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
func (b *builder) unfinished(definition string) []*memo.Part {
	var parts []*memo.Part
	for p, err := range b.Store.Memo.Parts(definition) {
		if err != nil {
			continue // it was set aside, and its rows are made again
		}
		if p.ShardKey != "" {
			break // unfinished ones come first
		}
		if groups := p.Groups(); len(groups) > 0 && !slices.ContainsFunc(groups, func(g dataset.Group) bool { return !b.Store.Blobs.Has(g.Blob) }) {
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
