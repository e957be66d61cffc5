package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quern-dev/quern/registry"
	"github.com/urfave/cli/v3"
)

func initCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "find the required plugins and pin them",
		Description: "Finds the plugins in required_plugins, and writes their versions and checksums to .quern.lock.hcl. Keep that file\n" +
			"in version control: quern does not start a plugin with a different checksum. Versions stay pinned until you use\n-upgrade.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "upgrade", Usage: "choose the newest versions that the constraints allow, even if others are pinned"},
			&cli.StringFlag{Name: "from", Usage: "start from the example `NAME`: " + strings.Join(exampleNames(), ", ")},
			&cli.StringFlag{Name: "lockfile", Usage: "with `MODE` readonly, fail if the lock file would change (for CI)"},
			jsonFlag,
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			ctx, cancel := interruptible(ctx)
			defer cancel()
			how := registry.InitOptions{Upgrade: cmd.Bool("upgrade"), ReadOnly: cmd.String("lockfile") == "readonly"}
			if mode := cmd.String("lockfile"); mode != "" && !how.ReadOnly {
				return fmt.Errorf("-lockfile=%s is not a valid mode\nThe only mode is readonly.", mode)
			}
			if how.Upgrade && how.ReadOnly {
				return errors.New("-upgrade and -lockfile=readonly cannot be combined")
			}
			if cmd.IsSet("from") {
				if err := writeExample(ui, cmd.String("from")); err != nil {
					return err
				}
			}
			module, err := loadModule(ctx, ui)
			if err != nil {
				return err
			}
			if _, err := openStore(); err != nil {
				return err
			}
			options, _, err := registryOptions(ui, module)
			if err != nil {
				return err
			}
			pinned, diags := registry.Init(ctx, options, how)
			if err := ui.failed(diags); err != nil {
				return err
			}
			if cmd.Bool("json") {
				return ui.json(map[string]any{"plugins": append([]registry.Pinned{}, pinned...)})
			}
			for _, p := range pinned {
				ui.printf("- %s %s (%s)\n", p.Name, p.Version, p.Change)
			}
			ui.printf("The pipeline is ready. Run \"quern plan\" to see what it would do.\n")
			return nil
		},
	}
}
