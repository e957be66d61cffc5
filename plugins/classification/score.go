package classification

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// scored is what a pass over the rows found, by subject.
type scored struct {
	rows, skipped int64
	tallies       []*Tally
	errors        []int64 // rows on which the model failed
}

// score passes over the rows, writes the single results and counts.
func score(ctx context.Context, r *plugin.Run[args]) (*scored, error) {
	a := r.Args
	out := &scored{errors: make([]int64, len(a.subjects))}
	for range a.subjects {
		out.tallies = append(out.tallies, NewTally())
	}
	schema, err := a.resultsSchema()
	if err != nil {
		return nil, err
	}
	in := r.Dataset(a.Dataset)
	columns := a.columns()
	var done int64
	for rec, err := range in.Batches(ctx, columns...) {
		if err != nil {
			return nil, err
		}
		b := &batch{rec: rec, names: columns, first: done}
		if err := b.score(ctx, r, schema, out); err != nil {
			return nil, err
		}
		done += rec.NumRows()
		r.Progress(done, in.Rows, "rows", "")
	}
	return out, nil
}

// columns are those of the dataset that are read: the row expressions by
// their keys, and the models' features.
func (a *args) columns() []string {
	columns := []string{a.Target.Key}
	if a.ID.Given() {
		columns = append(columns, a.ID.Key)
	}
	for _, s := range a.subjects {
		if !s.arg.IsModel {
			columns = append(columns, s.arg.Key)
		}
		for _, input := range s.inputs {
			columns = append(columns, s.arg.Key+"."+input)
		}
	}
	return columns
}

// batch is some rows that are being scored.
type batch struct {
	rec   arrow.RecordBatch
	names []string
	first int64 // place of the first row in the dataset
}

func (b *batch) column(name string) arrow.Array {
	for i, n := range b.names {
		if n == name {
			return b.rec.Column(i)
		}
	}
	return nil
}

func (b *batch) texts(name string) (*array.String, error) {
	c, ok := b.column(name).(*array.String)
	if !ok {
		return nil, fmt.Errorf("%s is %s, and string is expected", name, b.column(name).DataType())
	}
	return c, nil
}

// answer is what a subject says to a batch. Confidence may be nil.
type answer struct {
	label      *array.String
	confidence *array.Float64
	failed     map[int]bool
}

func (b *batch) score(ctx context.Context, r *plugin.Run[args], schema data.Schema, out *scored) error {
	target, err := b.texts(r.Args.Target.Key)
	if err != nil {
		return err
	}
	answers := make([]answer, len(r.Args.subjects))
	for k, s := range r.Args.subjects {
		release, err := b.ask(ctx, r, s, &answers[k])
		if err != nil {
			return err
		}
		defer release()
	}
	for i := range target.Len() {
		if target.IsNull(i) {
			out.skipped++
			continue
		}
		out.rows++
		for k, a := range answers {
			label, given := a.at(i)
			out.tallies[k].Add(target.Value(i), label, given)
			if a.failed[i] {
				out.errors[k]++
			}
		}
	}
	return b.write(r, schema, target, answers)
}

func (a answer) at(i int) (label string, given bool) {
	if a.label.IsNull(i) || a.failed[i] {
		return "", false
	}
	return a.label.Value(i), true
}

// ask gets a subject's labels for the batch. release is to be called when
// they are not needed any more.
func (b *batch) ask(ctx context.Context, r *plugin.Run[args], s subject, to *answer) (release func(), err error) {
	if column, ok := s.arg.Column(); ok {
		to.label, err = b.texts(column.Key)
		return func() {}, err
	}
	handle, _ := s.arg.Model()
	features := b.features(s)
	defer features.Release()
	out, failed, err := r.Model(handle).Predict(ctx, features)
	if err != nil {
		return nil, fmt.Errorf("let subject %q predict: %w", s.name, err)
	}
	to.failed = map[int]bool{}
	for _, f := range failed {
		to.failed[f.Row] = true
	}
	for i, f := range out.Schema().Fields() {
		switch f.Name {
		case s.label:
			to.label, _ = out.Column(i).(*array.String)
		case s.confidence:
			to.confidence, _ = out.Column(i).(*array.Float64)
		}
	}
	if to.label == nil || s.confidence != "" && to.confidence == nil {
		out.Release()
		return nil, fmt.Errorf("let subject %q predict: its model answers with columns other than its signature says: %s", s.name, out.Schema())
	}
	return out.Release, nil
}

// features are a model's inputs under the names of its signature. The caller
// releases them.
func (b *batch) features(s subject) arrow.RecordBatch {
	fields, columns := make([]arrow.Field, len(s.inputs)), make([]arrow.Array, len(s.inputs))
	for i, input := range s.inputs {
		columns[i] = b.column(s.arg.Key + "." + input)
		fields[i] = arrow.Field{Name: input, Type: columns[i].DataType(), Nullable: true}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, b.rec.NumRows())
}

// write writes the single results of the rows that have a right label.
func (b *batch) write(r *plugin.Run[args], schema data.Schema, target *array.String, answers []answer) error {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer builder.Release()
	for i := range target.Len() {
		if target.IsNull(i) {
			continue
		}
		at := 0
		next := func() array.Builder { at++; return builder.Field(at - 1) }
		next().(*array.Int64Builder).Append(b.first + int64(i))
		if r.Args.ID.Given() {
			appendText(next(), b.column(r.Args.ID.Key), i)
		}
		appendText(next(), target, i)
		for k, a := range answers {
			if label, given := a.at(i); given {
				next().(*array.StringBuilder).Append(label)
			} else {
				next().AppendNull()
			}
			if r.Args.subjects[k].confidence != "" {
				appendConfidence(next(), a, i)
			}
		}
	}
	rec := builder.NewRecordBatch()
	defer rec.Release()
	if rec.NumRows() == 0 {
		return nil
	}
	return r.Write(resultsOutput, rec)
}

func appendText(b array.Builder, a arrow.Array, i int) {
	if text, ok := a.(*array.String); ok && text.IsValid(i) {
		b.(*array.StringBuilder).Append(text.Value(i))
		return
	}
	b.AppendNull()
}

func appendConfidence(b array.Builder, a answer, i int) {
	if a.failed[i] || a.confidence.IsNull(i) {
		b.AppendNull()
		return
	}
	b.(*array.Float64Builder).Append(a.confidence.Value(i))
}

// writeConfusion writes the fields of the confusion matrices that are not 0.
func writeConfusion(r *plugin.Run[args], s *scored) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, confusionSchema.Arrow())
	defer b.Release()
	for k, subject := range r.Args.subjects {
		for _, c := range s.tallies[k].Cells() {
			b.Field(0).(*array.StringBuilder).Append(subject.name)
			b.Field(1).(*array.StringBuilder).Append(c.Target)
			if c.Abstained {
				b.Field(2).AppendNull()
			} else {
				b.Field(2).(*array.StringBuilder).Append(c.Predicted)
			}
			b.Field(3).(*array.Int64Builder).Append(c.Rows)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return r.Write(confusionOutput, rec)
}
