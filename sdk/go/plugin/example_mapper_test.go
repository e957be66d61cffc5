package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type countArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"The text whose words are counted."`
	Max   int64          `quern:"max" default:"1000" doc:"A text with more words fails."`
}

// wordCounter is a labeler that counts words.
type wordCounter struct{}

// Prepare declares the output: the input's columns and one more, named like the
// block.
func (wordCounter) Prepare(_ context.Context, p *plugin.Prepare[countArgs]) error {
	if p.Known("max") && p.Args.Max < 1 {
		p.Errorf("max", "max must be at least 1\nIt is %d.", p.Args.Max)
	}
	p.KeepInput("input")
	p.AddColumn(p.Name(), "int64")
	return nil
}

// Map fills the new column. Values that it does not set are null.
func (wordCounter) Map(_ context.Context, a *countArgs, b *plugin.Batch) error {
	text := b.Strings(a.Text)
	for row := range b.N {
		s, ok := text.At(row)
		if !ok {
			continue
		}
		n := int64(len(strings.Fields(s)))
		if n > a.Max {
			b.Fail(row, false, fmt.Errorf("the text has %d words, but only %d are allowed", n, a.Max))
			continue
		}
		b.SetInt(b.Name(), row, n)
	}
	return nil
}

// A mapper adds columns to rows.
func ExampleNewMapper() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "acme_words", BehaviorVersion: 1}, wordCounter{}),
	}}
	plugintest.Example(func(t testing.TB) {
		got, err := plugintest.Map(t, acme, plugintest.Case{
			Type: "acme_words",
			Name: "words",
			Args: map[string]any{"text": plugintest.Row("body"), "max": 3},
			Rows: []map[string]any{{"body": "two words"}, {"body": nil}, {"body": "these are four words"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(got.Column("words"))
		fmt.Println(got.Failures)
	})
	// Output:
	// [2 <nil> <nil>]
	// map[2:the text has 4 words, but only 3 are allowed]
}
