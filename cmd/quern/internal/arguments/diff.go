package arguments

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Diff is quern diff.
type Diff struct {
	Environment
	Variables
	Form
	Refresh Flag[bool]
	// Range is a revision, or two with dots between them.
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

// Parse implements [Set].
func (d *Diff) Parse(given Positional) hcl.Diagnostics {
	chosen, diags := d.In(given.Command, PlanFormats)
	d.Chosen = chosen
	if more := given.between(1, 2, "one or two revisions"); more.HasErrors() {
		return all(diags, more)
	}
	d.Range = strings.Join(given.Given, "..")
	return diags
}

// Request returns the request for the plans of revisions.
func (d *Diff) Request() Request {
	return Request{Environment: d.Env.Value, Variables: &d.Variables, Refresh: d.Refresh.Value}
}
