package plugin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type majorityArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows to learn from."`
	Text    plugin.Column  `quern:"text,required,feature" type:"string" doc:"The input of the model."`
	Target  plugin.Column  `quern:"target,required" type:"string" doc:"The label to predict."`
}

// majority trains a model that always predicts the most common label.
type majority struct{}

var majoritySignature = plugin.Signature{
	Inputs:  data.Schema{{Name: "text", Type: "string"}},
	Outputs: data.Schema{{Name: "label", Type: "string"}},
}

// Prepare declares a model, and a value that expressions can refer to.
func (majority) Prepare(_ context.Context, p *plugin.Prepare[majorityArgs]) error {
	p.AddModel("", "acme.majority/v1", majoritySignature)
	p.SetValueType(cty.Object(map[string]cty.Type{"label": cty.String}))
	return nil
}

// Run trains the model.
func (majority) Run(ctx context.Context, r *plugin.Run[majorityArgs]) error {
	counts, label := map[string]int{}, ""
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs(r.Args.Target.Key)) {
		if err != nil {
			return err
		}
		targets := rec.Column(0).(*array.String)
		for i := range targets.Len() {
			if targets.IsValid(i) {
				counts[targets.Value(i)]++
			}
		}
	}
	for l, n := range counts {
		if n > counts[label] || n == counts[label] && l < label {
			label = l
		}
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"label": cty.StringVal(label)}))
	return os.WriteFile(filepath.Join(dir, "label.txt"), []byte(label), 0o644)
}

// ModelFormats and LoadModel make the models usable by any stage.
func (majority) ModelFormats() []string { return []string{"acme.majority/v1"} }

// LoadModel loads a model.
func (majority) LoadModel(_ context.Context, m *plugin.ModelFiles) (plugin.Predictor, error) {
	path, err := m.Path("label.txt")
	if err != nil {
		return nil, err
	}
	label, err := os.ReadFile(path)
	return constant(label), err
}

// constant is a loaded model.
type constant string

// Predict returns the label for each row.
func (c constant) Predict(_ context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []plugin.RowError, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, majoritySignature.Outputs.Arrow())
	defer b.Release()
	for range rec.NumRows() {
		b.Field(0).(*array.StringBuilder).Append(string(c))
	}
	return b.NewRecordBatch(), nil, nil
}

// A runner can train models.
func ExampleNewRunner() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "acme_majority", BehaviorVersion: 1}, majority{}),
	}}
	plugintest.Example(func(t testing.TB) {
		got, err := plugintest.Run(t, acme, plugintest.Case{
			Type: "acme_majority",
			Args: map[string]any{"text": plugintest.Row("body"), "target": plugintest.Row("kind")},
			Rows: []map[string]any{{"body": "a", "kind": "spam"}, {"body": "b", "kind": "ham"}, {"body": "c", "kind": "spam"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		predicted, err := plugintest.Predict(t, acme, got.Models[""], []map[string]any{{"text": "new"}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(got.Value.GetAttr("label").AsString(), predicted.Column("label"))
	})
	// Output:
	// spam [spam]
}
