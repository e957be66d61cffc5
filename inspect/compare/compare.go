// Package compare says how what two runs left differs: the results of their stages, the
// rows of datasets, what evaluations measured, and what the runs took.
//
// It compares the states that the runs left. If gc has removed one of them, what is
// known about that run is what it did itself, and the comparison says so.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// Comparison is how what a run left differs from what an earlier one left.
type Comparison struct {
	Before Run `json:"before"`
	After  Run `json:"after"`
	// Instances are those that differ, by address.
	Instances []*Instance `json:"instances"`
	Unchanged int         `json:"unchanged"`
	Outputs   []Output    `json:"outputs,omitempty"`
	Plugins   []Plugin    `json:"plugins,omitempty"`
	// Notes say what could not be compared.
	Notes []string `json:"notes,omitempty"`
}

// Run is one of the runs.
type Run struct {
	ID           string     `json:"id"`
	Environment  string     `json:"environment"`
	Status       string     `json:"status"`
	Command      string     `json:"command"`
	Commit       string     `json:"commit,omitempty"`
	Dirty        bool       `json:"dirty,omitempty"`
	QuernVersion string     `json:"quern_version"`
	Started      time.Time  `json:"started"`
	Seconds      *float64   `json:"seconds,omitempty"` // nil if it did not end
	Spend        *llm.Spend `json:"spend,omitempty"`
	// Configuration is a digest of the addresses and definition keys of all
	// instances. Runs with equal digests had the same configuration, apart from what
	// cannot influence results. It is empty if the state is no longer in the store.
	Configuration string `json:"configuration,omitempty"`
}

// Change is how an instance differs.
type Change string

const (
	Added   Change = "added"
	Removed Change = "removed"
	Changed Change = "changed"
	Moved   Change = "moved" // it has another address and the same result
	// Recomputed is one that was computed from something else, with the same result.
	Recomputed Change = "recomputed"
)

// Instance is an instance that differs.
type Instance struct {
	Address string `json:"address"`
	// From is the earlier address of one that moved.
	From   string `json:"from,omitempty"`
	Kind   string `json:"kind"`
	Type   string `json:"type,omitempty"`
	Change Change `json:"change"`
	// Reasons are how what the results were computed from differs.
	Reasons   []plan.Reason `json:"reasons,omitempty"`
	Artifacts []Artifact    `json:"artifacts,omitempty"`
	Figures   []Figure      `json:"figures,omitempty"`
	// Profiles is how what profiles found differs. It is nil for anything else.
	Profiles *Profiles `json:"profiles,omitempty"`
	// Before and After are what the runs did with it, or nil if they did nothing.
	Before *Work `json:"before,omitempty"`
	After  *Work `json:"after,omitempty"`
	// Notes say what could not be compared.
	Notes []string `json:"notes,omitempty"`
}

// Work is what a run did with an instance.
type Work struct {
	Action  string     `json:"action"`
	Status  string     `json:"status"`
	Seconds float64    `json:"seconds"`
	Spend   *llm.Spend `json:"spend,omitempty"`
}

