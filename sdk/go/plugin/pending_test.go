package plugin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type waitArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
}

// waiter is pending for each row once, with its text as the token. Rows without
// a text wait without a token.
type waiter struct{}

func (waiter) Prepare(_ context.Context, p *plugin.Prepare[waitArgs]) error {
	p.KeepInput("input")
	p.AddColumn("echo", "string")
	return nil
}

func (waiter) Map(_ context.Context, a *waitArgs, b *plugin.Batch) error {
	for row := range b.N {
		text, _ := b.String(a.Text, row)
		if token := b.Token(row); token != nil {
			b.SetString("echo", row, string(token))
			continue
		}
		b.SetString("echo", row, "dropped")
		b.SetPending(row, []byte(text), &plugin.Pending{Reason: "wait\xff", CheckAfter: time.Minute})
	}
	return nil
}

func (waiter) BatchRows() int { return 2 } // tokens are those of the batch

func (w waiter) FlatMap(ctx context.Context, a *waitArgs, b *plugin.FlatBatch) error {
	for row := range b.N {
		if b.Token(row) != nil {
			b.SetString("echo", b.Yield(row), string(b.Token(row)))
			continue
		}
		text, _ := b.String(a.Text, row)
		b.SetPending(row, []byte(text), &plugin.Pending{Reason: "wait"})
	}
	return nil
}

func waiting() plugin.Plugin {
	return plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "acme_wait", BehaviorVersion: 1}, waiter{}),
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "acme_wait_flat", BehaviorVersion: 1}, waiter{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "acme_wait_run", BehaviorVersion: 1}, waitRunner{}),
	}}
}

func TestPendingRowsGetTheirTokensBack(t *testing.T) {
	c := plugintest.Case{Type: "acme_wait", Args: map[string]any{"text": plugintest.Row("t")}, Rows: []map[string]any{{"t": "a"}, {"t": nil}, {"t": "c"}, {"t": "d"}}}
	first, err := plugintest.Map(t, waiting(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Pending) != 4 || len(first.Failures) != 0 || first.Rows[2]["echo"] != nil {
		t.Fatalf("%v, %v, %v", first.Pending, first.Failures, first.Rows)
	}
	if p := first.Pending[2]; p.Token != "c" || p.Reason != "wait\uFFFD" || p.CheckAfter != time.Minute {
		t.Errorf("row 2 is %+v", p)
	}
	c.Pending = first.Pending
	second, err := plugintest.Map(t, waiting(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(second.Pending) != 1 || second.Pending[1].Token != "" || second.Rows[0]["echo"] != "a" || second.Rows[3]["echo"] != "d" {
		t.Errorf("then %v, %v", second.Pending, second.Rows)
	}
}

func TestPendingRowsOfAFlatMapperProduceNoRows(t *testing.T) {
	c := plugintest.Case{Type: "acme_wait_flat", Args: map[string]any{"text": plugintest.Row("t")}, Rows: []map[string]any{{"t": "a"}, {"t": "b"}}}
	first, err := plugintest.FlatMap(t, waiting(), c)
	if err != nil || len(first.Pending) != 2 || len(first.Rows) != 0 {
		t.Fatalf("%+v: %v", first, err)
	}
	c.Pending = plugintest.Pending{1: first.Pending[1]}
	second, err := plugintest.FlatMap(t, waiting(), c)
	if err != nil || len(second.Pending) != 1 || second.Counts[0] != 0 || second.Counts[1] != 1 || second.Rows[0]["echo"] != "b" {
		t.Fatalf("then %+v: %v", second, err)
	}
}

func TestTokensThatAreTooLongAreAMistakeOfThePlugin(t *testing.T) {
	_, err := plugintest.Map(t, waiting(), plugintest.Case{
		Type: "acme_wait", Args: map[string]any{"text": plugintest.Row("t")},
		Rows: []map[string]any{{"t": strings.Repeat("x", plugin.TokenBytes+1)}},
	})
	if err == nil || !strings.Contains(err.Error(), "a token of 4097 bytes, but at most 4096 are allowed") {
		t.Errorf("%v", err)
	}
}

// Long tokens do not fit into one message.
func TestManyLongTokensTravelInSeveralMessages(t *testing.T) {
	c := plugintest.Case{Type: "acme_wait", Args: map[string]any{"text": plugintest.Row("t")}}
	for range 400 {
		c.Rows = append(c.Rows, map[string]any{"t": strings.Repeat("x", plugin.TokenBytes)})
	}
	got, err := plugintest.Map(t, waiting(), c)
	if err != nil || len(got.Pending) != 400 || len(got.Pending[399].Token) != plugin.TokenBytes {
		t.Fatalf("%d: %v", len(got.Pending), err)
	}
}

type waitRunner struct{}

func (waitRunner) Prepare(_ context.Context, p *plugin.Prepare[waitArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"job": cty.String}))
	return nil
}

func (waitRunner) Run(_ context.Context, r *plugin.Run[waitArgs]) error {
	at := filepath.Join(r.WorkDir, "job")
	job, err := os.ReadFile(at)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(at, []byte("job 7"), 0o600); err != nil {
			return err
		}
		return &plugin.Pending{Reason: "job 7 is running", CheckAfter: time.Minute}
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"job": cty.StringVal(string(job))}))
	return err
}

func TestAPendingRunContinuesInItsFolder(t *testing.T) {
	c := plugintest.Case{
		Type: "acme_wait_run", Args: map[string]any{"text": plugintest.Row("t")}, Rows: []map[string]any{{"t": "a"}}, WorkDir: t.TempDir(),
	}
	_, err := plugintest.Run(t, waiting(), c)
	if why := (*plugin.Pending)(nil); !errors.As(err, &why) || why.Reason != "job 7 is running" || why.CheckAfter != time.Minute {
		t.Fatalf("the first run ended with %v", err)
	}
	got, err := plugintest.Run(t, waiting(), c)
	if err != nil || got.Value.GetAttr("job").AsString() != "job 7" {
		t.Errorf("the second run: %v, %v", got, err)
	}
}
