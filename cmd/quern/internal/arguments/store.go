package arguments

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/ui/export"
)

// ArtifactList is quern artifact list.
type ArtifactList struct {
	Environment
	Document
}

// Flags implements [Set].
func (a *ArtifactList) Flags() []cli.Flag { return append(a.Environment.flags(), a.Document.flag()) }

// Parse implements [Set].
func (a *ArtifactList) Parse(given Positional) hcl.Diagnostics { return given.none() }

// ArtifactShow is quern artifact show.
type ArtifactShow struct {
	Environment
	Document
	Rows     Flag[int]
	Artifact string
}

// Flags implements [Set].
func (a *ArtifactShow) Flags() []cli.Flag {
	return append(a.Environment.flags(), a.Document.flag(),
		declare(&a.Rows, cli.IntFlag{Name: "rows", Value: 5, Usage: "show the first `N` rows of a dataset", Validator: atLeast(0)}))
}

// Parse implements [Set].
func (a *ArtifactShow) Parse(given Positional) hcl.Diagnostics {
	return given.one(&a.Artifact, "an artifact")
}

// ArtifactFiles is quern artifact files.
type ArtifactFiles struct {
	Environment
	Document
	Columns  Flag[[]string]
	Verify   Flag[bool]
	Artifact string
}

// Flags implements [Set].
func (a *ArtifactFiles) Flags() []cli.Flag {
	return append(a.Environment.flags(), a.Document.flag(),
		declare(&a.Columns, cli.StringSliceFlag{Name: "column", Usage: "only the files with the column `NAME`; can be repeated"}),
		declare(&a.Verify, cli.BoolFlag{Name: "verify", Value: true, Usage: "verify the files; with -verify=false, readers compare them with their digests"}))
}

// Parse implements [Set].
func (a *ArtifactFiles) Parse(given Positional) hcl.Diagnostics {
	return given.one(&a.Artifact, "an artifact")
}

// ArtifactProfile is quern artifact profile.
type ArtifactProfile struct {
	Environment
	Form
	Columns  Flag[[]string]
	Artifact string
	// Chosen is the format.
	Chosen string
}

// Flags implements [Set].
func (a *ArtifactProfile) Flags() []cli.Flag {
	return append(a.Environment.flags(), a.flag(), a.formatFlag("text", "print the profile as text, markdown, csv, or json"),
		declare(&a.Columns, cli.StringSliceFlag{Name: "column", Usage: "profile only the column `NAME`; can be repeated"}))
}

// Parse implements [Set].
func (a *ArtifactProfile) Parse(given Positional) hcl.Diagnostics {
	diags := given.one(&a.Artifact, "a dataset")
	format, more := a.In(given.Command, []string{"text", "markdown", "csv", "json"})
	a.Chosen = format
	return append(diags, more...)
}

// ArtifactVerify is quern artifact verify.
type ArtifactVerify struct {
	Environment
	Document
	// Artifacts are those to verify, or empty for all of the environment.
	Artifacts []string
}

// Flags implements [Set].
func (a *ArtifactVerify) Flags() []cli.Flag { return append(a.Environment.flags(), a.Document.flag()) }

// Parse implements [Set].
func (a *ArtifactVerify) Parse(given Positional) hcl.Diagnostics {
	a.Artifacts = given.Given
	return nil
}

// ArtifactExport is quern artifact export.
type ArtifactExport struct {
	Environment
	Format, Out Flag[string]
	RowsPerFile Flag[int]
	Artifact    string
	// Dir is the folder to write to, or "". With "" for File, too, rows go to
	// standard output.
	Dir, File string
	// Rows is the format of the rows, or empty to export the whole artifact.
	Rows export.Format
}

