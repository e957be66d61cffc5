package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner"
	"github.com/urfave/cli/v3"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"golang.org/x/term"
)

func consoleCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "console",
		Usage: "evaluate expressions",
		Description: "Reads expressions and prints their values. Expressions can use variables, locals, functions, and the values of\n" +
			"stages in the state. An expression with an open bracket or heredoc continues on the next line. To leave, type\nexit or press Ctrl-D.",
		Flags: slices.Concat(environmentFlags(), variableFlags(), []cli.Flag{
			&cli.StringFlag{Name: "eval", Usage: "evaluate `EXPRESSION` and exit"}, jsonFlag,
		}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			w, err := openWorkspace(ctx, ui, cmd)
			if err != nil {
				return err
			}
			defer w.close()
			c, err := newConsole(ctx, w, cmd)
			if err != nil {
				return err
			}
			if cmd.IsSet("eval") {
				return c.eval(cmd.String("eval"))
			}
			return c.loop()
		},
	}
}

type console struct {
	ui     *terminal
	values *planner.Values
	json   bool
}

func newConsole(ctx context.Context, w *workspace, cmd *cli.Command) (*console, error) {
	st, err := loadState(w.store, cmd.String("env"))
	if err != nil {
		return nil, err
	}
	opts, err := w.plannerOptions(cmd, st)
	if err != nil {
		return nil, err
	}
	values, diags := planner.Evaluate(ctx, opts)
	if err := w.ui.failed(diags); err != nil {
		return nil, err
	}
	return &console{ui: w.ui, values: values, json: cmd.Bool("json")}, nil
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
		return fmt.Errorf("the value cannot be printed as JSON\n%w", err)
	}
	c.ui.printf("%s\n", jsontext.Plain(plain))
	return nil
}
