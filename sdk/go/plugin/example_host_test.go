package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type askArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"The text to send to the model."`
	Model plugin.Model   `quern:"model,required" doc:"The model to ask."`
}

// modelLabeler is a labeler that asks a model about each row.
type modelLabeler struct{}

// Prepare also declares the requests, so that plans can show their cost.
func (modelLabeler) Prepare(_ context.Context, p *plugin.Prepare[askArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	p.AddModelCalls(plugin.ModelCalls{Prompt: "text", Model: "model", PerRow: 1})
	return nil
}

// BatchRows and Concurrency keep many requests open, and save results early.
func (modelLabeler) BatchRows() int   { return 1 }
func (modelLabeler) Concurrency() int { return 64 }

// Map asks the model through the host.
func (modelLabeler) Map(ctx context.Context, a *askArgs, b *plugin.Batch) error {
	text := b.Strings(a.Text)
	for row := range b.N {
		s, _ := text.At(row)
		request := &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: s}}}
		response, err := b.Host().Chat(ctx, a.Model, request, 0)
		var failed *llm.CallError
		switch {
		case errors.As(err, &failed):
			b.Fail(row, failed.Temporary, failed) // this one request failed
		case err != nil:
			return err // the run stops, for example because its budget is spent
		default:
			b.SetString(b.Name(), row, response.Text)
		}
		b.ReportDone()
	}
	return nil
}

// A mapper asks language models through the host.
func ExampleHost_Chat() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "acme_ask", BehaviorVersion: 1}, modelLabeler{}),
	}}
	plugintest.Example(func(t testing.TB) {
		got, err := plugintest.Map(t, acme, plugintest.Case{
			Type: "acme_ask",
			Name: "answer",
			Args: map[string]any{"text": plugintest.Row("question"), "model": plugintest.FakeChat(strings.ToUpper)},
			Rows: []map[string]any{{"question": "why?"}, {"question": "how?"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(got.Column("answer"))
	})
	// Output:
	// [WHY? HOW?]
}
