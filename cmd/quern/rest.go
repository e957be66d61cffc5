package main

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/progress"
	"github.com/quern-dev/quern/store/state"
)

// planRest plans the stages that a plan deferred, during its run.
func (w *workspace) planRest(ctx context.Context, r arguments.Request, st *state.State, p *plan.Plan) (*plan.Plan, error) {
	next, diags := planner.Continue(ctx, p, w.plannerOptions(r, st))
	return w.pinned(next, diags, r)
}

// deletes reports whether a plan deletes or replaces deployments. The plan that was
// approved did not show that, because it was not known which instances remain.
func deletes(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Nodes, func(n *plan.Node) bool { return n.Action == plan.Delete || n.Action == plan.Replace })
}

// approveRest shows the rest of a plan and asks for approval, if it deletes
// deployments and nobody approved that.
func (a *application) approveRest(p *plan.Plan, display *pausable, stop <-chan struct{}) error {
	if a.args.AutoApprove.Value || !deletes(p) {
		return nil
	}
	refused := &diag.Error{
		Summary: "the rest of the plan is not approved",
		Detail:  "The stages that were planned during the run delete deployments. Everything before them is done. Run quern apply again to see them, and to approve them.",
	}
	if !a.args.Input.Value || a.args.Events.Value {
		return refused
	}
	return display.pause(func() error {
		if err := printPlan(a.ui, p, "text"); err != nil {
			return err
		}
		yes, err := a.ui.confirm("Do you want to delete these deployments?", "The stages that were planned during the run delete the deployments listed above.", stop)
		if err == nil && !yes {
			err = refused
		}
		return err
	})
}

// pausable is a display that can make room for a question.
type pausable struct {
	progress.Display
	application *application
	started     events.Event
}

func (d *pausable) Event(e events.Event) {
	if e.Type == events.RunStarted {
		d.started = e
	}
	d.Display.Event(e)
}

// pause removes the display, calls ask, and starts a new display.
func (d *pausable) pause(ask func() error) error {
	if err := d.Close(); err != nil {
		return err
	}
	d.application.ui.displaying.Store(false)
	err := ask()
	d.application.ui.displaying.Store(true)
	d.Display = d.application.display()
	d.Display.Event(d.started)
	return err
}
