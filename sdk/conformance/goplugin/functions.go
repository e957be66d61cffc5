package goplugin

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type joinArgs struct {
	Separator string    `quern:"separator" doc:"What is put between the texts."`
	Texts     []*string `quern:"texts,variadic" doc:"The texts."`
}

// join joins texts. Without any, the result is null.
func join(_ context.Context, a *joinArgs) (*string, error) {
	switch a.Separator {
	case "?":
		return nil, plugin.ArgumentErrorf("separator", "it is a question")
	case "!":
		return nil, errors.New("it is an order")
	case "crash":
		os.Exit(7)
	}
	var texts []string
	for _, t := range a.Texts {
		if t != nil {
			texts = append(texts, *t)
		}
	}
	if texts == nil {
		return nil, nil
	}
	joined := strings.Join(texts, a.Separator)
	return &joined, nil
}

type tagged struct {
	Name string   `quern:"name"`
	Tags []string `quern:"tags"`
}

type sameArgs struct {
	Flag  bool    `quern:"flag"`
	Whole int64   `quern:"whole"`
	Real  float64 `quern:"real"`
	Item  tagged  `quern:"item"`
}

// all are the arguments of same, as a result.
type all struct {
	Flag  bool     `quern:"flag"`
	Whole int64    `quern:"whole"`
	Real  float64  `quern:"real"`
	Name  string   `quern:"name"`
	Tags  []string `quern:"tags"`
}

func same(_ context.Context, a *sameArgs) (all, error) {
	return all{a.Flag, a.Whole, a.Real, a.Item.Name, slices.Clone(a.Item.Tags)}, nil
}

type timesArgs struct {
	Text  string `quern:"text"`
	Times int64  `quern:"times"`
}

func repeated(_ context.Context, a *timesArgs) (string, error) {
	return strings.Repeat(a.Text, int(a.Times)), nil
}

func functions() []plugin.Function {
	return []plugin.Function{
		plugin.NewFunction(plugin.FunctionInfo{
			Name: "join", Summary: "Joins texts.", Doc: "Null is left out.", Deprecated: "Write a template instead.", BehaviorVersion: 2,
		}, join),
		plugin.NewFunction(plugin.FunctionInfo{Name: "same", Summary: "Returns its arguments.", BehaviorVersion: 1}, same),
		plugin.NewFunction(plugin.FunctionInfo{Name: "repeat", Summary: "Repeats a text.", BehaviorVersion: 1}, repeated),
	}
}
