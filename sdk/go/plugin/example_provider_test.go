package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type shoutArgs struct {
	Limit int `quern:"limit" default:"100" doc:"The maximum length of a message, in bytes."`
}

// shout is a provider whose models repeat the last message in capital letters.
type shout struct{}

// Prepare describes the model. It must not call it.
func (shout) Prepare(_ context.Context, p *plugin.Prepare[shoutArgs]) error {
	p.SetModelInfo(plugin.ModelInfo{MaxConcurrency: 8, Timeout: time.Minute, Retries: 3, Cache: true})
	return nil
}

// Chat makes one attempt. quern retries, caches, and counts.
func (shout) Chat(_ context.Context, a *shoutArgs, r *llm.Request) (*llm.Response, error) {
	last := r.Messages[len(r.Messages)-1].Content
	if len(last) > a.Limit {
		return nil, &llm.CallError{Status: 400, Message: fmt.Sprintf("the message has %d bytes, but only %d are allowed", len(last), a.Limit)}
	}
	return &llm.Response{
		Text: strings.ToUpper(last), FinishReason: llm.FinishStop,
		Usage: llm.Usage{Input: int64(len(last)), Output: int64(len(last))},
	}, nil
}

// A provider calls language models.
func ExampleNewProvider() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewProvider(plugin.Info{Name: "acme_shout", BehaviorVersion: 1}, shout{}),
	}}
	plugintest.Example(func(t testing.TB) {
		model := plugintest.Case{Type: "acme_shout", Args: map[string]any{"limit": 10}}
		got, err := plugintest.Chat(t, acme, model, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "hello"}}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(got.Text)
		_, err = plugintest.Chat(t, acme, model, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "hello, world"}}})
		fmt.Println(err)
	})
	// Output:
	// HELLO
	// status 400: the message has 12 bytes, but only 10 are allowed
}
