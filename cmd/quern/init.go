package main

import (
	"context"
	"errors"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/revision"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/registry"
)

func initCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "init",
		Usage: "install modules, find the required plugins, and pin them",
		Description: "Downloads the modules that module blocks call, finds the plugins in required_plugins, and writes their versions and\n" +
			"checksums to .quern.lock.hcl. Keep that file in version control: quern uses no module and starts no plugin with a\n" +
			"different checksum. Versions stay pinned until you use -upgrade. Other commands download nothing.",
	}
	return command(ui, c, &arguments.Init{Examples: exampleNames(), Systems: ciSystems}, func(ctx context.Context, args *arguments.Init) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		if args.Ref.Given() {
			return initializeRevision(ctx, ui, args)
		}
		return initialize(ctx, ui, args)
	})
}

// initialized is what init did, as -json prints it.
type initialized struct {
	// Files are the files written by -from and -ci. Without these flags, it is nil.
	Files   []string                   `json:"files,omitzero"`
	Modules []registry.InstalledModule `json:"modules,omitempty"`
	Pins    []registry.Pin             `json:"pins,omitempty"`
	Plugins []registry.Pinned          `json:"plugins"`
}

func initialize(ctx context.Context, ui *terminal, args *arguments.Init) error {
	done := initialized{Plugins: []registry.Pinned{}}
	var err error
	if done.Files, err = writeProject(ctx, ui, args); err != nil {
		return err
	}
	how := registry.InitOptions{
		Upgrade: args.Upgrade.Value, ReadOnly: args.ReadOnly,
		Progress: func(line string) { ui.notef("%s\n", line) },
	}
	module, modules, err := installModules(ctx, ui, args.Vendor.Value, how)
	if err != nil {
		return err
	}
	done.Modules = modules
	if _, err := openStore(ui); err != nil {
		return err
	}
	options, _, err := registryOptions(ui, module)
	if err != nil {
		return err
	}
	pinned, diags := registry.Init(ctx, options, how)
	done.Plugins = append(done.Plugins, pinned...)
	if err := ui.failed(diags); err != nil {
		return err
	}
	if err := ui.failed(missingPrograms(ctx, module, options)); err != nil {
		return err
	}
	if done.Pins, err = updatePins(ctx, ui, module, options, args); err != nil {
		return err
	}
	if args.JSON.Value {
		return ui.json(done)
	}
	done.print(ui)
	return nil
}

// writeProject writes the files that -from and -ci ask for, and returns their names.
func writeProject(ctx context.Context, ui *terminal, args *arguments.Init) ([]string, error) {
	if !args.From.Given() && !args.CI.Given() {
		return nil, nil
	}
	written := []string{}
	if args.From.Given() {
		var err error
		if written, err = writeExample(args.From.Value); err != nil {
			return nil, err
		}
	}
	if args.CI.Given() {
		workflows, err := writeCI(ctx, ui, args.CI.Value)
		if err != nil {
			return nil, err
		}
		written = append(written, workflows...)
	}
	return written, nil
}

func (done *initialized) print(ui *terminal) {
	for _, name := range done.Files {
		ui.printf("%s\n", name)
	}
	printModules(ui, done.Modules)
	for _, p := range done.Plugins {
		with := ""
		if p.Python != "" {
			with = " with " + p.Python
		}
		ui.printf("- %s %s%s (%s)\n", p.Name, p.Version, with, p.Change)
	}
	for _, pin := range done.Pins {
		ui.printf("- %s %s\n", pin.Name, pinChange(pin))
	}
	ui.printf("The pipeline is ready. Run \"quern plan\" to see what it would do.\n")
}

func printModules(ui *terminal, modules []registry.InstalledModule) {
	for _, m := range modules {
		ui.printf("- %s (%s)\n", m.Release(), m.Change)
	}
}

