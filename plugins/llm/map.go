package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Map labels all rows of the batch at the same time.
func (labeler) Map(ctx context.Context, a *args, b *plugin.Batch) error {
	pool, err := a.examples(ctx, b)
	if err != nil {
		return err
	}
	rows := make([]row, b.N)
	read(a, b, rows)
	host := b.Host()
	g, gctx := parallel.WithContext(ctx)
	for i := range rows {
		g.Go(func() error {
			err := rows[i].ask(gctx, a, host, pool)
			switch {
			case err != nil:
			case rows[i].err != nil:
				b.ReportFailure(rows[i].err)
			default:
				b.ReportDone()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return a.write(b, rows)
}

// examples reads the prompt's examples once for the whole run.
func (a *args) examples(ctx context.Context, b *plugin.Batch) (*prompting.Pool, error) {
	a.pool.once.Do(func() {
		// Other batches of the run continue after this batch's context ends.
		ctx := context.WithoutCancel(ctx)
		a.pool.Pool, a.pool.err = prompting.NewPool(ctx, b.Host(), a.Prompt, b.Dataset(prompting.Dataset(a.Prompt)))
	})
	return a.pool.Pool, a.pool.err
}

// row is a row in progress.
type row struct {
	prompt *llm.Prompt
	by     string
	pair   [2]string
	// absent says that there is nothing to label, so there is no label.
	absent bool

	answer     answer
	confidence float64
	err        error
}

// read reads the requests from the batch.
func read(a *args, b *plugin.Batch, rows []row) {
	source := a.Text
	if a.Prompt.IsSet() {
		source = plugin.Column(a.Prompt)
	}
	texts := b.Strings(source)
	var by plugin.Values[string]
	if key := prompting.ByKey(a.Prompt.Key); b.Array(key) != nil {
		by = b.Strings(plugin.Column{Key: key})
	}
	c, pairwise := a.task.(choice)
	for i := range rows {
		r := &rows[i]
		text, ok := texts.At(i)
		if !ok {
			r.absent = true
			continue
		}
		r.by, _ = by.At(i)
		if a.Prompt.IsSet() {
			r.prompt, r.err = llm.DecodePrompt(text)
		} else {
			r.prompt = &llm.Prompt{Request: &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}}
		}
		if !pairwise {
			continue
		}
		for k, name := range c.names {
			text, ok := b.Strings(a.Pairwise[name]).At(i)
			r.absent = r.absent || !ok
			r.pair[k] = text
		}
	}
}

// ask gets the label of the row. It stores an error that concerns only this row
// in the row, and returns an error that concerns the run.
func (r *row) ask(ctx context.Context, a *args, host *plugin.Host, pool *prompting.Pool) error {
	if r.absent || r.err != nil {
		return nil
	}
	if r.err = pool.Fill(ctx, r.prompt, r.by); r.err != nil {
		return r.ofRow()
	}
	a.added.instruct(r.prompt.Request)
	orders := 1
	if _, ok := a.task.(choice); ok {
		orders = 2
	}
	draws := a.Samples * orders
	answers, errs := make([]*answer, draws), make([]error, draws)
	err := each(ctx, draws, func(ctx context.Context, i int) error {
		answers[i], errs[i] = r.draw(ctx, a, host, i/orders, i%orders)
		if errs[i] != nil && !prompting.OfRow(errs[i]) {
			return errs[i]
		}
		return nil
	})
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(errs, llm.IsPending); i >= 0 {
		r.err = errs[i]
		return nil
	}
	var good []answer
	for _, one := range answers {
		if one != nil {
			good = append(good, *one)
		}
	}
	if len(good) == 0 {
		r.err = errs[0]
		return nil
	}
	r.answer, r.confidence = a.task.combine(good, draws)
	return nil
}

// each calls f with 0 to n-1 at the same time. For a single call, which is the
// usual case, it starts no goroutine.
func each(ctx context.Context, n int, f func(context.Context, int) error) error {
	if n == 1 {
		return f(ctx, 0)
	}
	g, ctx := parallel.WithContext(ctx)
	for i := range n {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

// ofRow returns the row's error if it concerns the run, and nil if it concerns
// only the row.
func (r *row) ofRow() error {
	if prompting.OfRow(r.err) {
		return nil
	}
	return r.err
}

// added is what the labeler adds to each request.
type added struct {
	text   string
	output *llm.Output // nil: none
}

func (a *args) makeAdded() added {
	out := added{text: a.Guidelines}
	if instruction := a.task.instruction(); instruction != "" {
		if out.text != "" {
			out.text += "\n\n"
		}
		out.text += instruction
	}
	if schema := a.task.schema(); schema != nil {
		_, users := a.task.(*extraction)
		out.output = &llm.Output{Name: "label", Schema: schema, Strict: !users}
	}
	return out
}

// instruct adds it to a request.
func (a *added) instruct(r *llm.Request) {
	if a.text != "" {
		prompting.Instruct(r, a.text)
	}
	if a.output != nil {
		r.Output = a.output
	}
}

// draw makes one request.
func (r *row) draw(ctx context.Context, a *args, host *plugin.Host, sample, order int) (*answer, error) {
	request := *r.prompt.Request
	c, pairwise := a.task.(choice)
	if pairwise {
		c.show(&request, r.pair, order)
	}
	var out answer
	err := prompting.Ask(ctx, host, a.Model, &request, sample, func(text string) (err error) {
		out, err = a.task.parse(text)
		return err
	})
	var declined *prompting.Declined
	if a.Abstain && errors.As(err, &declined) {
		return &answer{values: []any{nil}}, nil
	}
	if err != nil {
		return nil, err
	}
	if pairwise {
		out = c.named(out, order)
	}
	return &out, nil
}

// write fills the columns.
func (a *args) write(b *plugin.Batch, rows []row) error {
	for k, c := range a.task.columns(a.name) {
		column, err := a.column(c, k, rows)
		if err != nil {
			return err
		}
		b.SetArray(c.Name, column)
	}
	confident := a.confident(true)
	for i := range rows {
		r := &rows[i]
		switch {
		case r.err != nil:
			// The failure is permanent: the host has already retried as often
			// as the model's block allows.
			b.Fail(i, false, r.err)
			continue
		case r.absent:
			continue
		}
		if confident {
			b.SetFloat(a.name+"_confidence", i, r.confidence)
		}
		if a.Explain && r.answer.explanation != "" {
			b.SetString(a.name+"_explanation", i, r.answer.explanation)
		}
	}
	return nil
}

// column builds the column of a task's value from the rows.
func (a *args) column(c data.Column, k int, rows []row) (arrow.Array, error) {
	t, err := data.ArrowType(c.Type)
	if err != nil {
		return nil, err
	}
	builder := array.NewBuilder(memory.DefaultAllocator, t)
	defer builder.Release()
	values := make([]any, len(rows))
	for i := range rows {
		if k < len(rows[i].answer.values) {
			values[i] = rows[i].answer.values[k]
		}
	}
	text, err := json.Marshal(values)
	if err == nil {
		err = builder.UnmarshalJSON(text)
	}
	if err != nil {
		return nil, fmt.Errorf("build column %q of type %s: %w", c.Name, c.Type, err)
	}
	return builder.NewArray(), nil
}
