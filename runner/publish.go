package runner

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/state"
)

// publisher publishes the results of stages. The blobs and manifests are already in
// the store; the action entry comes next, and then the state.
type publisher struct {
	store     *store.Store
	state     *saver
	artifacts *stage.Artifacts
	plugins   map[string]plan.Plugin
	run       string // its ID
}

// computed is a stage whose result is published under its keys.
type computed struct {
	*stage.Stage
	stage.Keys
	content stage.Content // of a source
}

// existing returns the entry of the action key in the store, or nil if there is
// none that can be used.
func (p *publisher) existing(c *computed) (*action.Entry, error) {
	// Before the memo and the results of the keys are looked up, so that a gc that runs
	// at the same time keeps them.
	if err := p.store.Hold(c.Keys.Action, c.Keys.Definition, c.Keys.Rows); err != nil {
		return nil, err
	}
	if stage.Forced(c.Node) || p.replacing(c) {
		return nil, nil
	}
	entry, err := p.store.Actions.Get(c.Keys.Action)
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
		c.Warnings = append(c.Warnings, diag.Warningf(c.Range.Ptr(), "A damaged entry was set aside", "%s. Its results are computed again.", damaged))
		return nil, nil
	}
	// Rows that failed are tried again; the other rows are not.
	if err != nil || entry == nil || entry.Errors > 0 {
		return nil, err
	}
	for _, port := range c.Outputs {
		if _, ok := entry.Outputs[port.Name]; !ok && port.Made() {
			return nil, nil
		}
	}
	for _, ref := range entry.Outputs {
		a, err := artifact.Present(p.store.Blobs, ref)
		if blob.Unavailable(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		p.artifacts.Keep(ref, a)
	}
	return entry, nil
}

// commit publishes the result of a task whose manifests are in the store. It
// returns the entry that counts, because another process may have been first.
// spend is the total of all attempts.
func (p *publisher) commit(c *computed, result *engine.Result, spend llm.Spend) (*action.Entry, error) {
	entry := &action.Entry{
		Key: c.Keys.Action, Definition: c.Definition, Address: c.Address, Preimage: preimage(c.Preimage),
		Outputs: result.Outputs, Value: result.Value, Inputs: p.inputRefs(c.Stage), Errors: result.Errors,
		Created: time.Now().UTC(), Seconds: result.Seconds, Run: p.run, Plugin: p.pluginRef(c.Plugin),
		RowsKey: c.OwnRows(), Spend: spendOf(spend), Origin: result.Origin, OnlyPart: result.OnlyPart,
		Derivations: derivations(c.Stage), RowArguments: rowArguments(c.Stage),
	}
	if result.Rows.Reused > 0 {
		entry.Earlier = p.earlierPrograms(c)
	}
	// The existing entry could not be used: it was to be replaced, lacks files,
	// or has failed rows.
	old, err := p.store.Actions.Get(c.Keys.Action)
	if err != nil || old != nil {
		return entry, p.store.Actions.Replace(entry)
	}
	return p.store.Actions.Put(entry)
}

// made returns what expressions see of an entry, and of the checks of its contracts.
func (p *publisher) made(c *computed, entry *action.Entry, checked map[string]state.Checked) (*plan.Made, error) {
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	for port, ref := range entry.Outputs {
		a, err := p.artifacts.Get(ref)
		if err != nil {
			return nil, err
		}
		made.Outputs[port] = seen(ref, a)
	}
	for port, check := range checked {
		a, err := p.artifacts.Get(check.Violations)
		if err != nil {
			return nil, err
		}
		made.Outputs[port] = seen(check.Violations, a)
	}
	if entry.Value != nil {
		v, err := entry.Value.Get()
		if err != nil {
			return nil, fmt.Errorf("read the values of %s: %w", c.Address, err)
		}
		made.Value = v
	}
	return made, nil
}

// wait writes to the state what a stage waits for. An earlier result of the
// stage stays. A stage that waits as a whole does so since it first did.
func (p *publisher) wait(c *computed, s *pending.Summary) {
	if was := p.state.pending(c.Address); s.Rows == 0 && was != nil && was.ActionKey == c.Keys.Action {
		s.Since = was.Since
	}
	replaces := stage.Forced(c.Node) || p.replacing(c)
	p.state.setPending(c.Address, &state.Pending{
		Kind: c.Kind, Type: c.Type, Definition: c.Definition, RowsKey: c.OwnRows(), ActionKey: c.Keys.Action, Replaces: replaces,
		Summary: *s, Run: p.run, Updated: time.Now().UTC(),
	})
}

// replacing reports whether a stage continues what -replace began.
func (p *publisher) replacing(c *computed) bool {
	was := p.state.pending(c.Address)
	return was != nil && was.Replaces && was.ActionKey == c.Keys.Action
}

