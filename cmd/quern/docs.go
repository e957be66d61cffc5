package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/docs"
	"github.com/quern-dev/quern/store/disk"
)

func docsCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "docs",
		Usage:     "describe a module in its README",
		ArgsUsage: "[DIR]",
		Description: "Writes the inputs, outputs, requirements, and blocks of the module in a folder (default: the current one) to its\n" +
			"README.md, between the lines " + docs.Begin + " and " + docs.End + ". If the file has no such lines, they\n" +
			"are added at its end. Everything else in the file stays as it is.",
	}
	return command(ui, c, &arguments.Docs{}, func(_ context.Context, args *arguments.Docs) error { return describe(ui, args) })
}

func describe(ui *terminal, args *arguments.Docs) error {
	module, diags := config.Load(args.Dir)
	ui.sources = module.Sources
	if err := ui.failed(diags); err != nil {
		return err
	}
	path := filepath.Join(args.Dir, args.File.Value)
	was, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diag.Failed(fmt.Sprintf("%s cannot be read", path), "%w", err)
	}
	now, err := docs.Insert(was, docs.Markdown(module))
	switch {
	case err != nil:
		return diag.Failed(fmt.Sprintf("%s cannot be updated", path), "%w", err)
	case bytes.Equal(was, now):
		return nil
	case args.Check.Value:
		return diag.Failed(fmt.Sprintf("%s is out of date", path), "Run \"quern docs %s\", and commit the file.", args.Dir)
	}
	if err := disk.Replace(path, bytes.NewReader(now), 0o644); err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be written", path), "%w", err)
	}
	ui.printf("%s\n", path)
	return nil
}
