package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// recorder is a testing.TB that records failures.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// record runs the body of a test and returns its failures.
func record(t *testing.T, body func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		body(r)
	}()
	<-done
	return strings.Join(r.failures, "\n")
}

// calls counts over all instances, which no plugin should do.
var calls atomic.Int64

type args struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text" type:"string"`
	Waver bool           `quern:"waver"`
}

type counting struct{}

func (counting) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.AddColumn("n", "int64")
	if p.Args.Waver {
		p.AddColumn(fmt.Sprintf("c%d", calls.Add(1)), "int64")
	}
	return nil
}

func (counting) Map(_ context.Context, _ *args, b *plugin.Batch) error {
	for i := range b.N {
		b.SetInt("n", i, int64(b.N))
	}
	return nil
}

type dicing struct{}

func (dicing) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.AddReport("")
	return nil
}

func (dicing) Run(_ context.Context, r *plugin.Run[args]) error {
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "dice"), fmt.Appendf(nil, "%d", calls.Add(1)), 0o644)
}

// resuming adds numbers and continues from a checkpoint. With the argument
// waver, it adds those before the checkpoint again.
type resuming struct{}

func (resuming) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"sum": cty.Number}))
	return nil
}

func (resuming) Run(ctx context.Context, r *plugin.Run[args]) error {
	second := passes.Add(1)%3 == 2 // the one that is interrupted
	checkpoint := filepath.Join(r.WorkDir, "sum")
	var next, sum int64
	if text, err := os.ReadFile(checkpoint); err == nil {
		if _, err := fmt.Sscan(string(text), &next, &sum); err != nil {
			return err
		}
		if r.Args.Waver {
			sum += next
		}
	}
	for ; next < 10; next++ {
		r.Progress(next, 10, "numbers", "")
		if second && next == 5 {
			<-ctx.Done()
			return errors.Join(ctx.Err(), os.WriteFile(checkpoint, fmt.Appendf(nil, "%d %d", next, sum), 0o644))
		}
		sum += next
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"sum": cty.NumberIntVal(sum)}))
	return nil
}

// passes counts the runs of resuming: three for each RunInterrupted.
var passes atomic.Int64

func TestAnInterruptedRunMustGiveTheSameResults(t *testing.T) {
	p := plugin.Plugin{Name: "faulty", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "resuming"}, resuming{}),
	}}
	c := plugintest.Case{Type: "resuming", Rows: []map[string]any{{"a": "x"}}}
	got, err := plugintest.RunInterrupted(t, p, c)
	if err != nil {
		t.Fatal(err)
	}
	if sum := got.Value.GetAttr("sum"); !sum.RawEquals(cty.NumberIntVal(45)) {
		t.Errorf("got %#v", sum)
	}
	c.Args = map[string]any{"waver": true}
	failures := record(t, func(t testing.TB) { _, _ = plugintest.RunInterrupted(t, p, c) })
	if !strings.Contains(failures, "two runs set different values") {
		t.Errorf("got %q", failures)
	}
}

func faulty() plugin.Plugin {
	return plugin.Plugin{Name: "faulty", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "counting"}, counting{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "dicing"}, dicing{}),
	}}
}

func TestResultsThatDependOnAnythingElseFailTheTest(t *testing.T) {
	rows := []map[string]any{{"a": "x"}, {"a": "y"}, {"a": "z"}, {"a": "w"}}
	for name, c := range map[string]struct {
		body func(testing.TB)
		want string
	}{
		"a mapper that minds the batch": {func(t testing.TB) {
			_, _ = plugintest.Map(t, faulty(), plugintest.Case{Type: "counting", Rows: rows})
		}, "depends on its batch"},
		"a Prepare that wavers": {func(t testing.TB) {
			_, _ = plugintest.Map(t, faulty(), plugintest.Case{Type: "counting", Rows: rows, Args: map[string]any{"waver": true}})
		}, "Prepare is not deterministic"},
		"a runner that dices": {func(t testing.TB) {
			_, _ = plugintest.Run(t, faulty(), plugintest.Case{Type: "dicing", Rows: rows})
		}, `different bytes to file "dice"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := record(t, c.body); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMistakesInACaseFailTheTest(t *testing.T) {
	rows := []map[string]any{{"a": "x"}}
	for want, c := range map[string]plugintest.Case{
		`the type has no argument "txet"`:  {Type: "counting", Rows: rows, Args: map[string]any{"txet": 1}},
		`argument "input" is required`:     {Type: "counting"},
		`has no column "b"`:                {Type: "counting", Rows: rows, Args: map[string]any{"text": plugintest.Row("b")}},
		`argument "waver"`:                 {Type: "counting", Rows: rows, Args: map[string]any{"waver": []string{"no"}}},
		`the plugin has 0 types "missing"`: {Type: "missing", Rows: rows},
		"has no column type":               {Type: "counting", Rows: []map[string]any{{"a": struct{}{}}}},
	} {
		if got := record(t, func(t testing.TB) { _, _ = plugintest.Prepare(t, faulty(), c) }); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
