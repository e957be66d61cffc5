package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/ui/export"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"
)

func artifactExportCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "copy an artifact out of the store",
		ArgsUsage: "ADDRESS[.PORT]|DIGEST [DIR]",
		Description: "Writes a whole artifact to DIR, which must be empty or new: a dataset as Parquet, a model or report as its\n" +
			"files. With -format or -o, writes the rows of a dataset as JSON Lines, CSV, or Parquet to a file, to standard\n" +
			"output, or, with -rows-per-file, to several files in DIR.",
		Flags: append(environmentFlags(),
			&cli.StringFlag{Name: "format", Usage: "write rows as jsonl, csv, or parquet (default: from the extension of the -o file)"},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write rows to `FILE`; - is standard output, which is the default with -format"},
			&cli.IntFlag{Name: "rows-per-file", Usage: "write files of at most `N` rows to DIR", Validator: atLeast(1)}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			ctx, cancel := interruptible(ctx)
			defer cancel()
			given, err := arguments(cmd, 1, 2, "an artifact and an optional folder")
			if err != nil {
				return err
			}
			to, err := destinationOf(ui, cmd, given[1:])
			if err != nil {
				return err
			}
			s, st, err := stateHere(cmd)
			if err != nil {
				return err
			}
			found, err := findArtifact(st, given[0])
			if err != nil {
				return err
			}
			return to.export(ctx, ui, s, found)
		},
	}
}

// destination is where an artifact is exported to, and in which form.
type destination struct {
	format      export.Format // empty: the whole artifact
	dir, file   string        // one of them; neither: standard output
	rowsPerFile int
}

// destinationOf reads the flags of an export. dir is the second argument, if any.
func destinationOf(ui *terminal, cmd *cli.Command, dir []string) (destination, error) {
	to := destination{format: export.Format(cmd.String("format")), file: cmd.String("out"), rowsPerFile: cmd.Int("rows-per-file")}
	to.dir = strings.Join(dir, "")
	if to.format == "" && to.file != "" {
		to.format = export.Format(strings.TrimPrefix(filepath.Ext(to.file), "."))
	}
	switch {
	case to.dir != "" && to.file != "":
		return to, errors.New("-o and a folder cannot be combined\nUse -o for one file, or a folder with -rows-per-file for several.")
	case to.rowsPerFile > 0 && (to.dir == "" || to.format == ""):
		return to, errors.New("-rows-per-file needs -format and a folder\nFor example: quern artifact export source.a out -format=jsonl -rows-per-file=100000")
	case to.dir == "" && to.format == "" && to.file == "":
		return to, fmt.Errorf("quern artifact export needs a folder or a format\nGive a folder for the whole artifact, or use -format=%s for the rows of a dataset.", strings.Join(export.Formats, "|"))
	case to.dir != "" && to.format == "":
		return to, nil
	case !slices.Contains(export.Formats, string(to.format)):
		return to, fmt.Errorf("rows cannot be exported as %q\nUse -format=%s.", to.format, strings.Join(export.Formats, "|"))
	}
	if to.file == "-" {
		to.file = ""
	}
	if to.format == export.Parquet && to.file == "" && to.dir == "" && term.IsTerminal(int(ui.out.Fd())) {
		return to, errors.New("Parquet cannot be printed to a terminal\nWrite it to a file with -o FILE, or redirect standard output.")
	}
	return to, nil
}

func (to destination) export(ctx context.Context, ui *terminal, s *store.Store, found standing) error {
	if to.format == "" {
		if err := artifact.Export(ctx, s.Blobs, found.Ref, to.dir); err != nil {
			return err
		}
		ui.printf("Exported %s to %s.\n", found.name(), to.dir)
		return nil
	}
	a, err := artifact.Get(s.Blobs, found.Ref)
	if err != nil {
		return err
	}
	if a.Dataset == nil {
		return fmt.Errorf("%s is a %s, which has no rows\nTo export its files, run: quern artifact export %s DIR", found.name(), found.Ref.Kind, found.name())
	}
	d, err := exportedDataset(s, a)
	if err != nil {
		return err
	}
	if err := to.rows(ctx, ui, d, found.name(), a.Dataset.Rows); err != nil {
		return fmt.Errorf("%s cannot be exported as %s\n%w", found.name(), to.format, err)
	}
	return nil
}

// rows writes the rows of a dataset. Nothing but rows goes to standard output.
func (to destination) rows(ctx context.Context, ui *terminal, d export.Dataset, name string, n int64) error {
	switch {
	case to.dir != "":
		if err := artifact.EmptyFolder(to.dir); err != nil {
			return err
		}
		perFile := int64(to.rowsPerFile)
		if perFile == 0 {
			perFile = max(n, 1)
		}
		files, err := export.Files(ctx, to.dir, to.format, d, perFile)
		if err != nil {
			return err
		}
		ui.notef("Wrote %s of %s to %s in %s.\n", english.Count(n, "row"), name, english.Count(len(files), "file"), to.dir)
		return nil
	case to.file != "":
		err := replaceFile(to.file, func(f *os.File) error {
			return buffered(f, func(w io.Writer) error { return export.Write(ctx, w, to.format, d) })
		})
		if err == nil {
			ui.notef("Wrote %s of %s to %s.\n", english.Count(n, "row"), name, to.file)
		}
		return err
	}
	return buffered(ui.out, func(w io.Writer) error { return export.Write(ctx, w, to.format, d) })
}

func buffered(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriterSize(w, 1<<20)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

func exportedDataset(s *store.Store, a *artifact.Artifact) (export.Dataset, error) {
	shards, err := a.Dataset.Files(s.Blobs, nil)
	return export.Dataset{Schema: a.Dataset.Schema, Shards: shards}, err
}
