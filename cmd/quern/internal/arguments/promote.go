package arguments

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/store/state"
)

// Promote is quern promote. Its environment is the one that changes.
type Promote struct {
	Apply
	From string
}

// Flags implements [Set].
func (p *Promote) Flags() []cli.Flag {
	return append(p.adoption(), declare(&p.Target.Flag, cli.StringSliceFlag{Name: "target", Usage: "only `ADDRESS` and what it depends on; can be repeated"}))
}

// Parse implements [Set].
func (p *Promote) Parse(given Positional) hcl.Diagnostics {
	diags := given.between(2, 2, "the environments FROM and TO")
	if diags.HasErrors() {
		return diags
	}
	p.From, p.Env.Value = given.Given[0], given.Given[1]
	for _, env := range given.Given {
		if err := state.CheckName(env); err != nil {
			diags = append(diags, refuse("invalid environment", err.Error())...)
		}
	}
	if p.From == p.Env.Value {
		diags = append(diags, refuse("FROM and TO are the same environment", fmt.Sprintf("Environment %q already refers to its own results.", p.From))...)
	}
	return all(diags, p.parseAdoption(given))
}

// Rollback is quern rollback.
type Rollback struct {
	Apply
	// Run is the ID of the run to return to, or empty for the one before the last.
	Run string
}

// Flags implements [Set].
func (r *Rollback) Flags() []cli.Flag { return append(r.Environment.flags(), r.adoption()...) }

// Parse implements [Set].
func (r *Rollback) Parse(given Positional) hcl.Diagnostics {
	return all(given.optional(&r.Run, "at most one run"), r.parseAdoption(given))
}

// adoption declares the flags of a command that adopts results.
func (a *Apply) adoption() []cli.Flag {
	a.Refresh.Value = true
	return flags(a.Variables.flags(), []cli.Flag{
		declare(&a.AutoApprove, cli.BoolFlag{Name: "auto-approve", Usage: "skip the approval prompt"}),
		declare(&a.Out, cli.StringFlag{Name: "out", Usage: "save the plan to `FILE`, to apply it later, and change nothing"}),
		declare(&a.Events, cli.BoolFlag{Name: "json", Usage: "print events as JSON Lines, or the plan as JSON with -out; needs -auto-approve or -out"}),
		declare(&a.Parallelism, cli.IntFlag{Name: "parallelism", Value: 10, Usage: "change at most `N` deployments at once", Validator: atLeast(1)}),
		declare(&a.Input, cli.BoolFlag{Name: "input", Value: true, Usage: "ask for approval; -input=false fails instead"}),
		declare(&a.CompactWarnings, cli.BoolFlag{Name: "compact-warnings", Usage: "print only the summary of each warning"}),
		a.LockFile.flag(),
	}, a.Lock.flags())
}

func (a *Apply) parseAdoption(given Positional) hcl.Diagnostics {
	diags := a.Planning.parse(given)
	if a.Events.Value && !a.AutoApprove.Value && !a.Out.Given() {
		diags = append(diags, refuse(a.Events.Name()+" cannot ask for approval", "Use -auto-approve, or save a plan with -out=FILE and apply it.")...)
	}
	if a.Out.Given() && a.AutoApprove.Value {
		diags = append(diags, refuse(fmt.Sprintf("%s and %s cannot be combined", &a.Out, &a.AutoApprove), "With -out, nothing is changed.")...)
	}
	return diags
}
