package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/preview"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/urfave/cli/v3"
)

// showPrompt prints what a prompt makes of a row of the dataset that it is used
// over. No model is asked.
func showPrompt(ctx context.Context, ui *terminal, cmd *cli.Command, address string) error {
	p, st, err := planHere(ctx, ui, cmd)
	if err != nil {
		return err
	}
	use, err := chosenUse(p, address, cmd.String("stage"))
	if err != nil {
		return err
	}
	s, err := openStore()
	if err != nil {
		return err
	}
	req, err := use.Request(ctx, s, st, int64(cmd.Int("row")))
	if err != nil {
		return fmt.Errorf("%s cannot be shown for row %d\n%w", address, cmd.Int("row"), err)
	}
	if cmd.Bool("json") {
		return ui.json(req)
	}
	ui.printf("%s for row %d of %s\n", address, cmd.Int("row"), use.Node.Address)
	printRequest(ui, req)
	if added := use.Node.Added[use.Argument]; added != "" {
		ui.printf("\n── added by %s\n%s\n", use.Node.Address, strings.TrimRight(added, "\n"))
	}
	return nil
}

// chosenUse is the use of a prompt in the stage that was named, or the first.
func chosenUse(p *plan.Plan, prompt, stage string) (preview.Use, error) {
	uses := preview.Uses(p, prompt)
	var stages []string
	for _, u := range uses {
		if stage == "" || u.Node.Address == stage {
			return u, nil
		}
		stages = append(stages, u.Node.Address)
	}
	if len(uses) == 0 {
		return preview.Use{}, fmt.Errorf("%s is used by no stage\nA prompt is filled in for the rows of the dataset of a stage that uses it.", prompt)
	}
	return preview.Use{}, errors.New(prompt + " is not used by " + stage + "\nIt is used by " + strings.Join(stages, ", ") + ".")
}

func printRequest(ui *terminal, req *llm.Request) {
	for _, m := range req.Messages {
		ui.printf("\n── %s\n%s\n", m.Role, strings.TrimRight(m.Content, "\n"))
	}
	for _, t := range req.Tools {
		ui.printf("\n── tool %s\n%s\n%s\n", t.Name, t.Description, t.Parameters)
	}
	if req.Output != nil {
		ui.printf("\n── output has to fit\n%s\n", req.Output.Schema)
	}
}