// initializeRevision installs the modules that the pipeline of a revision calls, in
// the releases of its own lock file.
func initializeRevision(ctx context.Context, ui *terminal, args *arguments.Init) error {
	repo, err := revision.Open(ctx, ".")
	if err != nil {
		return err
	}
	v, err := repo.Resolve(ctx, args.Ref.Value)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(localDir, 0o777); err != nil { // which the checkout links to
		return err
	}
	var modules []registry.InstalledModule
	err = checkout(ctx, ui, repo, v, func() (err error) {
		how := registry.InitOptions{ReadOnly: true, Progress: func(line string) { ui.notef("%s\n", line) }}
		_, modules, err = installModules(ctx, ui, false, how)
		return err
	})
	switch {
	case errors.Is(err, errNoPipeline):
		ui.notef("%s has no pipeline in this folder, so it has no modules.\n", v)
	case err != nil:
		return err
	}
	if args.JSON.Value {
		return ui.json(map[string]any{"modules": append([]registry.InstalledModule{}, modules...)})
	}
	printModules(ui, modules)
	return nil
}

// installModules reads the configuration and installs the modules that it calls.
func installModules(ctx context.Context, ui *terminal, vendor bool, how registry.InitOptions) (*config.Module, []registry.InstalledModule, error) {
	installation, err := registry.InstallModules(ctx, ".", vendor, how)
	if err != nil {
		return nil, nil, diag.Failed("modules cannot be installed", "%w", err)
	}
	module, err := loadTree(ctx, ui, installation.Find)
	if err != nil {
		return nil, nil, err
	}
	modules, diags := installation.Finish()
	return module, modules, ui.failed(diags)
}

// updatePins removes pins that are no longer used from the lock file, and adds those
// that are missing. With -upgrade, all names are resolved again. The first pin comes
// from a plan: without any, init prepares nothing.
func updatePins(ctx context.Context, ui *terminal, module *config.Module, options registry.Options, args *arguments.Init) ([]registry.Pin, error) {
	plugins, diags := registry.Open(ctx, options)
	if diags.HasErrors() || len(plugins.Pins()) == 0 {
		return nil, nil // a plan reports the errors
	}
	defer plugins.Close()
	variables, diags := vars.Resolve(module, vars.Inputs{Env: os.Environ()})
	complete := !diags.HasErrors()
	if !complete {
		variables = assumedVariables(module)
	}
	ui.conceal(variables)
	o := planner.Options{Module: module, Variables: variables, Plugins: plugins, Pins: plugins.Pins(), QuernVersion: version, StartedIn: ui.startedIn}
	if args.Upgrade.Value {
		o.Pins = nil
	}
	used, unused, diags := planner.Pin(ctx, o)
	switch {
	case args.Upgrade.Value:
		if err := ui.failed(diags); err != nil {
			return nil, err
		}
		unused = plugins.Pins()
	case !complete:
		unused = nil
	}
	changed, diags := registry.SetPins(".", used, unused, args.ReadOnly)
	return changed, ui.failed(diags)
}

func pinChange(p registry.Pin) string {
	switch {
	case p.Before == "":
		return "(pinned to " + p.After + ")"
	case p.After == "":
		return "(no longer used)"
	}
	return "(from " + p.Before + " to " + p.After + ")"
}

// missingPrograms reports once each program of quern that the pipeline needs
// and that is missing.
func missingPrograms(ctx context.Context, module *config.Module, options registry.Options) hcl.Diagnostics {
	plugins, _ := registry.Open(ctx, options) // Init has reported the errors of the others
	defer plugins.Close()
	var diags hcl.Diagnostics
	reported := map[string]bool{}
	for _, s := range module.Stages {
		kind := s.Addr.Kind
		if plugins.Missing(kind, s.Type) == nil || reported[s.Type] {
			continue
		}
		// Another plugin may provide the type.
		if _, _, err := plugins.Type(kind, s.Type, s.Plugin); err != nil {
			reported[s.Type] = true
			diags = append(diags, diag.Errorf(s.TypeRange.Ptr(), "A program of quern is missing", "%s.", diag.Capital(err.Error())))
		}
	}
	return diags
}