// Artifact is an artifact that differs. A digest is empty if there is none.
type Artifact struct {
	Port   string `json:"port,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Rows are those of a dataset.
	Rows *Rows `json:"rows,omitempty"`
}

// Output is an output of the pipeline that differs. A value is nil if there is none, or
// if it is sensitive.
type Output struct {
	Name   string       `json:"name"`
	Before *value.Value `json:"before,omitempty"`
	After  *value.Value `json:"after,omitempty"`
}

// Plugin is a plugin whose program differs. A program is nil if the run did not use it.
type Plugin struct {
	Name   string            `json:"name"`
	Before *action.PluginRef `json:"before,omitempty"`
	After  *action.PluginRef `json:"after,omitempty"`
}

// comparer compares two runs.
type comparer struct {
	ctx   context.Context
	store *store.Store
	runs  [2]*history.Run
	left  [2]*left
	keys  map[datasetOf][][]string // those that are known
	out   *Comparison
}

// left is what a run left in its environment.
type left struct {
	instances map[string]*state.Instance
	work      map[string]*Work
	// complete is false if the state is no longer in the store, so that the instances
	// are those that the run made itself.
	complete bool
}

// Runs compares what a run left with what an earlier one left. The error is about
// documents of the store that cannot be read; results that are no longer in it are
// notes.
func Runs(ctx context.Context, s *store.Store, before, after *history.Run) (*Comparison, error) {
	c := &comparer{ctx: ctx, store: s, runs: [2]*history.Run{before, after}, keys: map[datasetOf][][]string{}, out: &Comparison{Instances: []*Instance{}}}
	for i, run := range c.runs {
		var err error
		if c.left[i], err = leftBy(s, run); err != nil {
			return nil, err
		}
		if !c.left[i].complete {
			c.out.Notes = append(c.out.Notes, fmt.Sprintf("The state that run %s left is not in the store, so only what that run did itself is compared.", run.ID))
		}
	}
	c.out.Before, c.out.After = about(before, c.left[0]), about(after, c.left[1])
	c.compareOutputs()
	c.comparePlugins()
	return c.out, c.instances()
}

func about(r *history.Run, l *left) Run {
	out := Run{
		ID: r.ID, Environment: r.Environment, Status: r.Status, Command: r.Command, Commit: r.Commit, Dirty: r.Dirty,
		QuernVersion: r.QuernVersion, Started: r.Started,
	}
	if r.Ended != nil {
		seconds := r.Ended.Sub(r.Started).Seconds()
		out.Seconds = &seconds
	}
	if s := r.Spend(); s.Calls+s.CachedCalls > 0 {
		out.Spend = s
	}
	if l.complete {
		var fields []plan.Field
		for _, address := range slices.Sorted(maps.Keys(l.instances)) {
			fields = append(fields, plan.Field{Name: address, Value: l.instances[address].Definition})
		}
		out.Configuration = fingerprint.Key("quern.configuration/v1", fields)
	}
	return out
}

func leftBy(s *store.Store, run *history.Run) (*left, error) {
	l := &left{instances: map[string]*state.Instance{}, work: map[string]*Work{}}
	for i := range run.Instances {
		did := &run.Instances[i]
		l.work[did.Address] = &Work{Action: did.Action, Status: did.Status, Seconds: did.Seconds, Spend: did.Spend}
	}
	st, err := s.States().Kept(run.Environment, run.ID)
	var damaged *document.Damaged
	switch {
	case err == nil:
		l.instances, l.complete = st.Instances, true
		return l, nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged):
		return nil, fmt.Errorf("read the state after run %s: %w", run.ID, err)
	}
	for i := range run.Instances {
		if inst, ok := made(s, &run.Instances[i]); ok {
			l.instances[inst.Address] = inst
		}
	}
	return l, nil
}

// made returns an instance from what a run recorded about it, if it had a result.
func made(s *store.Store, did *history.Instance) (*state.Instance, bool) {
	if did.Status != history.Done || did.ActionKey == "" && len(did.Outputs) == 0 && did.Value == nil {
		return nil, false
	}
	inst := &state.Instance{Address: did.Address, ActionKey: did.ActionKey, Outputs: did.Outputs, Value: did.Value}
	if a, err := addr.Parse(did.Address); err == nil {
		inst.Kind = a.Kind
	}
	if did.ActionKey == "" {
		return inst, true
	}
	// Without the entry, the comparison cannot say why the result differs.
	if entry, err := s.Actions.Get(did.ActionKey); err == nil && entry != nil {
		inst.Definition, inst.Preimage, inst.Errors = entry.Definition, entry.Preimage, entry.Errors
	}
	return inst, true
}

// instances compares the instances.
func (c *comparer) instances() error {
	before, after := c.left[0].instances, c.left[1].instances
	gone, created := []string{}, []string{}
	for _, address := range slices.Sorted(maps.Keys(both(before, after))) {
		switch a, b := before[address], after[address]; {
		case b == nil:
			gone = append(gone, address)
		case a == nil:
			created = append(created, address)
		case same(a, b):
			c.out.Unchanged++
		default:
			i, err := c.changed(a, b)
			if err != nil {
				return fmt.Errorf("compare the results of %s: %w", address, err)
			}
			c.out.Instances = append(c.out.Instances, i)
		}
	}
	c.others(gone, created)
	slices.SortFunc(c.out.Instances, func(a, b *Instance) int { return cmp.Compare(a.Address, b.Address) })
	return nil
}

// others adds what only one of the runs left. If the state of a run is not known
// completely, what it did not do itself may have existed as well.
func (c *comparer) others(gone, created []string) {
	before, after := c.left[0], c.left[1]
	from := moves(before.instances, after.instances, gone, created)
	hidden := 0
	for _, address := range created {
		old, moved := from[address]
		switch i := c.newInstance(nil, after.instances[address]); {
		case moved:
			i.Change, i.From = Moved, old
			gone = slices.DeleteFunc(gone, func(a string) bool { return a == old })
			c.out.Instances = append(c.out.Instances, i)
		case before.complete:
			i.Change, i.Artifacts = Added, c.alone(after.instances[address], false)
			c.out.Instances = append(c.out.Instances, i)
		default:
			hidden++
		}
	}
	for _, address := range gone {
		if !after.complete {
			hidden++
			continue
		}
		i := c.newInstance(before.instances[address], nil)
		i.Change, i.Artifacts = Removed, c.alone(before.instances[address], true)
		c.out.Instances = append(c.out.Instances, i)
	}
	if hidden > 0 {
		c.out.Notes = append(c.out.Notes, fmt.Sprintf("%d of the stages are not compared, because only one of the runs is known to have a result of them.", hidden))
	}
}

// moves returns the earlier addresses of results that have a new one.
func moves(before, after map[string]*state.Instance, gone, created []string) map[string]string {
	at := map[string]string{}
	for _, address := range gone {
		if key := before[address].ActionKey; key != "" && before[address].Deployment == nil {
			at[key] = address
		}
	}
	from := map[string]string{}
	for _, address := range created {
		if old, ok := at[after[address].ActionKey]; ok && maps.Equal(before[old].Outputs, after[address].Outputs) {
			from[address] = old
			delete(at, after[address].ActionKey)
		}
	}
	return from
}

func both[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// same reports whether two instances have the same result.
func same(a, b *state.Instance) bool {
	if a.ActionKey != b.ActionKey || a.Errors != b.Errors || !maps.Equal(a.Outputs, b.Outputs) {
		return false
	}
	if a.Deployment != nil && b.Deployment != nil {
		return a.Definition == b.Definition && maps.Equal(a.Deployment.Digests, b.Deployment.Digests)
	}
	return true // the value is a function of the outputs or of the key
}

func (c *comparer) newInstance(a, b *state.Instance) *Instance {
	is := b
	if is == nil {
		is = a
	}
	return &Instance{Address: is.Address, Kind: is.Kind, Type: is.Type, Before: c.left[0].work[is.Address], After: c.left[1].work[is.Address]}
}

// changed compares two results of an instance.
func (c *comparer) changed(a, b *state.Instance) (*Instance, error) {
	i := c.newInstance(a, b)
	i.Change, i.Type = Changed, cmp.Or(b.Type, a.Type)
	switch {
	case !a.Preimage.IsZero() && !b.Preimage.IsZero():
		i.Reasons = fingerprint.Compare(fields(a.Preimage), fields(b.Preimage), "")
	case a.ActionKey != b.ActionKey && a.Deployment == nil:
		i.Notes = append(i.Notes, "What it was computed from is no longer in the store.")
	}
	if a.ActionKey == b.ActionKey && a.ActionKey != "" && a.Deployment == nil {
		i.Reasons = append(i.Reasons, plan.Reason{Code: plan.BecauseReplaced, Text: "was computed again from the same inputs"})
	}
	for _, port := range slices.Sorted(maps.Keys(both(a.Outputs, b.Outputs))) {
		if a.Outputs[port].Digest == b.Outputs[port].Digest {
			continue
		}
		changed, note, err := c.artifact(a, b, port)
		if err != nil {
			return nil, err
		}
		i.Artifacts = append(i.Artifacts, changed)
		if note != "" {
			i.Notes = append(i.Notes, note)
		}
	}
	figures, note, err := c.figures(a, b)
	if err != nil {
		return nil, err
	}
	i.Figures = figures
	if note != "" {
		i.Notes = append(i.Notes, note)
	}
	if i.Profiles, note, err = TwoProfiles(c.store, a, b); err != nil {
		return nil, err
	}
	if note != "" {
		i.Notes = append(i.Notes, note)
	}
	if len(i.Artifacts) == 0 && sameValue(a, b) {
		i.Change = Recomputed
	}
	return i, nil
}

// sameValue reports whether two instances with the same artifacts have the same result.
func sameValue(a, b *state.Instance) bool {
	if a.Deployment != nil || b.Deployment != nil || a.Errors != b.Errors || (a.Value == nil) != (b.Value == nil) {
		return false
	}
	if a.Value == nil {
		return true
	}
	before, err := a.Value.Get()
	if err != nil {
		return false
	}
	after, err := b.Value.Get()
	return err == nil && before.RawEquals(after)
}

// alone describes the artifacts of an instance that only one run left.
func (c *comparer) alone(inst *state.Instance, before bool) []Artifact {
	var all []Artifact
	for _, port := range slices.Sorted(maps.Keys(inst.Outputs)) {
		a := Artifact{Port: port, After: inst.Outputs[port].Digest}
		if made, err := artifact.Get(c.store.Blobs, inst.Outputs[port]); err == nil && made.Dataset != nil {
			a.Rows = &Rows{After: made.Dataset.Rows}
		}
		if before {
			a.Before, a.After = a.After, ""
			if a.Rows != nil {
				a.Rows.Before, a.Rows.After = a.Rows.After, 0
			}
		}
		all = append(all, a)
	}
	return all
}

func (c *comparer) compareOutputs() {
	before, after := c.runs[0].Outputs, c.runs[1].Outputs
	for _, name := range slices.Sorted(maps.Keys(both(before, after))) {
		a, b := before[name], after[name]
		if a == nil && b == nil || a != nil && b != nil && a.RawEquals(b.Value) {
			continue
		}
		c.out.Outputs = append(c.out.Outputs, Output{Name: name, Before: a, After: b})
	}
}

func (c *comparer) comparePlugins() {
	before, after := c.runs[0].Plugins, c.runs[1].Plugins
	for _, name := range slices.Sorted(maps.Keys(both(before, after))) {
		a, had := before[name]
		b, has := after[name]
		if a == b && had == has {
			continue
		}
		p := Plugin{Name: name}
		if had {
			p.Before = &a
		}
		if has {
			p.After = &b
		}
		c.out.Plugins = append(c.out.Plugins, p)
	}
}

// fields returns a preimage in the form that plans have.
func fields(preimage action.Preimage) []plan.Field {
	all := preimage.Fields()
	out := make([]plan.Field, len(all))
	for i, f := range all {
		out[i] = plan.Field(f)
	}
	return out
}
