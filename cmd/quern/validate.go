package main

import (
	"context"

	"github.com/hashicorp/hcl/v2"
	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/registry"
	"github.com/urfave/cli/v3"
	"github.com/zclconf/go-cty/cty"
)

func validateCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "validate",
		Usage:       "check the configuration without running anything",
		Description: "Reports every error that can be found without reading sources, deployments, or the state.",
	}
	return command(ui, c, &arguments.Validate{}, func(ctx context.Context, args *arguments.Validate) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		diags := validate(ctx, ui)
		return reportValidation(ui, append(diags, validateTests(ui)...), args.JSON.Value)
	})
}

// validate collects the errors of all phases that can be reached.
func validate(ctx context.Context, ui *terminal) hcl.Diagnostics {
	module, diags := readTree(ui, registry.OpenModules(".").Find)
	return validateTree(ctx, ui, module, append(diags, module.CheckVersion(version)...))
}

// validateTree is validate for a configuration that has been read, with the
// diagnostics that were found so far.
func validateTree(ctx context.Context, ui *terminal, module *config.Module, diags hcl.Diagnostics) hcl.Diagnostics {
	if module.Incomplete {
		return diags
	}
	options, _, err := registryOptions(ui, module)
	if err != nil {
		return append(diags, diag.Errorf(nil, "Plugins cannot be used", "%s.", err))
	}
	plugins, more := registry.Open(ctx, options)
	diags = append(diags, more...)
	if more.HasErrors() {
		return diags
	}
	defer func() {
		if ctx.Err() != nil {
			plugins.Kill()
		}
		plugins.Close()
	}()
	variables := assumedVariables(module)
	ui.conceal(variables)
	return diag.Merge(diags, planner.Validate(ctx, planner.Options{
		Module: module, Variables: variables, Once: true, Plugins: plugins, Pins: plugins.Pins(), QuernVersion: version, StartedIn: ui.startedIn,
	}))
}

// validateTests checks the test files, if there are any.
func validateTests(ui *terminal) hcl.Diagnostics {
	if len(testfile.FileNames(".")) == 0 {
		return nil
	}
	module, _ := readTree(ui, registry.OpenModules(".").Find)
	_, diags := checkedTests(ui, module)
	return diags
}

func reportValidation(ui *terminal, diags hcl.Diagnostics, asJSON bool) error {
	if asJSON {
		err := ui.json(map[string]any{"valid": !diags.HasErrors(), "diagnostics": diag.JSON(diags, ui.sources, diag.PrintOptions{Redact: ui.secrets.Text})})
		if err == nil && diags.HasErrors() {
			return exitStatus(exitError)
		}
		return err
	}
	if err := ui.failed(diags); err != nil {
		return err
	}
	ui.printf("The configuration is valid.\n")
	return nil
}

// assumedVariables returns placeholders for values that are not set yet: the
// defaults, and unknown values of the declared types.
func assumedVariables(module *config.Module) map[string]cty.Value {
	values := make(map[string]cty.Value, len(module.Variables))
	for name, v := range module.Variables {
		val := v.Default
		if v.Required() {
			val = cty.UnknownVal(v.Type.WithoutOptionalAttributesDeep())
		}
		if v.Sensitive {
			val = val.Mark(value.Sensitive{Variable: name})
		}
		values[name] = val
	}
	return values
}
