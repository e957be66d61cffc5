package arguments

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/addr"
)

// Request is what a command requests from a plan.
type Request struct {
	Environment                   string
	Variables                     *Variables
	Refresh, RefreshOnly, Destroy bool
	Targets, Excludes, Replace    []addr.Target
	// ReadOnlyLock is set if the lock file must not change.
	ReadOnlyLock bool
	// Ref is the Git revision to plan, or empty for the working folder. If
	// Since is not empty, only what has changed since that revision is planned.
	Ref, Since string
	// Compared is set if the plan is only compared with another one.
	Compared bool
	// IgnoreUnknown is set if some targets may not exist.
	IgnoreUnknown bool
}

// Planning are the flags of the commands plan, apply, and destroy.
type Planning struct {
	Environment
	Variables
	Lock
	LockFile
	Target, Exclude, Replace        Addresses
	Refresh, Input, CompactWarnings Flag[bool]
	Parallelism                     Flag[int]
	// RefreshOnly and Destroy remain false if a command does not have them.
	RefreshOnly, Destroy Flag[bool]
}

func (p *Planning) flags() []cli.Flag {
	return flags(p.Environment.flags(), p.Variables.flags(), []cli.Flag{
		declare(&p.Target.Flag, cli.StringSliceFlag{Name: "target", Usage: "only `ADDRESS` and what it depends on; can be repeated"}),
		declare(&p.Exclude.Flag, cli.StringSliceFlag{Name: "exclude", Usage: "everything except `ADDRESS` and what depends on it; can be repeated"}),
		declare(&p.Replace.Flag, cli.StringSliceFlag{Name: "replace", Usage: "run or deploy `ADDRESS` again even if nothing changed; can be repeated"}),
		declare(&p.Refresh, cli.BoolFlag{Name: "refresh", Value: true, Usage: "refresh sources and deployments first; -refresh=false trusts the state"}),
		declare(&p.Parallelism, cli.IntFlag{Name: "parallelism", Value: 10, Usage: "run at most `N` stages at once", Validator: atLeast(1)}),
		declare(&p.Input, cli.BoolFlag{Name: "input", Value: true, Usage: "ask for approval; -input=false fails instead"}),
		declare(&p.CompactWarnings, cli.BoolFlag{Name: "compact-warnings", Usage: "print only the summary of each warning"}),
		p.LockFile.flag(),
	}, p.Lock.flags())
}

func (p *Planning) refreshOnlyFlag() cli.Flag {
	return declare(&p.RefreshOnly, cli.BoolFlag{Name: "refresh-only", Usage: "look for drift, and update only what the state says about deployments"})
}

func (p *Planning) parse(given Positional) hcl.Diagnostics {
	p.Lock.parse(given)
	return all(
		p.LockFile.parse(), p.Target.parse(), p.Exclude.parse(), p.Replace.parse(),
		exclusive("Choose either what to plan or what to leave out.", &p.Target, &p.Exclude),
		exclusive("A refresh-only plan does not create or delete anything. It only looks for drift.", &p.RefreshOnly, &p.Destroy, &p.Refresh, &p.Replace),
		exclusive("A plan that deletes all deployments does not run anything again.", &p.Destroy, &p.Replace),
	)
}

// Request returns what the flags request.
func (p *Planning) Request() Request {
	return Request{
		Environment: p.Env.Value, Variables: &p.Variables,
		Refresh: p.Refresh.Value, RefreshOnly: p.RefreshOnly.Value, Destroy: p.Destroy.Value,
		Targets: p.Target.Parsed, Excludes: p.Exclude.Parsed, Replace: p.Replace.Parsed,
		ReadOnlyLock: p.ReadOnly,
	}
}

// PlanFormats are the formats of a plan.
var PlanFormats = []string{"text", "json", "markdown"}

// Plan is quern plan.
type Plan struct {
	Planning
	Form
	Out, Ref, Since  Flag[string]
	DetailedExitcode Flag[bool]
	// Chosen is the format that the plan is printed in.
	Chosen string
}