// settle writes an entry to the state.
func (p *publisher) settle(c *computed, entry *action.Entry, checked map[string]state.Checked) {
	p.state.setPending(c.Address, nil)
	p.state.setRejected(c.Address, nil)
	p.state.set(c.Address, &state.Instance{
		Address: c.Address, Kind: c.Kind, Type: c.Type, Plugin: c.Plugin,
		Definition: c.Definition, RowsKey: c.OwnRows(), ActionKey: c.Keys.Action, Preimage: preimage(c.Preimage),
		Outputs: entry.Outputs, Value: entry.Value, Errors: entry.Errors, Contracts: checked,
		Fingerprint: c.content.Fingerprint, Memo: c.content.Memo,
		DependsOn: c.DependsOn, Run: p.run, Updated: time.Now().UTC(),
	})
}

// prior returns the last result of a stage with the same definition, or nil if
// there is none.
func (p *publisher) prior(c *computed) *state.Instance {
	prior, ok := p.state.instance(c.Address)
	if !ok || prior.Definition != c.Definition || prior.Type != c.Type {
		return nil
	}
	return prior
}

// priorPart returns the fingerprint of the only part of a source's last result, or
// "" if it had several or is unknown.
func (p *publisher) priorPart(prior *state.Instance) string {
	entry, err := p.store.Actions.Get(prior.ActionKey)
	if err != nil || entry == nil || entry.Outputs[""] != prior.Outputs[""] {
		return ""
	}
	return entry.OnlyPart
}

// earlierPrograms returns the plugin's programs that produced the reused rows.
func (p *publisher) earlierPrograms(c *computed) []action.PluginRef {
	prior := p.prior(c)
	if prior == nil {
		return nil
	}
	entry, err := p.store.Actions.Get(prior.ActionKey)
	if err != nil || entry == nil {
		return nil // it was garbage-collected, so the program is unknown
	}
	var out []action.PluginRef
	for _, ref := range append(entry.Earlier, entry.Plugin) {
		if ref != p.pluginRef(c.Plugin) && !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	return out
}

func (p *publisher) pluginRef(name string) action.PluginRef {
	plugin := p.plugins[name]
	return action.PluginRef{Name: name, Version: plugin.Version, Digest: plugin.Digest}
}

// inputRefs returns the inputs of the stage: artifacts and models, prompts, and
// values of other stages that its configuration waited for.
func (p *publisher) inputRefs(s *stage.Stage) []action.InputRef {
	var out []action.InputRef
	for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
		in := s.Inputs[key]
		ref := action.InputRef{Key: key, Address: in.Of.Address, Port: in.Of.Port, Digest: in.Ref.Digest, Action: in.Action}
		if in.Language != nil {
			plugin := p.pluginRef(in.Plugin)
			ref.Role, ref.Plugin = action.RoleModel, &plugin
			if w := in.Language.Wrapped; w != nil {
				out = append(out, action.InputRef{Address: w.Of.Address, Port: w.Of.Port, Digest: w.Ref.Digest, Action: w.Action})
			}
		}
		out = append(out, ref)
	}
	values := s.Body.ValueRefs()
	for _, key := range slices.Sorted(maps.Keys(s.Bound.Rows)) {
		if row := s.Bound.Rows[key]; row.Prompt != "" {
			out = append(out, p.promptRef(row))
			values = slices.DeleteFunc(values, func(a string) bool { return a == row.Prompt })
		}
	}
	return append(out, p.valueRefs(values)...)
}

// promptRef returns a prompt as an input: of a block, or of the stage that produced
// it.
func (p *publisher) promptRef(row *plan.RowArg) action.InputRef {
	text := fingerprint.Key("quern.prompt/v1", []plan.Field{{Name: "text", Value: row.Expr.Text}})
	ref := action.InputRef{Address: row.Prompt, Digest: text, Role: action.RolePrompt}
	if made, ok := p.state.instance(row.Prompt); ok {
		ref.Action = made.ActionKey
	}
	return ref
}

// valueRefs returns the stages whose values are used. Gates have none.
func (p *publisher) valueRefs(addresses []string) []action.InputRef {
	var out []action.InputRef
	for _, address := range slices.Sorted(slices.Values(addresses)) {
		if made, ok := p.state.instance(address); ok && made.Kind != kind.Gate {
			out = append(out, action.InputRef{Address: address, Role: action.RoleValues, Action: made.ActionKey})
		}
	}
	return out
}

func preimage(fields []plan.Field) action.Preimage {
	out := make([]action.Field, len(fields))
	for i, f := range fields {
		out[i] = action.Field(f)
	}
	return action.NewPreimage(out)
}

// spendOf returns what is recorded about calls, or nil if there were none.
func spendOf(s llm.Spend) *llm.Spend {
	if s == (llm.Spend{}) {
		return nil
	}
	return &s
}
