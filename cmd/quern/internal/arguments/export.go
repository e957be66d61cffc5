package arguments

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Export is quern export.
type Export struct {
	Environment
	Variables
	Document
	Include, Exclude Flag[[]string]
	Programs         Flag[bool]
	// Addresses are the stages and modules to export, or empty for all, and Targets the
	// same, parsed.
	Addresses []string
	Targets   []addr.Target
	// File is the archive to write.
	File string
}

// Flags implements [Set].
func (e *Export) Flags() []cli.Flag {
	return flags(e.Environment.flags(), e.Variables.flags(), []cli.Flag{
		declare(&e.Include, cli.StringSliceFlag{Name: "include", Usage: "also the files that match `PATTERN`, such as data that Git ignores; can be repeated"}),
		declare(&e.Exclude, cli.StringSliceFlag{Name: "exclude", Usage: "not the files that match `PATTERN`; can be repeated"}),
		declare(&e.Programs, cli.BoolFlag{Name: "programs", Value: true, Usage: "include quern and the plugins for this platform; -programs=false leaves them out"}),
		e.Document.flag(),
	})
}

// Parse implements [Set].
func (e *Export) Parse(given Positional) hcl.Diagnostics {
	n := len(given.Given) - 1
	if n < 0 {
		return refuse(given.Command+" needs a file to write", "Usage: "+given.Command+" "+given.Usage)
	}
	e.File, e.Addresses = given.Given[n], given.Given[:n]
	var diags hcl.Diagnostics
	for _, address := range e.Addresses {
		target, err := addr.ParseTarget(address)
		if err != nil {
			diags = append(diags, diag.Of(err)...)
		}
		e.Targets = append(e.Targets, target)
	}
	if !strings.HasSuffix(e.File, ".tar") {
		diags = append(diags, refuse("the name of the archive must end in .tar", "Usage: "+given.Command+" "+given.Usage)...)
	}
	return diags
}
