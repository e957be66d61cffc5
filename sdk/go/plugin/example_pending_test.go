package plugin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// bureau stands for a service that labels batches of texts some time after they
// were submitted.
type bureau struct {
	mu   sync.Mutex
	jobs []map[string]string // labels by text; empty until the job is done
}

func (s *bureau) submit(texts []string) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, nil)
	return fmt.Sprint("batch_", len(s.jobs))
}

func (s *bureau) result(id string) (labels map[string]string, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(id, "batch_%d", &n); err != nil || n > len(s.jobs) {
		return nil, false
	}
	return s.jobs[n-1], s.jobs[n-1] != nil
}

type bureauArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"The text to label."`
}

// bureauLabeler has texts labeled in batches. It waits for no batch: while one
// is in progress, its rows are pending.
type bureauLabeler struct{ service *bureau }

// Prepare declares the output.
func (bureauLabeler) Prepare(_ context.Context, p *plugin.Prepare[bureauArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

// Map submits new rows and asks about those that were submitted before.
func (l bureauLabeler) Map(_ context.Context, a *bureauArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	var fresh []int
	for row := range b.N {
		text, _ := texts.At(row)
		id := b.Token(row)
		if id == nil {
			fresh = append(fresh, row)
			continue
		}
		labels, done := l.service.result(string(id))
		switch label, ok := labels[text]; {
		case !done:
			wait(b, row, string(id))
		case !ok: // the next attempt submits the row again
			b.Fail(row, false, fmt.Errorf("%s has no label for the text", id))
		default:
			b.SetString(b.Name(), row, label)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	var submitted []string
	for _, row := range fresh {
		text, _ := texts.At(row)
		submitted = append(submitted, text)
	}
	id := l.service.submit(submitted)
	for _, row := range fresh {
		wait(b, row, id)
	}
	return nil
}

func wait(b *plugin.Batch, row int, id string) {
	b.SetPending(row, []byte(id), &plugin.Pending{Reason: id + " is in progress", CheckAfter: time.Hour})
}

// A mapper whose results take long submits the rows, and returns. The apply
// ends, and the next one passes the rows with their tokens.
func ExampleBatch_SetPending() {
	service := &bureau{}
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "acme_bureau", BehaviorVersion: 1}, bureauLabeler{service}),
	}}
	plugintest.Example(func(t testing.TB) {
		c := plugintest.Case{
			Type: "acme_bureau",
			Args: map[string]any{"text": plugintest.Row("body")},
			Rows: []map[string]any{{"body": "a"}, {"body": "b"}},
		}
		first, err := plugintest.Map(t, acme, c)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(len(first.Pending), "rows wait:", first.Pending[0].Reason)

		for i := range service.jobs {
			service.jobs[i] = map[string]string{"a": "A", "b": "B"}
		}
		c.Pending = first.Pending
		second, err := plugintest.Map(t, acme, c)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(len(second.Pending), "rows wait:", second.Column("test"))
	})
	// Output:
	// 2 rows wait: batch_1 is in progress
	// 0 rows wait: [A B]
}
