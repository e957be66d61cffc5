package goplugin

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type hostArgs struct {
	Input   plugin.Dataset    `quern:"input,required" doc:"The rows."`
	Text    plugin.Column     `quern:"text,required" type:"string" doc:"What the model is asked."`
	Model   plugin.Model      `quern:"model,required" doc:"The model to ask."`
	Trained plugin.Model      `quern:"trained,required" doc:"The model that predicts."`
	Check   plugin.LateColumn `quern:"check,required" type:"bool" late:"answer=string" doc:"What is computed of an answer."`
}

// hosted has the host do all that it can.
type hosted struct{}

func (hosted) Prepare(_ context.Context, p *plugin.Prepare[hostArgs]) error {
	p.KeepInput("input")
	p.ReadColumns("input", "id")
	p.AddColumn("again", "string")
	p.AddColumn("length", "float64")
	p.AddColumn("passed", "bool")
	p.AddColumn("y", "float64")
	return nil
}

func (hosted) Map(ctx context.Context, a *hostArgs, b *plugin.Batch) error {
	texts := make([]string, b.N)
	answers := array.NewStringBuilder(memory.DefaultAllocator)
	defer answers.Release()
	for i := range texts {
		texts[i], _ = b.String(a.Text, i)
		request := &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: texts[i]}}}
		first, err := b.Host().Chat(ctx, a.Model, request, 0)
		if err != nil {
			return err
		}
		answers.Append(first.Text)
		if err := b.Host().Reject(ctx, a.Model, request, 0); err != nil {
			return err
		}
		again, err := b.Host().Chat(ctx, a.Model, request, 1)
		if err != nil {
			return err
		}
		b.SetString("again", i, again.Text)
	}
	vectors, err := b.Host().Embed(ctx, a.Model, texts)
	if err != nil {
		return err
	}
	for i, v := range vectors {
		b.SetFloat("length", i, float64(v[0]))
	}
	late := answers.NewArray()
	defer late.Release()
	if err := a.evaluate(ctx, b, late); err != nil {
		return err
	}
	return a.predict(ctx, b)
}

// evaluate computes the late expression.
func (a *hostArgs) evaluate(ctx context.Context, b *plugin.Batch, answers arrow.Array) error {
	id := b.InputColumn("id")
	rows := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "id", Type: id.DataType(), Nullable: true}}, nil), []arrow.Array{id}, int64(b.N))
	defer rows.Release()
	values, failed, err := b.Host().Evaluate(ctx, a.Check, rows, map[string]arrow.Array{"answer": answers})
	if err != nil {
		return err
	}
	fail(b, failed)
	b.SetArray("passed", values)
	return nil
}

func (a *hostArgs) predict(ctx context.Context, b *plugin.Batch) error {
	model := b.Model(a.Trained)
	x := b.Array(a.Trained.Key + ".x")
	in := array.NewRecordBatch(model.Signature.Inputs.Arrow(), []arrow.Array{x}, int64(b.N))
	defer in.Release()
	out, failed, err := model.Predict(ctx, in)
	if err != nil {
		return err
	}
	defer out.Release()
	fail(b, failed)
	y := out.Column(0)
	y.Retain()
	b.SetArray("y", y)
	return nil
}

func fail(b *plugin.Batch, failed []plugin.RowError) {
	for i := range failed {
		b.Fail(failed[i].Row, failed[i].Temporary, errorText(failed[i].Message))
	}
}

// errorText is an error that consists of its text.
type errorText string

func (e errorText) Error() string { return string(e) }
