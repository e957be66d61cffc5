package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/state"
)

// product is what carrying out a stage made, before it is committed.
type product struct {
	artifacts map[string]*artifact.Artifact // by port
	value     cty.Value                     // cty.NilVal: none
	errors    int64                         // rows that failed
	earlier   []action.PluginRef            // other programs that made rows which were reused
}

// compute carries out a stage whose result is kept in the store, unless the
// store has it.
func (r *run) compute(ctx context.Context, n *plan.Node, res *StageResult) error {
	w, err := r.bind(n)
	if err != nil {
		return err
	}
	if err := r.check(n, plan.WhenPre); err != nil {
		return err
	}
	if err := r.lookAtSource(ctx, w); err != nil {
		return err
	}
	if err := w.makeKeys(r.seal); err != nil {
		return err
	}
	defer r.keys.lock(w.key)()
	entry, err := r.existing(w, res)
	if err != nil {
		return err
	}
	res.Action = plan.Reuse
	if prior, ok := r.saver.instance(n.Address); ok && prior.ActionKey == w.key {
		res.Action = plan.Keep
	}
	if entry == nil {
		res.Action = plan.Run
		started := time.Now()
		p, err := r.produce(ctx, w, res)
		if err != nil {
			return w.nameEmpty(err)
		}
		if entry, err = r.commit(w, p, res, time.Since(started)); err != nil {
			return err
		}
	}
	return r.settle(w, entry, res)
}

// existing returns what the store has for the action key; nil: nothing that
// can be used.
func (r *run) existing(w *work, res *StageResult) (*action.Entry, error) {
	if forced(w.Node) {
		return nil, nil
	}
	entry, err := r.Store.Actions.Get(w.key)
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
		res.Diagnostics = append(res.Diagnostics, diag.Warningf(w.Range.Ptr(), "A damaged entry was set aside", "%s. Its results are computed again.", damaged))
		return nil, nil
	}
	// Rows that failed are tried again; the others are not.
	if err != nil || entry == nil || entry.Errors > 0 {
		return nil, err
	}
	for _, port := range w.Outputs {
		if _, ok := entry.Outputs[port.Name]; !ok {
			return nil, nil
		}
	}
	for _, ref := range entry.Outputs {
		a, err := artifact.Present(r.Store.Blobs, ref)
		if blob.Unavailable(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		r.artifacts.keep(ref, a)
	}
	return entry, nil
}

// forced says whether a new result was asked for.
func forced(n *plan.Node) bool {
	return slices.ContainsFunc(n.Reasons, func(reason plan.Reason) bool { return reason.Code == plan.BecauseReplaced })
}

func (r *run) produce(ctx context.Context, w *work, res *StageResult) (*product, error) {
	switch w.Mode {
	case plan.ModeRead:
		return r.read(ctx, w, res)
	case plan.ModeMap, plan.ModeFlatMap:
		return r.mapRows(ctx, w, res)
	case plan.ModeRun:
		return r.runWhole(ctx, w, res)
	}
	return nil, fmt.Errorf("the plan has the mode %q, which this version of quern does not support", w.Mode)
}

// nameEmpty adds to an error of the plugin's that an input has no rows, which
// usually is the reason.
func (w *work) nameEmpty(err error) error {
	own := (*pluginError)(nil)
	if !errors.As(err, &own) {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(w.inputs)) {
		if in := w.inputs[key]; in.artifact.Dataset != nil && in.artifact.Dataset.Rows == 0 {
			own.detail = strings.TrimSpace(fmt.Sprintf("%s\n%s, its %s, has 0 rows. Check the stages that it depends on: \"quern log\" and \"quern artifact show\" show how many rows each one produced.", own.detail, strings.TrimSuffix(in.of.Address+"."+in.of.Port, "."), key))
		}
	}
	return err
}

