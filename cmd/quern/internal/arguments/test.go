package arguments

import (
	"runtime"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Test is quern test.
type Test struct {
	Document
	Variables
	Filter                    Flag[[]string]
	JUnit                     Flag[string]
	Verbose, Update, Coverage Flag[bool]
	Parallelism               Flag[int]
}

// Flags implements [Set].
func (t *Test) Flags() []cli.Flag {
	return flags([]cli.Flag{
		declare(&t.Filter, cli.StringSliceFlag{Name: "filter", Usage: "only files and runs whose FILE/RUN contains or matches `TEXT`; can be repeated"}),
		declare(&t.Verbose, cli.BoolFlag{Name: "verbose", Usage: "also print what each run carried out"}),
		declare(&t.Update, cli.BoolFlag{Name: "update", Usage: "ask real models for answers that are not recorded yet, and record them"}),
		declare(&t.Coverage, cli.BoolFlag{Name: "coverage", Usage: "print which stages and gates the tests have exercised"}),
		declare(&t.JUnit, cli.StringFlag{Name: "junit-xml", Usage: "also write a report in the format of JUnit to `FILE`"}),
		declare(&t.Parallelism, cli.IntFlag{Name: "parallelism", Value: min(4, runtime.NumCPU()), Usage: "run at most `N` files at once", Validator: atLeast(1)}),
		t.Document.flag(),
	}, t.Variables.flags())
}

// Parse implements [Set].
func (t *Test) Parse(given Positional) hcl.Diagnostics { return given.none() }
