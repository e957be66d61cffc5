package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quern-dev/quern/lang/promptfoo"
	"github.com/urfave/cli/v3"
)

func importCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:     "import",
		Usage:    "turn another tool's configuration into a pipeline",
		Commands: []*cli.Command{importPromptfooCommand(ui)},
	}
}

func importPromptfooCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:      "promptfoo",
		Usage:     "turn a configuration of promptfoo into a pipeline",
		ArgsUsage: "FILE|DIR",
		Description: "Reads promptfooconfig.yaml and what it refers to, and writes a *.quern.hcl file and the test cases as\n" +
			"rows. What could not be carried over is listed with its file and line. Nothing is run or called.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "write into the folder `DIR`", Value: "."},
			&cli.BoolFlag{Name: "force", Usage: "write over files that are there"},
			jsonFlag,
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			from, err := oneArgument(cmd, "a configuration of promptfoo or its folder")
			if err != nil {
				return err
			}
			out := cmd.String("out")
			made, err := promptfoo.Import(from, out)
			if err != nil {
				return err
			}
			if err := writeImport(made.Files, out, cmd.Bool("force")); err != nil {
				return err
			}
			if cmd.Bool("json") {
				return ui.json(describeImport(made, out))
			}
			printImport(ui, made, out)
			return nil
		},
	}
}

// writeImport writes the files of a pipeline; without force, either all of
// them or none.
func writeImport(files []promptfoo.File, dir string, force bool) error {
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		if _, err := os.Lstat(name); err == nil && !force {
			return fmt.Errorf("the file %s is there already\nWrite into another folder with -out=DIR, or over it with -force.", name)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the pipeline: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
			return fmt.Errorf("write the pipeline: %w", err)
		}
	}
	return nil
}

// importDescription is what -json prints.
type importDescription struct {
	Outcome  promptfoo.Outcome   `json:"outcome"`
	Files    []string            `json:"files"`
	Models   int                 `json:"models"`
	Prompts  int                 `json:"prompts"`
	Subjects int                 `json:"subjects"`
	Rows     int                 `json:"rows"`
	Metrics  int                 `json:"metrics"`
	Findings []promptfoo.Finding `json:"findings"`
}

func describeImport(r *promptfoo.Result, dir string) importDescription {
	d := importDescription{
		Outcome: r.Outcome(), Models: r.Models, Prompts: r.Prompts, Subjects: r.Subjects, Rows: r.Rows, Metrics: r.Metrics,
		Findings: r.Findings,
	}
	for _, f := range r.Files {
		d.Files = append(d.Files, filepath.Join(dir, f.Name))
	}
	if d.Findings == nil {
		d.Findings = []promptfoo.Finding{}
	}
	return d
}

func printImport(ui *terminal, r *promptfoo.Result, dir string) {
	list := func(heading string, severity promptfoo.Severity) {
		var found []promptfoo.Finding
		for _, f := range r.Findings {
			if f.Severity == severity {
				found = append(found, f)
			}
		}
		if len(found) == 0 {
			return
		}
		ui.notef("%s\n", heading)
		for _, line := range promptfoo.Lines(found) {
			ui.notef("  %s\n", line)
		}
		ui.notef("\n")
	}
	list("Not carried over:", promptfoo.Lost)
	list("Carried over otherwise:", promptfoo.Note)
	d := describeImport(r, dir)
	ui.printf("Wrote %s: %s, %s, %s, %s, %s.\n", strings.Join(d.Files, " and "),
		counted(d.Models, "model"), counted(d.Prompts, "prompt"), counted(d.Subjects, "subject"), counted(d.Rows, "row"), counted(d.Metrics, "metric"))
	if r.Outcome() == promptfoo.Nothing {
		ui.printf("There is nothing to evaluate in it yet.\n")
		return
	}
	ui.printf("Run quern plan to see what evaluating it would cost.\n")
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
