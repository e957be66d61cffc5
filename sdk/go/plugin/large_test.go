package plugin_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// largeRows makes messages small. Each of the 100 texts that it returns fits
// into one message, except for the last two.
func largeRows(t *testing.T) (rows []map[string]any) {
	most := wire.MaxRows
	t.Cleanup(func() { wire.MaxRows = most })
	wire.MaxRows = 4000
	for i := range 98 {
		rows = append(rows, map[string]any{"text": fmt.Sprint(i, " ", strings.Repeat("x", 10*i))})
	}
	return append(rows, map[string]any{"text": strings.Repeat("y", 8000)}, map[string]any{"text": strings.Repeat("z", 9000)})
}

// large returns a plugin whose types repeat texts.
func large() plugin.Plugin {
	return plugin.Plugin{Name: "large", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "large_repeat", BehaviorVersion: 1}, repeater{}),
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "large_words", BehaviorVersion: 1}, wordRepeater{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "large_prediction", BehaviorVersion: 1}, prediction{}),
	}}
}

type largeArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
	Times int            `quern:"times" default:"1"`
}

type repeater struct{}

func (repeater) Prepare(_ context.Context, p *plugin.Prepare[largeArgs]) error {
	p.AddColumn("again", "string")
	return nil
}

func (repeater) Map(_ context.Context, a *largeArgs, b *plugin.Batch) error {
	for i := range b.N {
		text, _ := b.String(a.Text, i)
		b.SetString("again", i, strings.Repeat(text, a.Times))
		if strings.HasPrefix(text, "7 ") {
			b.Fail(i, false, fmt.Errorf("it is a 7"))
		}
	}
	return nil
}

// wordRepeater produces rows from a text's words.
type wordRepeater struct{}

func (wordRepeater) Prepare(_ context.Context, p *plugin.Prepare[largeArgs]) error {
	p.AddColumn("again", "string")
	return nil
}

func (wordRepeater) FlatMap(_ context.Context, a *largeArgs, b *plugin.FlatBatch) error {
	for i := range b.N {
		text, _ := b.String(a.Text, i)
		if strings.HasPrefix(text, "7 ") {
			b.Fail(i, false, fmt.Errorf("it is a 7"))
			continue
		}
		for _, word := range strings.Fields(text) {
			b.SetString("again", b.Yield(i), strings.Repeat(word, a.Times))
		}
	}
	return nil
}

// prediction predicts its input. When it runs, it lets a model do so.
type prediction struct{}

type predictArgs struct {
	Dataset plugin.Dataset       `quern:"dataset,required"`
	Model   plugin.ColumnOrModel `quern:"model,required" type:"string"`
}

var echoes = plugin.Signature{Inputs: data.Schema{{Name: "text", Type: "string"}}, Outputs: data.Schema{{Name: "again", Type: "string"}}}

func (prediction) Prepare(_ context.Context, p *plugin.Prepare[predictArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"bytes": cty.Number, "failures": cty.List(cty.String)}))
	return nil
}

func (prediction) Run(ctx context.Context, r *plugin.Run[predictArgs]) error {
	m, _ := r.Args.Model.Model()
	bytes, failures := 0, []cty.Value{}
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs(m.Key+".text")) {
		if err != nil {
			return err
		}
		in := array.NewRecordBatch(echoes.Inputs.Arrow(), rec.Columns(), rec.NumRows())
		out, errs, err := r.Model(m).Predict(ctx, in)
		if err != nil {
			return err
		}
		for i := range int(out.NumRows()) {
			bytes += len(out.Column(0).(*array.String).Value(i))
		}
		for _, e := range errs {
			failures = append(failures, cty.StringVal(fmt.Sprint(e.Row, ": ", e.Message)))
		}
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"bytes": cty.NumberIntVal(int64(bytes)), "failures": cty.ListVal(failures)}))
	return nil
}

func (prediction) ModelFormats() []string { return []string{"large.prediction/v1"} }

func (p prediction) LoadModel(context.Context, *plugin.ModelFiles) (plugin.Predictor, error) {
	return p, nil
}

