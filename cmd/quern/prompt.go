package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/preview"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/responses"
)

// showPrompt prints the request that a prompt renders for a row of its dataset.
// It calls no model.
func showPrompt(ctx context.Context, ui *terminal, args *arguments.Show) error {
	format, err := shownAs(args, arguments.ShownPrompt)
	if err != nil {
		return err
	}
	p, st, err := planHere(ctx, ui, args.Request())
	if err != nil {
		return err
	}
	address, row := args.Subject, args.Row.Value
	use, err := chosenUse(p, address, args.Stage.Value)
	if err != nil {
		return err
	}
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	req, err := requestOf(ctx, ui, use, preview.From{Plan: p, State: st, Store: s}, int64(row))
	if err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be shown for row %d", address, row), "%w", err)
	}
	if format == "json" {
		return ui.json(req)
	}
	ui.printf("%s for row %d of %s\n", address, row, use.Node.Address)
	printRequest(ui, req)
	if added := use.Node.Added[use.Argument]; added != "" {
		ui.printf("\n── added by %s\n%s\n", use.Node.Address, strings.TrimRight(added, "\n"))
	}
	return nil
}

// requestOf returns the request that would be sent. If its examples cannot be
// selected without calling a model, it says so.
func requestOf(ctx context.Context, ui *terminal, use preview.Use, from preview.From, row int64) (req *llm.Request, err error) {
	var cache *responses.Cache
	from.Answers = func() (*responses.Cache, error) {
		var err error
		if from.Store.HasResponses() {
			cache, err = from.Store.Responses(func(err error) { ui.notef("%s\n", err) })
		}
		return cache, err
	}
	req, err = use.Request(ctx, from, row)
	if cache != nil {
		err = errors.Join(err, cache.Close())
	}
	var unknown *preview.Unknown
	if errors.As(err, &unknown) && req != nil {
		ui.diagnose(hcl.Diagnostics{{
			Severity: hcl.DiagWarning, Summary: "Examples are left out", Detail: unknown.Reason, Subject: use.Node.RangeOf(use.Argument),
		}})
		return req, nil
	}
	return req, err
}

// chosenUse returns the use of a prompt in the named stage, or the first use.
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
		return preview.Use{}, diag.Failed(fmt.Sprintf("No stage uses %s as a prompt", prompt), "A prompt is filled in with the rows of a stage that uses it.")
	}
	return preview.Use{}, diag.Failed(prompt+" is not used by "+stage, "It is used by %s.", strings.Join(stages, ", "))
}

func printRequest(ui *terminal, req *llm.Request) {
	for _, m := range req.Messages {
		ui.printf("\n── %s\n%s\n", m.Role, strings.TrimRight(m.Content, "\n"))
	}
	for _, t := range req.Tools {
		ui.printf("\n── tool %s\n%s\n%s\n", t.Name, t.Description, t.Parameters)
	}
	if req.Output != nil {
		ui.printf("\n── output must match\n%s\n", req.Output.Schema)
	}
}
