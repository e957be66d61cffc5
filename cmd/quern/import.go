package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/axolotl"
	"github.com/quern-dev/quern/importers/llamafactory"
	"github.com/quern-dev/quern/importers/promptfoo"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
)

// importable are the importers. Each is a subcommand.
var importable = []importers.Importer{promptfoo.Importer{}, axolotl.Importer{}, llamafactory.Importer{}}

func importCommand(ui *terminal) *cli.Command {
	c := &cli.Command{Name: "import", Usage: "convert another tool's configuration to a pipeline"}
	for _, importer := range importable {
		c.Commands = append(c.Commands, importToolCommand(ui, importer))
	}
	return c
}

func importToolCommand(ui *terminal, importer importers.Importer) *cli.Command {
	tool := importer.Tool()
	c := &cli.Command{
		Name:      tool,
		Usage:     "convert a configuration of " + tool + " to a pipeline",
		ArgsUsage: "FILE|DIR",
		Description: "Reads " + importer.Reads() + ", and writes a pipeline with its data. Lists what it\n" +
			"cannot convert, with file and line. Does not run anything or call a model.",
	}
	return command(ui, c, &arguments.Import{Tool: tool}, func(_ context.Context, args *arguments.Import) error {
		out := args.Out.Value
		pipeline, err := importer.Import(args.From, out)
		if err != nil {
			return err
		}
		if err := writeImport(pipeline.Files, out, args.Force.Value); err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(describeImport(pipeline, out))
		}
		printImport(ui, pipeline, out)
		return nil
	})
}

// writeImport writes the files of a pipeline. Without force, it writes either
// all of them or none.
func writeImport(files []importers.File, dir string, force bool) error {
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		if _, err := os.Lstat(name); err == nil && !force {
			return diag.Failed(fmt.Sprintf("the file %s already exists", name), "Write to another folder with -out=DIR, or overwrite it with -force.")
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the folder of the pipeline: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
			return fmt.Errorf("write the pipeline: %w", err)
		}
	}
	return nil
}

// describeImport returns what -json prints: the outcome, the files, the number
// of things by their plural names, and the findings.
func describeImport(p *importers.Pipeline, dir string) map[string]any {
	d := map[string]any{"outcome": p.Outcome(), "files": written(p, dir), "findings": slices.Concat([]importers.Finding{}, p.Findings)}
	for _, c := range p.Counts {
		d[c.Of+"s"] = c.N
	}
	return d
}

func written(p *importers.Pipeline, dir string) []string {
	files := make([]string, len(p.Files))
	for i, f := range p.Files {
		files[i] = filepath.Join(dir, f.Name)
	}
	return files
}

func printImport(ui *terminal, p *importers.Pipeline, dir string) {
	list := func(heading string, severity importers.Severity) {
		found := slices.DeleteFunc(slices.Clone(p.Findings), func(f importers.Finding) bool { return f.Severity != severity })
		if len(found) == 0 {
			return
		}
		ui.notef("%s\n", heading)
		for _, line := range importers.Lines(found) {
			ui.notef("  %s\n", line)
		}
		ui.notef("\n")
	}
	list("Not imported:", importers.Lost)
	list("Imported differently:", importers.Note)
	counts := make([]string, len(p.Counts))
	for i, c := range p.Counts {
		counts[i] = english.Count(c.N, c.Of)
	}
	ui.printf("Wrote %s: %s.\n", strings.Join(written(p, dir), " and "), strings.Join(counts, ", "))
	if p.Outcome() == importers.Nothing {
		ui.printf("The pipeline has nothing to run yet.\n")
		return
	}
	ui.printf("Run \"quern plan\" to see what it would run and cost.\n")
}
