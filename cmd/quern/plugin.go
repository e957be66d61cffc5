package main

import (
	"context"
	"path/filepath"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
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
	c := &cli.Command{
		Name:  "list",
		Usage: "list plugins and the types that they offer",
	}
	return command(ui, c, &arguments.PluginList{}, func(ctx context.Context, args *arguments.PluginList) error {
		plugins, err := pluginsHere(ctx, ui)
		if err != nil {
			return err
		}
		defer plugins.Close()
		types, err := plugins.Types(ctx)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(types)
		}
		var rows [][]string
		for _, t := range types {
			rows = append(rows, []string{t.Kind, t.Name, t.Plugin, t.Version, t.Summary})
		}
		return ui.table([]string{"KIND", "TYPE", "PLUGIN", "VERSION", "DESCRIPTION"}, rows)
	})
}

func pluginDocsCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "docs",
		Usage:     "print the reference of a plugin's types as Markdown",
		ArgsUsage: "[PLUGIN]",
	}
	return command(ui, c, &arguments.PluginDocs{}, func(ctx context.Context, args *arguments.PluginDocs) error {
		plugins, err := pluginsHere(ctx, ui)
		if err != nil {
			return err
		}
		defer plugins.Close()
		return plugins.Reference(ctx, ui.out, args.Plugin)
	})
}

// pluginsHere returns the built-in plugins and, if this folder contains a
// pipeline, those that it requires.
func pluginsHere(ctx context.Context, ui *terminal) (*registry.Registry, error) {
	module, diags := readTree(ui, registry.OpenModules(".").Find)
	if diags.HasErrors() && len(module.Sources) > 0 {
		return nil, diagnosed{diags}
	}
	plugins, _, err := openRegistry(ctx, ui, module)
	return plugins, err
}

func pluginNewCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "new",
		Usage:       "create a working plugin with a test",
		ArgsUsage:   "KIND NAME",
		Description: "Writes a Go module or, with -lang=python, a Python package for a plugin with one type, and a test that runs the\nplugin. In Python, flat_map is a transform that produces any number of rows for each row.",
	}
	return command(ui, c, &arguments.PluginNew{Languages: scaffold.Languages(), Kinds: scaffold.Kinds}, func(_ context.Context, args *arguments.PluginNew) error {
		dir := args.Dir.Value
		if dir == "" {
			dir = "quern-plugin-" + args.Name
		}
		o := scaffold.Options{Language: args.Language.Value, Kind: args.Kind, Name: args.Name, Replace: args.Replace.Value}
		files, err := scaffold.Write(dir, o)
		if err != nil {
			return err
		}
		for _, f := range files {
			ui.printf("%s\n", filepath.Join(dir, f))
		}
		try := "go mod tidy && go test ./..."
		if o.Language == scaffold.Python {
			try = "uv run pytest"
		}
		ui.printf("\nTo try it:\n    cd %s && %s\n", dir, try)
		return nil
	})
}
