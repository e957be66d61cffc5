package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// Record is Apply with an entry in the history. It writes the entry when the
// run starts, so that a run that is killed appears there, too, and again when
// it ends. about contains the entry's command and commit; Record fills in the
// rest.
func Record(ctx context.Context, p *plan.Plan, opts Options, runs *history.Store, about history.Run) (*Result, error) {
	id, err := runs.NewID(time.Now())
	if err != nil {
		return nil, fmt.Errorf("name the run: %w", err)
	}
	opts.RunID = id
	about.ID, about.Environment, about.QuernVersion = id, p.Environment, p.QuernVersion
	about.Started, about.Status = time.Now().UTC(), history.Running
	about.Plugins, about.Estimate = pluginRefs(p), estimateOf(p)
	if err := runs.Put(&about); err != nil {
		return nil, fmt.Errorf("record the run: %w", err)
	}
	opts.budget, err = sharedBudget(p, runs, &about)
	if err != nil {
		return nil, err
	}
	result, err := Apply(ctx, p, opts)
	about.Spent = nil // it is in the instances
	ended := time.Now().UTC()
	about.Ended, about.Status = &ended, history.Failed
	if err != nil {
		about.Error = stage.Secrets(opts.Secrets).Redactor().Text(err.Error())
	}
	if result != nil {
		about.Status = string(result.Status)
		if result.Plans > 1 {
			about.Plans = result.Plans
		}
		about.Instances = recorded(p, result, opts)
		about.Outputs = recordedOutputs(result)
		if opts.Keep != nil {
			err = errors.Join(err, opts.Keep(id))
		}
	}
	if putErr := runs.Put(&about); putErr != nil {
		err = errors.Join(err, fmt.Errorf("record the run: %w", putErr))
	}
	return result, err
}

func recorded(p *plan.Plan, result *Result, opts Options) []history.Instance {
	estimates := map[string]*amount.Amounts{}
	for _, n := range p.Nodes {
		if a := n.Amounts(); n.Computes() && a != (amount.Amounts{}) {
			estimates[n.Address] = &a
		}
	}
	all := make([]history.Instance, 0, len(result.Stages))
	for i := range result.Stages {
		s := &result.Stages[i]
		rec := history.Instance{
			Address: s.Address, Action: string(s.Action), Status: string(s.Status), Seconds: s.Seconds,
			Rows: s.Rows, RowsIn: s.RowsIn, NewRows: s.NewRows, ActionKey: s.ActionKey, Spend: spendOf(s.Spend), Pending: s.Pending,
			Estimate: estimates[s.Address],
		}
		if rec.Action == "" {
			rec.Action = string(s.Planned)
		}
		if inst := opts.State.Instances[s.Address]; inst != nil && s.Status == Done {
			rec.Outputs, rec.Value = inst.Outputs, inst.Value
			if inst.Deployment != nil {
				rec.Value = deployed(inst.Deployment)
			}
		}
		if errs := errorsOf(s.Diagnostics); len(errs) > 0 {
			rec.Error = errs[0].Summary + "\n" + errs[0].Detail
		}
		all = append(all, rec)
	}
	return all
}

func recordedOutputs(result *Result) map[string]*value.Value {
	all := make(map[string]*value.Value, len(result.Outputs))
	for name, v := range result.Outputs {
		all[name] = nil
		if !value.IsSensitive(v) {
			all[name] = &value.Value{Value: unmarked(v)}
		}
	}
	return all
}

func pluginRefs(p *plan.Plan) map[string]action.PluginRef {
	refs := make(map[string]action.PluginRef, len(p.Plugins))
	for name, plugin := range p.Plugins {
		refs[name] = action.PluginRef{Name: name, Version: plugin.Version, Digest: plugin.Digest}
	}
	return refs
}

// estimateOf adds up the plan's estimates for the nodes that will run. A figure
// that is unknown for one of them is unknown for the whole.
func estimateOf(p *plan.Plan) *history.Estimate {
	e := &history.Estimate{Range: rangeOf(p)}
	if p.Deferred != nil {
		return e
	}
	first := true
	for _, n := range p.Nodes {
		if n.Action != plan.Run && n.Action != plan.MayRun {
			continue
		}
		add(&e.Rows, n.Estimate.Rows, first)
		add(&e.NewRows, n.Estimate.NewRows, first)
		add(&e.Seconds, n.Estimate.Seconds, first)
		add(&e.InputTokens, n.Estimate.InputTokens, first)
		add(&e.OutputTokens, n.Estimate.OutputTokens, first)
		add(&e.Money, n.Estimate.Money, first)
		first = false
	}
	if first {
		return nil
	}
	return e
}

// rangeOf returns the range of what a plan takes. A figure that is unknown for a node
// has no upper bound.
func rangeOf(p *plan.Plan) *amount.Amounts {
	change := p.Total().Change
	a := change.Amounts
	for _, open := range []struct {
		figure  **amount.Range
		missing int
	}{
		{&a.Calls, change.Missing.Calls}, {&a.InputTokens, change.Missing.Tokens}, {&a.OutputTokens, change.Missing.Tokens},
		{&a.Money, change.Missing.Money}, {&a.Seconds, change.Missing.Seconds},
	} {
		if r := *open.figure; r != nil && (open.missing > 0 || p.Deferred != nil) {
			*open.figure = &amount.Range{Low: r.Low}
		}
	}
	if a == (amount.Amounts{}) {
		return nil
	}
	return &a
}

func add[T int64 | float64](sum **T, part *T, first bool) {
	switch {
	case first && part != nil:
		v := *part
		*sum = &v
	case part == nil || *sum == nil:
		*sum = nil
	default:
		**sum += *part
	}
}

// deployed returns the present value of a deployment, or nil if it is not
// known.
func deployed(d *state.Deployment) *value.Stored {
	if d.Value == nil || d.Value.IsNull() {
		return nil
	}
	return value.Store(d.Value.Value)
}
