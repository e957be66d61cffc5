package plugin_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type accuracyArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows to evaluate on."`
	Label   plugin.Column  `quern:"label,required" type:"string" doc:"The label to check."`
	Target  plugin.Column  `quern:"target,required" type:"string" doc:"The correct label."`
}

// accuracy is an evaluator that counts correct labels.
type accuracy struct{}

// Prepare declares the values. Gates and other expressions can refer to them.
func (accuracy) Prepare(_ context.Context, p *plugin.Prepare[accuracyArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"rows": cty.Number, "accuracy": cty.Number}))
	return nil
}

// Run compares the labels with the targets. A missing label counts as wrong.
func (accuracy) Run(ctx context.Context, r *plugin.Run[accuracyArgs]) error {
	var rows, correct int64
	dataset := r.Dataset(r.Args.Dataset)
	for rec, err := range dataset.Batches(ctx, data.Arguments.Refs(r.Args.Label.Key, r.Args.Target.Key)) {
		if err != nil {
			return err
		}
		labels, targets := rec.Column(0).(*array.String), rec.Column(1).(*array.String)
		for i := range targets.Len() {
			if targets.IsNull(i) {
				continue
			}
			rows++
			if labels.IsValid(i) && labels.Value(i) == targets.Value(i) {
				correct++
			}
		}
		r.Progress(rows, dataset.Rows, "rows", "")
	}
	if rows == 0 {
		return plugin.ArgumentErrorf("target", "no row has a target\nThe dataset has %d rows.", dataset.Rows)
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"rows":     cty.NumberIntVal(rows),
		"accuracy": cty.NumberFloatVal(float64(correct) / float64(rows)),
	}))
	return nil
}

// A runner can evaluate labels.
func ExampleNewRunner_evaluator() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "acme_accuracy", BehaviorVersion: 1}, accuracy{}),
	}}
	plugintest.Example(func(t testing.TB) {
		got, err := plugintest.Run(t, acme, plugintest.Case{
			Type: "acme_accuracy",
			Args: map[string]any{"label": plugintest.Row("said"), "target": plugintest.Row("kind")},
			Rows: []map[string]any{{"said": "spam", "kind": "spam"}, {"said": nil, "kind": "ham"}, {"said": "ham", "kind": nil}},
		})
		if err != nil {
			t.Fatal(err)
		}
		share, _ := got.Value.GetAttr("accuracy").AsBigFloat().Float64()
		fmt.Println(share)
	})
	// Output:
	// 0.5
}
