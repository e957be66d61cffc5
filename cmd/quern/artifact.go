package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
)

func artifactCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "artifact",
		Usage: "list, show, profile, locate, export, verify, and pin artifacts",
		Commands: []*cli.Command{
			artifactListCommand(ui), artifactShowCommand(ui), artifactProfileCommand(ui), artifactFilesCommand(ui), artifactExportCommand(ui),
			artifactVerifyCommand(ui), artifactPinCommand(ui), artifactUnpinCommand(ui), artifactPinsCommand(ui),
		},
	}
}

func artifactListCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "list",
		Usage: "list the artifacts of an environment",
	}
	return command(ui, c, &arguments.ArtifactList{}, func(_ context.Context, args *arguments.ArtifactList) error {
		s, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(map[string]any{"artifacts": inspect.Artifacts(st)})
		}
		var rows [][]string
		for _, a := range inspect.Artifacts(st) {
			rows = append(rows, []string{a.Name(), a.Ref.Kind, size(s, a.Ref), shortDigest(a.Ref.Digest)})
		}
		return ui.table([]string{"ARTIFACT", "KIND", "SIZE", "DIGEST"}, rows)
	})
}

// size describes the size of an artifact in the unit for its kind.
func size(s *store.Store, ref artifact.Ref) string {
	size, err := inspect.Measure(s, ref)
	switch {
	case err != nil:
		return "damaged"
	case size.Dataset:
		return english.Count(size.Rows, "row")
	}
	return byteSize(size.Bytes)
}

func artifactShowCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "show",
		Usage:     "show an artifact's manifest and, for a dataset, its first rows",
		ArgsUsage: "ADDRESS[.PORT]|DIGEST",
	}
	return command(ui, c, &arguments.ArtifactShow{}, func(ctx context.Context, args *arguments.ArtifactShow) error {
		s, found, err := artifactHere(ui, args.Env.Value, args.Artifact)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			contents, err := inspect.Open(ctx, s, found, args.Rows.Value)
			if err != nil {
				return err
			}
			return ui.json(contents)
		}
		a, err := artifact.Get(s.Blobs, found.Ref)
		if err != nil {
			return err
		}
		ui.printf("%s\n", artifactTitle(found.Name(), found.Ref))
		printArtifact(ui, a, "  ")
		if a.Dataset == nil || args.Rows.Value == 0 {
			return nil
		}
		ui.printf("\n")
		return printRows(ctx, ui, s, a.Dataset, args.Rows.Value)
	})
}

func artifactFilesCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "files",
		Usage:       "print where the files of an artifact are",
		ArgsUsage:   "ADDRESS[.PORT]|DIGEST",
		Description: "Verifies the files of an artifact in the store and prints their paths. With -json, also prints their digests and which\ncolumns of a dataset each Parquet file has. Do not change the files, and read them before the next gc.",
	}
	return command(ui, c, &arguments.ArtifactFiles{}, func(_ context.Context, args *arguments.ArtifactFiles) error {
		s, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		found, err := inspect.FindArtifact(st, args.Artifact)
		if err != nil {
			return err
		}
		files, err := inspect.FilesOf(s, found, args.Columns.Value)
		if err != nil {
			return err
		}
		if args.Verify.Value {
			if err := files.Verify(s); err != nil {
				return err
			}
		}
		if args.JSON.Value {
			return ui.json(files)
		}
		for _, path := range files.Paths() {
			ui.printf("%s\n", path)
		}
		return nil
	})
}

func artifactVerifyCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "verify",
		Usage:       "check artifacts against their digests",
		ArgsUsage:   "[ADDRESS[.PORT]|DIGEST]...",
		Description: "Verifies the named artifacts, or all artifacts of the environment. Damaged files are set aside, and the next\napply recreates them.",
	}
	return command(ui, c, &arguments.ArtifactVerify{}, func(ctx context.Context, args *arguments.ArtifactVerify) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		s, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		wanted, err := inspect.FindArtifacts(st, args.Artifacts...)
		if err != nil {
			return err
		}
		all, err := inspect.Verify(ctx, s, wanted)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			err = ui.json(map[string]any{"artifacts": all})
		} else {
			printVerified(ui, all)
		}
		if err != nil {
			return err
		}
		return notWhole(all, s)
	})
}

// notWhole returns the error for artifacts that are damaged or missing.
func notWhole(all []inspect.Verified, s *store.Store) error {
	n := map[inspect.Health]int{}
	for _, v := range all {
		n[v.Status]++
	}
	var parts []string
	hint := "Run \"quern apply\" to recreate what is missing."
	if n := n[inspect.Damaged]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s of %d damaged", english.Count(n, "artifact"), len(all)))
		hint = fmt.Sprintf("Damaged files were moved to %s/damaged. Run \"quern apply\" to recreate them.", shortPath(s.Dir))
	}
	if n := n[inspect.Missing]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s of %d missing", english.Count(n, "artifact"), len(all)))
	}
	if len(parts) == 0 {
		return nil
	}
	return &diag.Error{Summary: strings.Join(parts, ", "), Detail: hint}
}

func printVerified(ui *terminal, all []inspect.Verified) {
	for _, v := range all {
		ui.printf("%-9s %s\n", v.Status, v.Name())
		for _, e := range v.Errors {
			ui.printf("          %s\n", e)
		}
	}
}

func artifactTitle(name string, ref artifact.Ref) string {
	if name == "" {
		return ref.Kind + " " + ref.Digest
	}
	return name + ": " + ref.Kind + " " + ref.Digest
}

// printArtifact describes an artifact from its manifest.
func printArtifact(ui *terminal, a *artifact.Artifact, margin string) {
	if a.Dataset != nil {
		ui.printf("%s%s in %s\n", margin, english.Count(a.Dataset.Rows, "row"), english.Count(len(a.Dataset.Shards), "shard"))
		for _, c := range a.Dataset.Schema {
			ui.printf("%s%s %s\n", margin, printable.Pad(c.Name, 20), c.Type)
		}
	}
	if a.ModelFormat != "" {
		ui.printf("%sformat %s\n", margin, a.ModelFormat)
	}
	for _, f := range a.Files {
		ui.printf("%s%s %10s  %s\n", margin, printable.Pad(f.Name, 20), byteSize(f.Size), shortDigest(f.Digest))
	}
}

func shortDigest(d string) string {
	if len(d) > 19 {
		return d[:19]
	}
	return d
}

func byteSize(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// indent puts margin before each line, and ends the last line with a line
// break.
func indent(text, margin string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return margin + strings.Join(lines, "\n"+margin) + "\n"
}
