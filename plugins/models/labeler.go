// Package models provides the labeler "model", which labels rows with a trained
// model. It works with every kind of model, because the plugin that trained a
// model makes its predictions.
package models

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the labelers of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "model", Doc: doc, BehaviorVersion: 1}, labeler{}),
	}
}

type args struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset to label."`
	// The schema allows a row expression so that quern computes the model's
	// inputs for each row. Prepare refuses one.
	Model plugin.ColumnOrModel `quern:"model,required" type:"string" doc:"The trained model, such as 'train.student'. Its inputs are computed from each row by the expressions that it was trained with."`

	MinConfidence *float64 `quern:"min_confidence" doc:"Rows with a lower confidence get no label."`

	inputs []string
	// outputs are the outputs of the model, and columns are their names in this
	// stage.
	outputs data.Schema
	columns []string
	// label and confidence are indexes into outputs; -1 means that there is
	// none.
	label, confidence int
}

const doc = `Labels rows with a trained model.

The model's label is in a column named after the block, and each other output of the model in a column ` + "`NAME_OUTPUT`" + `, such as ` + "`NAME_confidence`" + `. If the model cannot predict a row, the row fails; ` + "`max_errors`" + ` sets how many rows may fail.

` + "```hcl" + `
label "model" "intent" {
  input          = source.tickets
  model          = train.student
  min_confidence = 0.7
}
` + "```"

// labeler implements label "model".
type labeler struct{}

// Prepare declares the model's outputs as columns.
func (labeler) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	in := p.Input(a.Model.Key)
	if !a.Model.IsModel || in == nil {
		p.Errorf("model", "This is not a trained model\nName one, such as train.student.")
		return nil
	}
	if !in.Can(plugin.CanPredict) {
		p.Errorf("model", "This model does not predict\nIt can: %v. To label rows with a language model, use label \"llm\".", in.Capabilities)
		return nil
	}
	a.inputs, a.outputs = in.Signature.Inputs.Names(), in.Signature.Outputs
	a.find(p.Name())
	if a.MinConfidence != nil && a.confidence < 0 {
		p.Errorf("min_confidence", "The model (%s) returns no confidence\nIts outputs are %v. Remove min_confidence, or use a model with a confidence.", in.Format, a.outputs.Names())
	}
	if a.MinConfidence != nil && a.label >= 0 && a.outputs[a.label].Type != "string" {
		p.Errorf("min_confidence", "The model's label has type %s\nmin_confidence needs a label of type string.", a.outputs[a.label].Type)
	}
	if a.label < 0 {
		p.Errorf("model", "The model (%s) predicts no label\nIts outputs are %v. It needs an output named label, or only one output.", in.Format, a.outputs.Names())
	}
	p.KeepInput("input")
	for i, c := range a.outputs {
		p.AddColumn(a.columns[i], c.Type)
	}
	return nil
}

// find finds the label and the confidence among the outputs.
func (a *args) find(name string) {
	a.label, a.confidence = -1, -1
	for i, c := range a.outputs {
		switch {
		case c.Name == "label" || len(a.outputs) == 1:
			a.label = i
		case c.Name == "confidence" && c.Type == "float64":
			a.confidence = i
		}
		a.columns = append(a.columns, name+"_"+c.Name)
	}
	if a.label >= 0 {
		a.columns[a.label] = name
	}
}

// Map lets the model predict the batch.
func (labeler) Map(ctx context.Context, a *args, b *plugin.Batch) error {
	model, _ := a.Model.Model()
	loaded := b.Model(model)
	if loaded == nil {
		return fmt.Errorf("the model is missing")
	}
	columns := make([]arrow.Array, len(a.inputs))
	for i, input := range a.inputs {
		if columns[i] = b.Array(model.Key + "." + input); columns[i] == nil {
			return fmt.Errorf("the rows have no column for the model's input %q", input)
		}
	}
	in := array.NewRecordBatch(loaded.Signature.Inputs.Arrow(), columns, int64(b.N))
	defer in.Release()
	out, failed, err := loaded.Predict(ctx, in)
	if err != nil {
		return err
	}
	defer out.Release()
	for _, f := range failed {
		b.Fail(f.Row, f.Temporary, fmt.Errorf("the model: %s", f.Message))
	}
	for i := range a.outputs {
		values := out.Column(i)
		values.Retain()
		if i == a.label && a.MinConfidence != nil {
			values = a.sure(values, out.Column(a.confidence))
		}
		b.SetArray(a.columns[i], values)
	}
	return nil
}

// sure drops labels whose confidence is too low. It takes ownership of labels.
func (a *args) sure(labels, confidence arrow.Array) arrow.Array {
	defer labels.Release()
	text, c := labels.(*array.String), confidence.(*array.Float64)
	builder := array.NewStringBuilder(memory.DefaultAllocator)
	defer builder.Release()
	for i := range text.Len() {
		if text.IsNull(i) || c.IsNull(i) || c.Value(i) < *a.MinConfidence {
			builder.AppendNull()
			continue
		}
		builder.Append(text.Value(i))
	}
	return builder.NewArray()
}
