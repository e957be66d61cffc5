package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Refused is the error for a plan that was not started.
type Refused struct{ Diagnostics hcl.Diagnostics }

func (e *Refused) Error() string { return e.Diagnostics.Error() }
func (e *Refused) Unwrap() error { return e.Diagnostics }

// preflight looks for problems that would stop a run later.
type preflight struct {
	plan     *plan.Plan
	todo     []*plan.Node
	binder   *binder
	reporter *reporter
}

// checkModels asks the plugins of the models that stages will call whether they
// can be called, before the run starts: a missing key should be reported
// immediately, not after hours of work. If the stage may not need a call, it is
// a warning.
func (p *preflight) checkModels(ctx context.Context) error {
	var errs hcl.Diagnostics
	called := p.called()
	for _, address := range slices.Sorted(maps.Keys(called)) {
		m := p.plan.Models[address]
		if len(m.DependsOn) > 0 {
			continue // its arguments are not known yet
		}
		l, err := p.binder.language(m)
		if err != nil {
			return err
		}
		client, err := l.Connect(ctx)
		if err != nil {
			continue // the first call reports it
		}
		resp, err := client.CheckModel(ctx, &pluginv1.CheckModelRequest{Model: l.Instance})
		if err != nil || resp.GetError() == nil {
			continue // the result is unknown, which older plugins report as an error
		}
		reason := fmt.Sprintf("%s: %s.", address, l.Redact(resp.GetError().GetMessage()))
		if !called[address] {
			p.reporter.warn("A model cannot be called", reason)
			continue
		}
		errs = append(errs, diag.Errorf(m.Range.Ptr(), "The model cannot be called", "%s No stage was started.", reason))
	}
	if len(errs) > 0 {
		return &Refused{errs}
	}
	return nil
}

// called returns the language models that stages call. The value is true if, as
// far as is known, they will be called because their answers are not in the
// store.
func (p *preflight) called() map[string]bool {
	models := map[string]bool{}
	for _, n := range p.todo {
		if n.Action != plan.Run && n.Action != plan.MayRun || n.Body == nil {
			continue
		}
		calls := n.Estimate.Calls
		if calls != nil && *calls == 0 {
			continue
		}
		_, made := p.binder.state.instance(n.Address)
		sure := !n.Estimate.CallsAtMost && (calls != nil || !made)
		n.Body.Inputs(func(in *plan.Input) {
			if p.plan.Models[in.Address] != nil {
				models[in.Address] = models[in.Address] || sure
			}
		})
	}
	return models
}