// Flags implements [Set].
func (p *Plan) Flags() []cli.Flag {
	return flags(p.Planning.flags(), []cli.Flag{
		declare(&p.Out, cli.StringFlag{Name: "out", Usage: "save the plan to `FILE`, to apply it later"}),
		declare(&p.Ref, cli.StringFlag{Name: "ref", Usage: "plan the configuration of the Git `REVISION`, such as a branch"}),
		declare(&p.Since, cli.StringFlag{Name: "since", Usage: "only what has changed since the Git `REVISION`, and what depends on it"}),
		p.formatFlag("text", "text, json, or markdown"),
		p.refreshOnlyFlag(),
		declare(&p.Destroy, cli.BoolFlag{Name: "destroy", Usage: "plan to delete all deployments"}),
		declare(&p.DetailedExitcode, cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit with 0 if there is nothing to do, 1 on error, 2 if there are changes"}),
		p.Form.flag(),
	})
}

// Parse implements [Set].
func (p *Plan) Parse(given Positional) hcl.Diagnostics {
	chosen, diags := p.In(given.Command, PlanFormats)
	p.Chosen = chosen
	return all(given.none(), diags, p.Planning.parse(given),
		exclusive("To apply the plan of a revision, check the revision out.", &p.Ref, &p.Out),
		exclusive("It chooses what to plan.", &p.Since, &p.Target, &p.Exclude, &p.Destroy, &p.RefreshOnly))
}

// Request returns what the flags request.
func (p *Plan) Request() Request {
	r := p.Planning.Request()
	r.Ref, r.Since = p.Ref.Value, p.Since.Value
	return r
}

// Apply is quern apply, and quern destroy.
type Apply struct {
	Planning
	AutoApprove Flag[bool]
	// Wait is how long to check again while a stage waits for something outside.
	Wait Flag[time.Duration]
	// Events prints events as JSON Lines.
	Events Flag[bool]
	// Out is the file that the plan is saved to instead of being carried out. Only
	// promote and rollback have it.
	Out Flag[string]
	// File is a saved plan, or empty to make a new one.
	File string
	// destroys is set for quern destroy.
	destroys bool
}

// NewDestroy returns the arguments of quern destroy.
func NewDestroy() *Apply { return &Apply{destroys: true} }

// Flags implements [Set].
func (a *Apply) Flags() []cli.Flag {
	groups := flags(a.Planning.flags(), []cli.Flag{
		declare(&a.AutoApprove, cli.BoolFlag{Name: "auto-approve", Usage: "skip the approval prompt"}),
	})
	if a.destroys {
		a.Destroy.Value = true
		return append(groups, declare(&a.Events, cli.BoolFlag{Name: "json", Usage: "print events as JSON Lines; needs -auto-approve"}))
	}
	return append(groups, a.refreshOnlyFlag(),
		declare(&a.Wait, cli.DurationFlag{Name: "wait", Usage: "while a stage waits for something outside, such as a batch, check again for up to `DURATION`; needs -auto-approve"}),
		declare(&a.Events, cli.BoolFlag{Name: "json", Usage: "print events as JSON Lines; needs -auto-approve or a saved plan"}))
}

// Parse implements [Set].
func (a *Apply) Parse(given Positional) hcl.Diagnostics {
	return all(a.parseFile(given), a.parseDestroy(), a.parseEvents(), a.parseWait(), a.Planning.parse(given))
}

// parseFile rejects flags that define a plan if a saved plan is given.
func (a *Apply) parseFile(given Positional) hcl.Diagnostics {
	if a.destroys {
		return given.none()
	}
	diags := given.optional(&a.File, "at most one saved plan")
	if a.File == "" {
		return diags
	}
	for _, flag := range []option{&a.Target, &a.Exclude, &a.Replace, &a.Refresh, &a.RefreshOnly} {
		if flag.Given() {
			diags = append(diags, refuse(flag.Name()+" cannot be used with a saved plan", "A saved plan cannot be changed. Use the flag with \"quern plan -out=FILE\" instead.")...)
		}
	}
	return diags
}

// parseDestroy rejects -replace for quern destroy, which deletes everything.
func (a *Apply) parseDestroy() hcl.Diagnostics {
	if !a.destroys || !a.Replace.inUse() {
		return nil
	}
	return refuse(a.Replace.Name()+" cannot be used with \"quern destroy\"", "To delete and create a deployment again, use \"quern apply -replace=ADDRESS\".")
}

// parseWait rejects -wait where another plan could not be applied without asking.
func (a *Apply) parseWait() hcl.Diagnostics {
	switch {
	case !a.Wait.Given():
		return nil
	case a.Wait.Value <= 0:
		return refuse(a.Wait.Name()+" must be positive", "Write a duration such as 30m or 12h.")
	case a.File != "":
		return refuse(a.Wait.Name()+" cannot be used with a saved plan", "quern makes a new plan each time that it checks again. Use -auto-approve without a saved plan.")
	case !a.AutoApprove.Value:
		return refuse(a.Wait.Name()+" cannot ask for approval", "quern makes a new plan each time that it checks again. Use -auto-approve.")
	}
	return nil
}

func (a *Apply) parseEvents() hcl.Diagnostics {
	if !a.Events.Value || a.AutoApprove.Value || a.File != "" {
		return nil
	}
	kind := ""
	if a.destroys {
		kind = " -destroy"
	}
	return refuse(a.Events.Name()+" cannot ask for approval", "Use -auto-approve, or save a plan with \"quern plan"+kind+" -out=FILE\" and apply it.")
}
