package arguments

import (
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Diff is quern diff.
type Diff struct {
	Environment
	Variables
	Form
	Refresh Flag[bool]

	// Runs are two runs, or nil.
	Runs []string
	// Range is a revision or two with dots between them. It is empty for runs.
	Range string
	// Chosen is the format that the differences are printed in.
	Chosen string
}

// Flags implements [Set].
func (d *Diff) Flags() []cli.Flag {
	return flags(d.Environment.flags(), d.Variables.flags(), []cli.Flag{
		d.formatFlag("text", "text, json, or markdown"),
		declare(&d.Refresh, cli.BoolFlag{Name: "refresh", Value: true, Usage: "refresh sources and deployments first; -refresh=false trusts the state"}),
		d.Form.flag(),
	})
}

// runID matches the IDs that runs have. A branch with such a name can be written
// as refs/heads/NAME.
var runID = regexp.MustCompile(`^\d{8}-\d{6}-[0-9a-f]{8}$`)

// Parse implements [Set].
func (d *Diff) Parse(given Positional) hcl.Diagnostics {
	chosen, diags := d.In(given.Command, PlanFormats)
	d.Chosen = chosen
	if more := given.between(1, 2, "one or two revisions, or two runs"); more.HasErrors() {
		return all(diags, more)
	}
	runs := 0
	for _, name := range given.Given {
		if runID.MatchString(name) {
			runs++
		}
	}
	switch {
	case runs == 2:
		d.Runs = given.Given
		return all(diags, d.refuseForRuns())
	case runs == 1 && len(given.Given) == 2:
		diags = append(diags, refuse("A run and a revision cannot be compared", "Name two runs, or two revisions. Run \"quern log\" to see the runs.")...)
	case runs == 1:
		diags = append(diags, refuse("A run is compared with another one", "Name two runs. Run \"quern log\" to see them.")...)
	case len(given.Given) == 2:
		d.Range = given.Given[0] + ".." + given.Given[1]
	default:
		d.Range = given.Given[0]
	}
	return diags
}

// refuseForRuns rejects the flags that are about plans.
func (d *Diff) refuseForRuns() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, flag := range []option{&d.Env, &d.Vars, &d.VarFiles, &d.Refresh} {
		if flag.inUse() {
			diags = append(diags, refuse(flag.Name()+" cannot be used with runs", "Runs are compared as they were recorded.")...)
		}
	}
	return diags
}

// Request returns the request for the plans of revisions.
func (d *Diff) Request() Request {
	return Request{Environment: d.Env.Value, Variables: &d.Variables, Refresh: d.Refresh.Value}
}
