package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type splitArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows to split."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"The text to split into words."`
}

// splitter is a transform that produces a row for each word.
type splitter struct{}

// Prepare declares the output. quern repeats the kept columns on each row.
func (splitter) Prepare(_ context.Context, p *plugin.Prepare[splitArgs]) error {
	p.KeepInput("input")
	p.AddColumn("word", "string")
	return nil
}

// FlatMap yields a row for each word.
func (splitter) FlatMap(_ context.Context, a *splitArgs, b *plugin.FlatBatch) error {
	text := b.Strings(a.Text)
	for row := range b.N {
		s, _ := text.At(row)
		for _, word := range strings.Fields(s) {
			b.SetString("word", b.Yield(row), word)
		}
	}
	return nil
}

// A flat mapper produces any number of rows for each row.
func ExampleNewFlatMapper() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "acme_split", BehaviorVersion: 1}, splitter{}),
	}}
	plugintest.Example(func(t testing.TB) {
		got, err := plugintest.FlatMap(t, acme, plugintest.Case{
			Type: "acme_split",
			Args: map[string]any{"text": plugintest.Row("body")},
			Rows: []map[string]any{{"id": 1, "body": "two words"}, {"id": 2, "body": nil}, {"id": 3, "body": "one"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(got.Column("id"), got.Column("word"))
		fmt.Println(got.Counts)
	})
	// Output:
	// [1 1 3] [two words one]
	// [2 0 1]
}