// Predict returns the text unchanged.
func (prediction) Predict(_ context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []plugin.RowError, error) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	var errs []plugin.RowError
	for i := range int(rec.NumRows()) {
		text := rec.Column(0).(*array.String).Value(i)
		b.Append(text)
		if strings.HasPrefix(text, "7 ") {
			errs = append(errs, plugin.RowError{Row: i, Message: "it is a 7"})
		}
	}
	return array.NewRecordBatch(echoes.Outputs.Arrow(), []arrow.Array{b.NewArray()}, rec.NumRows()), errs, nil
}

const excess = "its result takes 1 MiB, but a row between quern and a plugin can take at most 0 MiB; keep such content in a file, and its path in the row"

func TestAnswersThatAreTooLargeForAMessageComeInSeveral(t *testing.T) {
	rows := largeRows(t)
	got, err := plugintest.Map(t, large(), plugintest.Case{
		Type: "large_repeat", Rows: rows, Args: map[string]any{"text": plugintest.Row("text"), "times": 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := plugintest.Failures{7: "it is a 7", 98: excess, 99: excess}
	if !reflect.DeepEqual(got.Failures, want) {
		t.Errorf("got %v", got.Failures)
	}
	for i, v := range got.Column("again") {
		if _, failed := want[i]; failed != (v == nil) || !failed && v != strings.Repeat(rows[i]["text"].(string), 3) {
			t.Errorf("row %d came as %v", i, v)
		}
	}
}

func TestAnswersOfAFlatMapperThatAreTooLargeForAMessageComeInSeveral(t *testing.T) {
	rows := largeRows(t)
	got, err := plugintest.FlatMap(t, large(), plugintest.Case{
		Type: "large_words", Rows: rows, Args: map[string]any{"text": plugintest.Row("text"), "times": 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	what := strings.Replace(excess, "its result takes", "the rows that it produces take", 1)
	failures := plugintest.Failures{7: "it is a 7", 98: what, 99: what}
	if !reflect.DeepEqual(got.Failures, failures) {
		t.Errorf("got %v", got.Failures)
	}
	var want []any
	for i, r := range rows {
		words := strings.Fields(r["text"].(string))
		if _, failed := failures[i]; failed {
			words = nil
		}
		for _, w := range words {
			want = append(want, strings.Repeat(w, 3))
		}
		if got.Counts[i] != len(words) {
			t.Errorf("%d rows came of row %d", got.Counts[i], i)
		}
	}
	if !reflect.DeepEqual(got.Column("again"), want) {
		t.Errorf("%d rows came, not %d, or other ones", len(got.Rows), len(want))
	}
}

func TestPredictionsThatAreTooLargeForAMessageComeInSeveral(t *testing.T) {
	rows := largeRows(t)
	model := plugintest.Model{Format: "large.prediction/v1", Signature: echoes, Dir: t.TempDir()}
	got, err := plugintest.Predict(t, large(), model, rows)
	if err != nil {
		t.Fatal(err)
	}
	want := plugintest.Failures{7: "it is a 7", 98: excess, 99: excess}
	if !reflect.DeepEqual(got.Failures, want) {
		t.Errorf("got %v", got.Failures)
	}
	bytes := 0
	for i, v := range got.Column("again") {
		if i < 98 && v != rows[i]["text"] {
			t.Errorf("row %d came as %v", i, v)
		}
		if v != nil {
			bytes += len(v.(string))
		}
	}

	// A stage that uses the model also sends the rows in several messages.
	model.Features = map[string]plugintest.Row{"text": "text"}
	ran, err := plugintest.Run(t, large(), plugintest.Case{Type: "large_prediction", Rows: rows, Args: map[string]any{"model": model}})
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := ran.Value.GetAttr("bytes").AsBigFloat().Int64(); int(n) != bytes {
		t.Errorf("%d bytes came, not %d", n, bytes)
	}
	var failures []string
	for _, v := range ran.Value.GetAttr("failures").AsValueSlice() {
		failures = append(failures, v.AsString())
	}
	what := strings.Replace(excess, "its result takes", "the values that the model needs take", 1)
	if want := []string{"7: it is a 7", "98: " + what, "99: " + what}; !reflect.DeepEqual(failures, want) {
		t.Errorf("got %q", failures)
	}
}
