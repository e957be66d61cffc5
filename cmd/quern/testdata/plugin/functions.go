package main

import (
	"context"
	"os"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type textArgs struct {
	Text string `quern:"text" doc:"The text."`
}

type joinArgs struct {
	Separator string    `quern:"separator" doc:"What to put between the texts."`
	Texts     []*string `quern:"texts,variadic" doc:"The texts. Null is left out."`
}

type shareArgs struct {
	Part  int64   `quern:"part" doc:"How many."`
	Whole float64 `quern:"whole" doc:"Of how many."`
}

// counted are the words of a text and their number.
type counted struct {
	Words []string `quern:"words"`
	N     int      `quern:"n"`
}

func functions(behavior int64) []plugin.Function {
	return []plugin.Function{
		plugin.NewFunction(plugin.FunctionInfo{
			Name: "normalize", Summary: "Writes a text in lowercase with single spaces.", BehaviorVersion: behavior,
		}, func(_ context.Context, a *textArgs) (string, error) {
			if a.Text == "exit" {
				os.Exit(7)
			}
			return strings.Join(strings.Fields(strings.ToLower(a.Text)), " "), nil
		}),
		plugin.NewFunction(plugin.FunctionInfo{
			Name: "join", Summary: "Joins texts.", BehaviorVersion: 1,
		}, func(_ context.Context, a *joinArgs) (*string, error) {
			var texts []string
			for _, t := range a.Texts {
				if t != nil {
					texts = append(texts, *t)
				}
			}
			if len(texts) == 0 {
				return nil, nil
			}
			joined := strings.Join(texts, a.Separator)
			return &joined, nil
		}),
		plugin.NewFunction(plugin.FunctionInfo{
			Name: "share", Summary: "Divides.", Deprecated: "Write part / whole instead.", BehaviorVersion: 1,
		}, func(_ context.Context, a *shareArgs) (float64, error) {
			if a.Whole == 0 {
				return 0, plugin.ArgumentErrorf("whole", "it is zero")
			}
			return float64(a.Part) / a.Whole, nil
		}),
		plugin.NewFunction(plugin.FunctionInfo{
			Name: "words", Summary: "Counts words.", BehaviorVersion: 1,
		}, func(_ context.Context, a *textArgs) (counted, error) {
			words := strings.Fields(a.Text)
			return counted{words, len(words)}, nil
		}),
	}
}
