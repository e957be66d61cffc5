// Package planner turns a configuration, a state, and the current content of
// sources into a plan.
//
// Build expands blocks into instances, evaluates and compiles their
// expressions, has plugins prepare them, computes their keys, and uses the
// keys to decide what to do and why. It changes nothing: plugins only
// validate, read sources and deployments, and compare. All independent
// mistakes are reported together; if there is one, there is no plan.
package planner

import (
	"context"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
)

// Options are the inputs of a plan.
type Options struct {
	Module *config.Module
	// Variables are the values of all variables. Sensitive ones carry the mark
	// value.Sensitive.
	Variables map[string]cty.Value
	Plugins   Plugins
	// Once is set if Module is planned only once. Planning then drops the syntax
	// of stages that are decided.
	Once bool
	// Pins are those in the lock file. Plugins resolve names that have none.
	Pins plan.Pins

	// Store and State describe what exists already. Validate needs neither.
	Store       *store.Store
	State       *state.State
	Environment string

	// Targets limit the plan to these instances and what they need; Excludes
	// leave out these instances and what needs them. An address without a key
	// means all instances of its stage.
	Targets, Excludes []addr.Target
	// IgnoreUnknown ignores targets that do not exist.
	IgnoreUnknown bool
	// Replace requests new results of these instances.
	Replace []addr.Target
	// Refresh reads the current sources and deployments. If it is false, the
	// plan trusts the state.
	Refresh bool
	// RefreshOnly plans nothing but updates of the deployments in the state.
	RefreshOnly bool
	// Destroy plans to delete all deployments and to forget the rest.
	Destroy bool
	// Compared is set for a plan that is only compared with another one: it may
	// exceed the budget, and it does not contain what is no longer configured.
	Compared bool

	// Hidden, if not nil, is called with each value that a call of sensitive()
	// hides, and its name in the plan's Secrets. Calls come from several
	// goroutines, but never at the same time.
	Hidden func(name string, v cty.Value)

	// Continues is what the plan of a run left to be planned during the run, or
	// nil if this is the first plan of a run. Only those stages are planned; the
	// state has the results of all others.
	Continues *plan.Deferred

	QuernVersion string
	// StartedIn is path.cwd, the folder that quern was started in, or empty for
	// the working directory.
	StartedIn string

	validating bool
	// adopts says whose results are adopted, or is empty. Sources are then not
	// read. With adopting, keys do not matter. preparedIn is the environment in
	// which stages were prepared, if it is another one.
	adopts, preparedIn string
	adopting           bool
}

// Plugins is what the planner needs from the available plugins.
type Plugins = processes.Plugins

// Build builds a plan. The plan is nil if and only if there are errors.
func Build(ctx context.Context, o Options) (*plan.Plan, hcl.Diagnostics) {
	b := newBuilder(ctx, o)
	defer b.close()
	if o.Destroy {
		return b.destroy()
	}
	return b.build()
}

// Validate checks a configuration as far as possible without a state:
// everything that does not depend on results or on variables whose values are
// unknown. It reads a source only if its columns have to be inferred.
func Validate(ctx context.Context, o Options) hcl.Diagnostics {
	o.Store, o.State, o.Refresh = nil, nil, false
	o.Variables, o.validating = assumed(o.Variables), true
	b := newBuilder(ctx, o)
	defer b.close()
	_, diags := b.build()
	return diags
}

// Pin prepares a configuration as Validate does, and returns the pins that it uses
// and those of o.Pins that it no longer uses, as far as that is certain.
func Pin(ctx context.Context, o Options) (used, unused plan.Pins, diags hcl.Diagnostics) {
	o.Store, o.State, o.Refresh = nil, nil, false
	o.Variables, o.validating = assumed(o.Variables), true
	b := newBuilder(ctx, o)
	defer b.close()
	if _, diags = b.build(); !diags.HasErrors() {
		unused = b.pins.Unused()
	}
	return b.pins.Used(), unused, diags
}

// assumed marks variables with unknown values as if they were secret, so that
// expressions keep them as references.
func assumed(variables map[string]cty.Value) map[string]cty.Value {
	out := make(map[string]cty.Value, len(variables))
	for name, v := range variables {
		if !v.IsWhollyKnown() {
			v = v.Mark(value.Sensitive{Variable: name})
		}
		out[name] = v
	}
	return out
}
