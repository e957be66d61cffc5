package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/registry/scaffold"
	"github.com/urfave/cli/v3"
)

func pluginCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:     "plugin",
		Usage:    "list plugins, print their reference, and create new ones",
		Commands: []*cli.Command{pluginListCommand(ui), pluginDocsCommand(ui), pluginNewCommand(ui)},
	}
}

func pluginListCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list plugins and the types that they offer",
		Flags: []cli.Flag{jsonFlag},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			plugins, err := pluginsHere(ctx, ui)
			if err != nil {
				return err
			}
			defer plugins.Close()
			types, err := plugins.Types(ctx)
			if err != nil {
				return err
			}
			if cmd.Bool("json") {
				return ui.json(types)
			}
			var rows [][]string
			for _, t := range types {
				rows = append(rows, []string{t.Kind, t.Name, t.Plugin, t.Version, t.Summary})
			}
			return ui.table([]string{"KIND", "TYPE", "PLUGIN", "VERSION", "DESCRIPTION"}, rows)
		},
	}
}

func pluginDocsCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:      "docs",
		Usage:     "print the reference of a plugin's types as Markdown",
		ArgsUsage: "[PLUGIN]",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			plugins, err := pluginsHere(ctx, ui)
			if err != nil {
				return err
			}
			defer plugins.Close()
			return plugins.Reference(ctx, ui.out, cmd.Args().First())
		},
	}
}

// pluginsHere are the built-in plugins and those that the pipeline of this
// folder requires, if there is one.
func pluginsHere(ctx context.Context, ui *terminal) (*registry.Registry, error) {
	module, diags := config.Load(".")
	ui.sources = module.Sources
	if diags.HasErrors() && len(module.Sources) > 0 {
		return nil, diagnosed{diags}
	}
	plugins, _, err := openRegistry(ctx, ui, module)
	return plugins, err
}

func pluginNewCommand(ui *terminal) *cli.Command {
	kinds := []string{"source", "transform", "label", "train", "evaluate", "deploy"}
	return &cli.Command{
		Name:        "new",
		Usage:       "create a working plugin with a test",
		ArgsUsage:   "KIND NAME",
		Description: "Writes a Go module for a plugin with one type, and a test that runs the plugin.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "write to the folder `DIR` (default: quern-plugin-NAME)"},
			&cli.StringFlag{Name: "replace", Usage: "build against quern's source in the folder `DIR` instead of a release"},
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			given, err := arguments(cmd, 2, 2, "a kind and a name")
			if err != nil {
				return err
			}
			kind, name := given[0], given[1]
			if !slices.Contains(kinds, kind) {
				return fmt.Errorf("unknown kind %q\nThe kinds are %s.%s", kind, strings.Join(kinds, ", "), diag.Suggest(kind, kinds))
			}
			dir := cmd.String("dir")
			if dir == "" {
				dir = "quern-plugin-" + name
			}
			files, err := scaffold.Write(dir, scaffold.Options{Kind: kind, Name: name, Replace: cmd.String("replace")})
			if err != nil {
				return err
			}
			for _, f := range files {
				ui.printf("%s\n", filepath.Join(dir, f))
			}
			ui.printf("\nTo try it:\n    cd %s && go mod tidy && go test ./...\n", dir)
			return nil
		},
	}
}
