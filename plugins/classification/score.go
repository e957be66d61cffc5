package classification

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// scored is the result of a pass over the rows. Slices by subject are in the
// order of the subjects.
type scored struct {
	rows, skipped int64
	tallies       []*Tally
	numbered      *numbered
	clusters      []string // of the scored rows; nil if the argument is not set
	errors        []int64  // rows on which the model failed
	failures      []string // the first failure of each subject
	// The cost, tokens, and latency of language models for each row. NaN means
	// unknown.
	cost, tokens, latency [][]float64
}

func newScored(n int) *scored {
	s := &scored{
		numbered: newNumbered(n), errors: make([]int64, n), failures: make([]string, n),
		cost: make([][]float64, n), tokens: make([][]float64, n), latency: make([][]float64, n),
	}
	for range n {
		s.tallies = append(s.tallies, NewTally())
	}
	return s
}

// score reads the rows, writes the single results, and counts.
func score(ctx context.Context, r *plugin.Run[args]) (*scored, error) {
	a := r.Args
	schema, err := a.resultsSchema()
	if err != nil {
		return nil, err
	}
	panel, err := subjects.NewPanel(ctx, r, a.subjects)
	if err != nil {
		return nil, err
	}
	panel.Ask, panel.Skip = a.ask, a.Target.Key
	out := newScored(len(a.subjects))
	in := r.Dataset(a.Dataset)
	pace := subjects.NewPace(panel.Asks(), func(rows int64) { r.Progress(rows, in.Rows, "rows", "") })
	asks := panel.Asks() > 0
	panel.Answered = func() { pace.Step(1) }
	panel.Failed = func(row int64, err error) error { return r.FailRow(row, prompting.MayPass(err), err) }
	work := func(ctx context.Context, c subjects.Chunk) ([][][]*subjects.Answer, error) {
		return panel.Answers(ctx, c)
	}
	err = subjects.Pass(ctx, panel, in, asks, work, func(c subjects.Chunk, answers [][][]*subjects.Answer) error {
		b := &batch{rec: c.Rec, first: c.First, schema: schema}
		if err := b.score(r, answers, out); err != nil {
			return err
		}
		if !asks {
			pace.Step(c.Rec.NumRows())
		}
		return nil
	})
	return out, err
}

// batch is a batch of rows that are being scored.
type batch struct {
	rec    arrow.RecordBatch
	first  int64 // position of the first row in the dataset
	schema data.Schema
}

func (b *batch) score(r *plugin.Run[args], answers [][][]*subjects.Answer, out *scored) error {
	target := subjects.Texts(b.rec, r.Args.Target.Key)
	if target == nil {
		return fmt.Errorf("the target is not a column of strings")
	}
	clusters := subjects.Texts(b.rec, r.Args.Cluster.Key)
	for i := range target.Len() {
		if target.IsNull(i) {
			out.skipped++
			continue
		}
		out.rows++
		right := strings.Clone(target.Value(i)) // a copy, because it outlives the batch
		out.numbered.addTarget(right)
		if r.Args.Cluster.IsSet() {
			name, ok := subjects.Text(clusters, i)
			if !ok {
				// A row without a cluster is its own cluster.
				name = fmt.Sprintf("\x00%d", b.first+int64(i))
			}
			out.clusters = append(out.clusters, strings.Clone(name))
		}
		for k := range answers {
			out.add(k, right, answers[k][0][i])
		}
	}
	return b.write(r, target, answers)
}

// add counts an answer of a subject.
func (s *scored) add(subject int, right string, a *subjects.Answer) {
	label, given := labelOf(a)
	s.tallies[subject].Add(right, label, given)
	s.numbered.add(subject, label, given)
	if failed(a) {
		if s.errors[subject]++; s.errors[subject] == 1 {
			s.failures[subject] = a.Err.Error()
		}
	}
	cost, tokens, latency := math.NaN(), math.NaN(), math.NaN()
	if r := a.Response; r != nil && !a.Free {
		tokens, latency = float64(r.Usage.Input+r.Usage.Output), r.Latency
		if r.Cost != nil {
			cost = *r.Cost
		}
	}
	s.cost[subject] = append(s.cost[subject], cost)
	s.tokens[subject] = append(s.tokens[subject], tokens)
	s.latency[subject] = append(s.latency[subject], latency)
}

func labelOf(a *subjects.Answer) (label string, given bool) {
	if a.Err != nil || a.Response == nil {
		return "", false
	}
	return a.Response.Text, true
}

// failed reports whether a label is missing because of a failure. A null label
// is not a failure: the subject chose not to give one.
func failed(a *subjects.Answer) bool { return a.Err != nil && !errors.Is(a.Err, subjects.ErrNoAnswer) }

// write writes the single results of the rows that have a correct label.
func (b *batch) write(r *plugin.Run[args], target *array.String, answers [][][]*subjects.Answer) error {
	rows := subjects.NewRows(b.schema)
	defer rows.Release()
	ids, clusters := subjects.Texts(b.rec, r.Args.ID.Key), subjects.Texts(b.rec, r.Args.Cluster.Key)
	for i := range target.Len() {
		if target.IsNull(i) {
			continue
		}
		values := map[string]any{"row": b.first + int64(i), "target": target.Value(i)}
		if id, ok := subjects.Text(ids, i); ok {
			values["id"] = id
		}
		if name, ok := subjects.Text(clusters, i); ok {
			values["cluster"] = name
		}
		for k := range answers {
			if err := describe(values, r.Args.subjects[k].Name, answers[k][0][i]); err != nil {
				return err
			}
		}
		if err := rows.Add(values); err != nil {
			return err
		}
	}
	rec := rows.Batch()
	defer rec.Release()
	if rec.NumRows() == 0 {
		return nil
	}
	return r.Write(resultsOutput, rec)
}

// describe adds the known properties of an answer to the columns for them.
func describe(values map[string]any, subject string, a *subjects.Answer) error {
	if label, given := labelOf(a); given {
		values[subject] = label
	}
	if failed(a) {
		values[subject+"_error"] = a.Err.Error()
	}
	if a.Confidence != nil {
		values[subject+"_confidence"] = *a.Confidence
	}
	if a.Request != nil {
		values[subject+"_request"] = string(a.Request)
	}
	if u := a.Response; u != nil && !a.Free {
		values[subject+"_input_tokens"], values[subject+"_output_tokens"] = u.Usage.Input, u.Usage.Output
		values[subject+"_latency"] = u.Latency
		if u.Cost != nil {
			values[subject+"_cost"] = *u.Cost
		}
	}
	requests, ok, err := a.Asked.JSON()
	if ok {
		values[subject+"_requests"] = requests
	}
	return err
}

// writeConfusion writes the cells of the confusion matrices that are not zero.
func writeConfusion(r *plugin.Run[args], s *scored) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, confusionSchema.Arrow())
	defer b.Release()
	for k, subject := range r.Args.subjects {
		for _, c := range s.tallies[k].Cells() {
			b.Field(0).(*array.StringBuilder).Append(subject.Name)
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