// commit publishes a product: its blobs are in the store, then come the
// manifests, then the action entry. The entry that counts is returned: another
// process may have been first.
func (r *run) commit(w *work, p *product, res *StageResult, took time.Duration) (*action.Entry, error) {
	entry := &action.Entry{
		Key: w.key, Definition: w.definition, Address: w.Address, Preimage: preimage(w.preimage),
		Outputs: map[string]artifact.Ref{}, Inputs: r.inputRefs(w), Errors: p.errors,
		Created: time.Now().UTC(), Seconds: took.Seconds(), Run: r.RunID, Plugin: r.pluginRef(w.Plugin),
		RowsKey: w.rowsKey(), Spend: spendOf(res.Spend), Earlier: p.earlier,
	}
	var made *value.Value
	if p.value != cty.NilVal {
		made, entry.Value = &value.Value{Value: p.value}, value.Store(p.value)
	}
	for port, a := range p.artifacts {
		if a.Kind == artifact.Report {
			a.Value = made
		}
		ref, err := artifact.Put(r.Store.Blobs, a)
		if err != nil {
			return nil, err
		}
		entry.Outputs[port] = ref
		r.artifacts.keep(ref, a)
	}
	// What is there already did not do: it was to be replaced, lacks files,
	// or has rows that failed.
	old, err := r.Store.Actions.Get(w.key)
	if err != nil || old != nil {
		return entry, r.Store.Actions.Replace(entry)
	}
	return r.Store.Actions.Put(entry)
}

func (r *run) pluginRef(name string) action.PluginRef {
	p := r.plan.Plugins[name]
	return action.PluginRef{Name: name, Version: p.Version, Digest: p.Digest}
}

// settle puts the result into the state and lets expressions see it. A result
// whose postconditions do not hold stays in the store and does not get into
// the state.
func (r *run) settle(w *work, entry *action.Entry, res *StageResult) error {
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	res.Outputs = map[string]string{}
	for port, ref := range entry.Outputs {
		a, err := r.artifacts.get(ref)
		if err != nil {
			return err
		}
		made.Outputs[port] = seen(ref, a)
		res.Outputs[port] = ref.Digest
	}
	res.Rows, res.ActionKey = w.rowsOf(made), w.key
	if entry.Value != nil {
		v, err := entry.Value.Get()
		if err != nil {
			return fmt.Errorf("read the values of %s: %w", w.Address, err)
		}
		made.Value, res.Value = v, v
	}
	w.warnOverlap(res, made.Value)
	if err := r.reveal(w.Node, made); err != nil {
		return err
	}
	if err := r.check(w.Node, plan.WhenPost); err != nil {
		return err
	}
	r.saver.set(w.Address, &state.Instance{
		Address: w.Address, Kind: w.Kind, Type: w.Type, Plugin: w.Plugin,
		Definition: w.definition, RowsKey: w.rowsKey(), ActionKey: w.key, Preimage: preimage(w.preimage),
		Outputs: entry.Outputs, Value: entry.Value, Errors: entry.Errors,
		Fingerprint: w.fingerprint, Memo: w.memo,
		DependsOn: w.DependsOn, Run: r.RunID, Updated: time.Now().UTC(),
	})
	return nil
}

// rowsOf is how many rows a stage was about: those that came out, all parts
// together, or, of one that makes a model or a report, those that went in.
func (w *work) rowsOf(made *plan.Made) int64 {
	rows := int64(0)
	if main, ok := w.Port(""); ok && main.Kind != plan.KindDataset {
		for _, in := range w.inputs {
			if d := in.artifact.Dataset; d != nil {
				rows = max(rows, d.Rows)
			}
		}
		return rows
	}
	for port, a := range made.Outputs {
		if _, declared := w.Port(port); declared && port != portErrors {
			rows += a.Rows
		}
	}
	return rows
}

// model makes a model's artifact of its files.
func (w *work) model(port *plan.Port, files []artifact.File) (*artifact.Artifact, error) {
	a := &artifact.Artifact{Kind: artifact.Model, Files: files, ModelFormat: port.Format}
	if port.Signature != nil {
		text, err := json.Marshal(port.Signature)
		if err != nil {
			return nil, err
		}
		a.Signature = text
	}
	if len(port.Features) == 0 {
		return a, nil
	}
	features := map[string]*expr.Compiled{}
	for name, e := range port.Features {
		// The expression may have waited for values when it was planned.
		if row := w.bound.Rows[name]; row != nil {
			e = row.Expr
		}
		placeless := *e
		placeless.Range = diag.Range{} // the digest must not depend on where it was written
		features[name] = &placeless
	}
	text, err := json.Marshal(features)
	if err != nil {
		return nil, err
	}
	a.Features = text
	return a, nil
}

// warn notes a warning of a stage.
func (res *StageResult) warn(subject *hcl.Range, summary, format string, args ...any) {
	res.Diagnostics = append(res.Diagnostics, diag.Warningf(subject, summary, format, args...))
}
