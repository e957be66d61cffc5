// Program quern-plugin-bench is the trivial row-wise plugin for the benchmark,
// so that the cost measured is quern's own.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type arguments struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"Text to look at."`
	Tally string         `quern:"tally,operational" doc:"A file to which the size of each batch is appended, one line each."`
}

type labeler struct{}

// Concurrency allows a batch to arrive while another is in progress.
func (labeler) Concurrency() int { return 2 }

func (labeler) Prepare(_ context.Context, p *plugin.Prepare[arguments]) error {
	p.KeepInput("input")
	p.AddColumn("topic", "string")
	return nil
}

func (labeler) Map(_ context.Context, args *arguments, b *plugin.Batch) error {
	texts := b.Strings(args.Text)
	for row := range b.N {
		text, ok := texts.At(row)
		if !ok {
			continue
		}
		b.SetString("topic", row, label(text))
	}
	return tally(args.Tally, b.N)
}

var labels = [...]string{"card", "cash", "transfer", "identity"}

func label(text string) string {
	if text == "" {
		return labels[0]
	}
	return labels[text[len(text)/2]%4]
}

func tally(path string, rows int) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, rows)
	return err
}

func main() {
	plugin.Serve(plugin.Plugin{Name: "bench", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "bench_topic", Doc: "Labels a row by one of its letters.", BehaviorVersion: 1}, labeler{}),
	}})
}