// Flags implements [Set].
func (a *ArtifactExport) Flags() []cli.Flag {
	return append(a.Environment.flags(),
		declare(&a.Format, cli.StringFlag{Name: "format", Usage: "write rows as jsonl, csv, or parquet (default: from the extension of the -o file)"}),
		declare(&a.Out, cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write rows to `FILE`; - is standard output, which is the default with -format"}),
		declare(&a.RowsPerFile, cli.IntFlag{Name: "rows-per-file", Usage: "write files of at most `N` rows to DIR", Validator: atLeast(1)}))
}

// Parse implements [Set].
func (a *ArtifactExport) Parse(given Positional) hcl.Diagnostics {
	if diags := given.between(1, 2, "an artifact and an optional folder"); diags.HasErrors() {
		return diags
	}
	a.Artifact, a.Dir = given.Given[0], strings.Join(given.Given[1:], "")
	a.File, a.Rows = a.Out.Value, export.Format(a.Format.Value)
	if a.Rows == "" && a.File != "" {
		a.Rows = export.FormatOf(a.File)
	}
	diags := a.parseDestination()
	if a.File == "-" {
		a.File = ""
	}
	return diags
}

func (a *ArtifactExport) parseDestination() hcl.Diagnostics {
	formats := strings.Join(export.Formats, "|")
	switch {
	case a.Dir != "" && a.File != "":
		return refuse("-o and a folder cannot be combined", "Use -o for one file, or a folder with -rows-per-file for several.")
	case a.RowsPerFile.Given() && (a.Dir == "" || a.Rows == ""):
		return refuse("-rows-per-file needs -format and a folder", "For example: quern artifact export source.a out -format=jsonl -rows-per-file=100000")
	case a.Dir == "" && a.Rows == "" && a.File == "":
		return refuse("quern artifact export needs a folder or a format", fmt.Sprintf("Give a folder for the whole artifact, or use -format=%s for the rows of a dataset.", formats))
	case a.Dir != "" && a.Rows == "":
		return nil
	case a.Rows == export.Parquet && export.Compressed(a.File):
		return refuse("Parquet files are not compressed as a whole", "Their columns are. Give the file a name that ends in .parquet.")
	case !slices.Contains(export.Formats, string(a.Rows)):
		return refuse(fmt.Sprintf("rows cannot be exported as %q", a.Rows), fmt.Sprintf("Use -format=%s.", formats))
	}
	return nil
}

// GC is quern gc.
type GC struct {
	Lock
	Document
	Delete   Flag[bool]
	KeepRuns Flag[int]
	Grace    Flag[time.Duration]
	Answers  Flag[time.Duration]
	Address  Flag[string]
	Verbose  Flag[bool]
}

// Flags implements [Set].
func (g *GC) Flags() []cli.Flag {
	return flags([]cli.Flag{
		declare(&g.Delete, cli.BoolFlag{Name: "delete", Usage: "remove it instead of only showing what would be removed"}),
		declare(&g.KeepRuns, keepRunsFlag),
		declare(&g.Grace, graceFlag),
		declare(&g.Answers, cli.DurationFlag{Name: "answers", HideDefault: true, Usage: "remove cached answers older than `DURATION`; by default, all are kept", Validator: notNegative}),
		declare(&g.Address, cli.StringFlag{Name: "address", Usage: "remove only what the stage or module at `ADDRESS` has produced and no longer needs"}),
		declare(&g.Verbose, cli.BoolFlag{Name: "verbose", Usage: "show what keeps the rest, with its size"}),
	}, g.Lock.timeoutFlag(), []cli.Flag{g.Document.flag()})
}

// Parse implements [Set].
func (g *GC) Parse(given Positional) hcl.Diagnostics {
	g.Lock.parse(given)
	return given.none()
}

// StoreStats are the arguments of "quern store stats". Its flags for gc are those of
// "quern gc".
type StoreStats struct {
	Document
	KeepRuns Flag[int]
	Grace    Flag[time.Duration]
	N        Flag[int]
}

// Flags implements [Set].
func (s *StoreStats) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&s.KeepRuns, keepRunsFlag), declare(&s.Grace, graceFlag),
		declare(&s.N, cli.IntFlag{Name: "n", Value: 10, Usage: "show the `N` largest stages and artifacts", Validator: atLeast(1)}),
		s.Document.flag(),
	}
}

// Parse implements [Set].
func (s *StoreStats) Parse(given Positional) hcl.Diagnostics { return given.none() }

// GC returns the arguments of the collection that is considered.
func (s *StoreStats) GC() *GC { return &GC{KeepRuns: s.KeepRuns, Grace: s.Grace} }

var (
	keepRunsFlag = cli.IntFlag{Name: "keep-runs", Value: 20, Usage: "keep the results of the last `N` runs", Validator: atLeast(0)}
	graceFlag    = cli.DurationFlag{Name: "grace", Value: 7 * 24 * time.Hour, Usage: "keep results newer than `DURATION`", Validator: notNegative}
)

// notNegative validates a duration.
func notNegative(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("must not be negative")
	}
	return nil
}
