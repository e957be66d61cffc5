package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"golang.org/x/term"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner"
)

func consoleCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "console",
		Usage: "evaluate expressions",
		Description: "Reads expressions and prints their values. Expressions can use variables, locals, functions, and the values of\n" +
			"stages in the state. An expression with an open bracket or heredoc continues on the next line. To leave, type\nexit or press Ctrl-D.",
	}
	return command(ui, c, &arguments.Console{}, func(ctx context.Context, args *arguments.Console) error {
		w, err := openWorkspace(ctx, ui, args.Env.Value, &args.Variables, nil)
		if err != nil {
			return err
		}
		defer w.close()
		c, err := newConsole(ctx, w, args)
		if err != nil {
			return err
		}
		if args.Eval.Given() {
			return c.eval(args.Eval.Value)
		}
		return c.loop()
	})
}

type console struct {
	ui     *terminal
	values *planner.Values
	json   bool
}

func newConsole(ctx context.Context, w *workspace, args *arguments.Console) (*console, error) {
	st, err := loadState(w.store, args.Env.Value)
	if err != nil {
		return nil, err
	}
	values, diags := planner.Evaluate(ctx, w.plannerOptions(args.Request(), st))
	if err := w.ui.failed(diags); err != nil {
		if args.Eval.Given() || !term.IsTerminal(int(w.ui.in.Fd())) {
			return nil, err
		}
		w.ui.finish(err) // what does not depend on it can be evaluated
	}
	return &console{ui: w.ui, values: values, json: args.JSON.Value}, nil
}

func (c *console) loop() error {
	lines := c.lines()
	failed := false
	for {
		text, err := expression(lines)
		switch strings.TrimSpace(text) {
		case "":
		case "exit", "quit":
			return nil
		default:
			if evalErr := c.eval(text); evalErr != nil {
				failed = true
				c.ui.finish(evalErr)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	if failed && !term.IsTerminal(int(c.ui.in.Fd())) {
		return exitStatus(exitError)
	}
	return nil
}

func (c *console) eval(text string) error {
	c.ui.sources["<console>"] = []byte(text)
	v, diags := c.values.Eval(text, "<console>")
	if err := c.ui.failed(diags); err != nil {
		return err
	}
	if !c.json || value.IsSensitive(v) || !v.IsWhollyKnown() {
		c.ui.printf("%s\n", value.Format(v))
		return nil
	}
	plain, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return diag.Failed("the value cannot be printed as JSON", "%w", err)
	}
	c.ui.printf("%s\n", jsontext.Plain(plain))
	return nil
}
