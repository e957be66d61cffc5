package plugin_test

import (
	"context"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type padArgs struct {
	Text  string  `quern:"text" doc:"The text."`
	Width int     `quern:"width" doc:"The least number of bytes of the result."`
	With  *string `quern:"with" doc:"What to add on the left; null: spaces."`
}

// A function that expressions can call as acme::pad(row.id, 8, null).
func ExampleNewFunction() {
	pad := plugin.NewFunction(plugin.FunctionInfo{
		Name: "pad", Summary: "Makes a text longer.", BehaviorVersion: 1,
	}, func(_ context.Context, a *padArgs) (string, error) {
		with := " "
		if a.With != nil {
			with = *a.With
		}
		if len(with) != 1 {
			return "", plugin.ArgumentErrorf("with", "it must be a single character")
		}
		return strings.Repeat(with, max(0, a.Width-len(a.Text))) + a.Text, nil
	})
	plugin.Serve(plugin.Plugin{Name: "acme", Version: "1.0.0", Functions: []plugin.Function{pad}})
}
