package arguments

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Docs is quern docs.
type Docs struct {
	Check Flag[bool]
	File  Flag[string]
	// Dir is the module's folder.
	Dir string
}

// Flags implements [Set].
func (d *Docs) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&d.Check, cli.BoolFlag{Name: "check", Usage: "change nothing; exit with 1 if the file is out of date"}),
		declare(&d.File, cli.StringFlag{Name: "file", Usage: "write to the file `NAME` in the folder", Value: "README.md"}),
	}
}

// Parse implements [Set].
func (d *Docs) Parse(given Positional) hcl.Diagnostics {
	d.Dir = "."
	return given.optional(&d.Dir, "at most one folder")
}
