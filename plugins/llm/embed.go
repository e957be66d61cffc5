package llm

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type embedArgs struct {
	Input      plugin.Dataset `quern:"input,required" doc:"The dataset that contains the texts."`
	Model      plugin.Model   `quern:"model,required" doc:"The model that computes the embeddings, such as 'model.embedder'."`
	Text       plugin.Column  `quern:"text,required" type:"string" doc:"The text to embed, such as 'row.text'."`
	Dimensions int            `quern:"dimensions" doc:"The number of dimensions that the embeddings must have. By default, all must have as many as the first one."`

	// found is the number of dimensions of the first embedding.
	found atomic.Int64
}

const embedDoc = `Computes the embeddings of texts with a model.

The column, named after the block, is a list of numbers, as many in each row. A null or empty text has none: it is null. Several texts are sent in one request, so there are fewer requests than rows. Embeddings are cached by text: equal texts, also in other stages and runs, are computed once. If the model cannot embed a text, that row fails; ` + "`max_errors`" + ` sets how many rows may fail.

` + "```hcl" + `
transform "embed" "vector" {
  input      = transform.passages
  model      = model.embedder
  text       = row.chunk
  dimensions = 384
}
` + "```"

// embed implements transform "embed".
type embed struct{}

const (
	// textsPerBatch is what quern sends to a model in one request.
	textsPerBatch = 96
	// openEmbeds is the number of batches that may wait for the model, whose own
	// limits quern enforces.
	openEmbeds = 64
)

func (embed) BatchRows() int   { return textsPerBatch }
func (embed) Concurrency() int { return openEmbeds }

// Prepare declares the column, and the calls.
func (embed) Prepare(_ context.Context, p *plugin.Prepare[embedArgs]) error {
	if in := p.Input("model"); in != nil && !in.Can(plugin.CanEmbed) {
		p.Errorf("model", "This model cannot embed\nIt can: %v. This transform needs a model that computes embeddings.", in.Capabilities)
	}
	if p.Args.Dimensions < 0 {
		p.Errorf("dimensions", "The number of dimensions, %d, is out of range\ndimensions must be at least 1.", p.Args.Dimensions)
	}
	p.KeepInput("input")
	p.AddColumn(p.Name(), "list<float64>")
	var none int64
	p.AddModelCalls(plugin.ModelCalls{Prompt: "text", Model: "model", PerRow: 1, OutputTokens: &none})
	return nil
}

// Map embeds the texts of a batch.
func (embed) Map(ctx context.Context, a *embedArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	var rows []int
	for i := range b.N {
		if text, _ := texts.At(i); text != "" {
			rows = append(rows, i)
		}
	}
	asked := make([]string, len(rows))
	for k, i := range rows {
		asked[k], _ = texts.At(i)
	}
	made, err := prompting.Embed(ctx, b.Host(), a.Model, asked, func(k int, refused *llm.CallError) error {
		b.Fail(rows[k], refused.Temporary, refused)
		return nil
	})
	if err != nil {
		return err
	}
	vectors := make([][]float32, b.N)
	for k, i := range rows {
		if made[k] == nil {
			continue
		}
		if err := a.checkDimensions(len(made[k])); err != nil {
			return err
		}
		vectors[i] = made[k]
	}
	list := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Float64)
	defer list.Release()
	for _, v := range vectors {
		list.Append(v != nil)
		for _, x := range v {
			list.ValueBuilder().(*array.Float64Builder).Append(float64(x))
		}
	}
	b.SetArray(b.Name(), list.NewArray())
	return nil
}

// checkDimensions returns an error if embeddings have different numbers of
// dimensions.
func (a *embedArgs) checkDimensions(n int) error {
	switch {
	case a.Dimensions > 0 && n != a.Dimensions:
		return plugin.ArgumentErrorf("dimensions", "The embeddings have another number of dimensions\nThe model returned %d, but dimensions is %d.", n, a.Dimensions)
	case n == 0 || !a.found.CompareAndSwap(0, int64(n)) && a.found.Load() != int64(n):
		return plugin.ArgumentErrorf("model", "The embeddings have different numbers of dimensions\nThe model returned %d and %d.", a.found.Load(), n)
	}
	return nil
}
