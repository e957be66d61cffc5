package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/state"
)

func outputCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "output",
		Usage:     "print the outputs of the last apply",
		ArgsUsage: "[NAME]",
	}
	return command(ui, c, &arguments.Output{}, func(_ context.Context, args *arguments.Output) error {
		_, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		if args.Name != "" {
			return printOutput(ui, args, st)
		}
		return printOutputs(ui, args, st)
	})
}

func printOutputs(ui *terminal, args *arguments.Output, st *state.State) error {
	if args.Raw.Value {
		return diag.Failed("-raw needs the name of an output", "The outputs are %s.", diag.List(slices.Sorted(maps.Keys(st.Outputs))))
	}
	if args.JSON.Value {
		all, err := inspect.Outputs(st)
		if err != nil {
			return err
		}
		return ui.json(all)
	}
	if len(st.Outputs) == 0 {
		ui.notef("There are no outputs: none are declared, or nothing has been applied yet.\n")
		return nil
	}
	ui.printf("%s", stateOutputLines(st))
	return nil
}

func printOutput(ui *terminal, args *arguments.Output, st *state.State) error {
	name := args.Name
	o, ok := st.Outputs[name]
	if !ok {
		return diag.Failed(fmt.Sprintf("output %q does not exist", name), "%s", "An output exists once it is declared and applied."+diag.Suggest(name, slices.Sorted(maps.Keys(st.Outputs))))
	}
	if o.Value == nil {
		return diag.Failed(fmt.Sprintf("output %q is sensitive", name), "The state does not store its value.")
	}
	switch {
	case args.JSON.Value:
		plain, err := ctyjson.Marshal(o.Value.Value, o.Value.Type())
		if err != nil {
			return err
		}
		return ui.json(json.RawMessage(jsontext.Plain(plain)))
	case args.Raw.Value:
		return printRaw(ui, name, o.Value.Value)
	}
	ui.printf("%s\n", value.Format(o.Value.Value))
	return nil
}

func printRaw(ui *terminal, name string, v cty.Value) error {
	if v.IsNull() || !v.Type().IsPrimitiveType() {
		return diag.Failed(fmt.Sprintf("output %q is not a string, number, or bool", name), "Print it with -json.")
	}
	_, err := ui.out.WriteString(plainText(v))
	return err
}

func plainText(v cty.Value) string {
	switch v.Type() {
	case cty.String:
		return v.AsString()
	case cty.Bool:
		return fmt.Sprint(v.True())
	}
	return v.AsBigFloat().Text('f', -1)
}

// outputLines formats outputs as HCL assignments, without the values of
// sensitive ones.
func outputLines(outputs map[string]cty.Value) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		text := "(sensitive)"
		if v := outputs[name]; !value.IsSensitive(v) {
			text = value.Format(v)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, text)
	}
	return b.String()
}

func stateOutputLines(st *state.State) string {
	values := make(map[string]cty.Value, len(st.Outputs))
	for name, o := range st.Outputs {
		if o.Value == nil {
			values[name] = cty.StringVal("").Mark(value.Sensitive{Variable: name})
			continue
		}
		values[name] = o.Value.Value
	}
	return outputLines(values)
}
