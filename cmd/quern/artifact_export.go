package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/ui/export"
)

func artifactExportCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "export",
		Usage:     "copy an artifact out of the store",
		ArgsUsage: "ADDRESS[.PORT]|DIGEST [DIR]",
		Description: "Writes a whole artifact to DIR, which must be empty or new: a dataset as Parquet, a model or report as its\n" +
			"files. With -format or -o, writes the rows of a dataset as JSON Lines, CSV, or Parquet to a file, to standard\n" +
			"output, or, with -rows-per-file, to several files in DIR. JSON Lines and CSV are compressed if the name of the\n" +
			"file ends in .gz or .zst.",
	}
	return command(ui, c, &arguments.ArtifactExport{}, func(ctx context.Context, args *arguments.ArtifactExport) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		if args.Rows == export.Parquet && args.File == "" && args.Dir == "" && term.IsTerminal(int(ui.out.Fd())) {
			return &diag.Error{Summary: "Parquet cannot be printed to a terminal", Detail: "Write it to a file with -o FILE, or redirect standard output."}
		}
		s, found, err := artifactHere(ui, args.Env.Value, args.Artifact)
		if err != nil {
			return err
		}
		return exportArtifact(ctx, ui, args, s, found)
	})
}

func exportArtifact(ctx context.Context, ui *terminal, args *arguments.ArtifactExport, s *store.Store, found inspect.Artifact) error {
	if args.Rows == "" {
		if err := artifact.Export(ctx, s.Blobs, found.Ref, args.Dir); err != nil {
			return diag.Failed(found.Name()+" cannot be exported", "%w", err)
		}
		ui.printf("Exported %s to %s.\n", found.Name(), args.Dir)
		return nil
	}
	a, err := artifact.Get(s.Blobs, found.Ref)
	if err != nil {
		return err
	}
	if a.Dataset == nil {
		return diag.Failed(fmt.Sprintf("%s is a %s, which has no rows", found.Name(), found.Ref.Kind), "To export its files, run: quern artifact export %s DIR", found.Name())
	}
	d, err := inspect.Dataset(s, a)
	if err != nil {
		return err
	}
	err = exportRows(ctx, ui, args, d, found.Name(), a.Dataset.Rows)
	if errors.Is(err, arrowjson.ErrNotFinite) {
		err = fmt.Errorf("%w\nUse -format=parquet, or convert them first, for example to null with transform \"sql\".", err)
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be exported as %s", found.Name(), args.Rows), "%w", err)
	}
	return nil
}

// exportRows writes the rows of a dataset. Only rows go to standard output.
func exportRows(ctx context.Context, ui *terminal, args *arguments.ArtifactExport, d export.Dataset, name string, n int64) error {
	switch {
	case args.Dir != "":
		if err := artifact.EmptyFolder(args.Dir); err != nil {
			return err
		}
		perFile := int64(args.RowsPerFile.Value)
		if perFile == 0 {
			perFile = max(n, 1)
		}
		files, err := export.Files(ctx, args.Dir, args.Rows, d, perFile)
		if err != nil {
			return err
		}
		ui.notef("Wrote %s of %s to %s in %s.\n", english.Count(n, "row"), name, english.Count(len(files), "file"), args.Dir)
		return nil
	case args.File != "":
		err := replaceFile(args.File, 0o666, func(w io.Writer) error { return export.WriteFile(ctx, w, args.File, args.Rows, d) })
		if err == nil {
			ui.notef("Wrote %s of %s to %s.\n", english.Count(n, "row"), name, args.File)
		}
		return err
	}
	return buffered(ui.out, func(w io.Writer) error { return export.Write(ctx, w, args.Rows, d) })
}
