package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
)

// ErrNoRows is the error for an evaluator that outputs no individual answers,
// or outputs them in an unknown form.
var ErrNoRows = errors.New("the evaluator does not output individual answers")

// Each reads the rows with the subjects' answers, in the order of the dataset.
// It stops after an error. If there are no rows to read, the error is
// ErrNoRows. The content of the rows comes from the evaluated dataset, as long
// as it is in st.
func (e *Evaluation) Each(ctx context.Context, s *store.Store, st *state.State) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		inst := st.Instances[e.Address]
		if inst == nil || inst.Outputs[rowsOutput].Kind != artifact.Dataset {
			yield(nil, ErrNoRows)
			return
		}
		ref := inst.Outputs[rowsOutput]
		a, err := artifact.Get(s.Blobs, ref)
		if err != nil {
			yield(nil, fmt.Errorf("read the answers of %s: %w", e.Address, err))
			return
		}
		var all iter.Seq2[*Row, error]
		switch schema := a.Dataset.Schema; {
		case hasColumns(schema, "row", "subject", "text"):
			all = e.long(ctx, s, ref, source(s, st, inst))
		case hasColumns(schema, append([]string{"row", "target"}, e.Names()...)...):
			all = e.wide(ctx, s, ref, source(s, st, inst))
		default:
			yield(nil, ErrNoRows)
			return
		}
		for row, err := range all {
			if err != nil {
				err = fmt.Errorf("read the answers of %s: %w", e.Address, err)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func hasColumns(schema data.Schema, names ...string) bool {
	for _, name := range names {
		if _, _, ok := schema.Lookup(name); !ok {
			return false
		}
	}
	return true
}

// long reads a dataset with one row for each answer. from contains the complete
// rows, by position. If it is nil, only the columns that the metrics read are
// available.
func (e *Evaluation) long(ctx context.Context, s *store.Store, ref artifact.Ref, from *artifact.Ref) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		held := newPlaces(ctx, s, from)
		defer held.stop()
		var row *Row
		for r, err := range records(ctx, s, ref) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range int(r.rec.NumRows()) {
				at := deref(r.whole("row", i))
				if row == nil || row.Row != at {
					if row != nil && !yield(row, nil) {
						return
					}
					row = &Row{Row: at, ID: deref(r.text("id", i)), Cluster: deref(r.text("cluster", i))}
					if row.Given, err = held.at(at); err != nil {
						yield(nil, err)
						return
					}
					if row.Given == nil {
						row.Given = fields(r.text("given", i))
					}
				}
				row.Answers = append(row.Answers, e.answer(r, i))
			}
		}
		if row != nil {
			yield(row, nil)
		}
	}
}

func (e *Evaluation) answer(r record, i int) Answer {
	a := Answer{
		Subject: deref(r.text("subject", i)), Draw: deref(r.whole("draw", i)), Text: r.text("text", i),
		Request: raw(r.text("request", i)), ToolCalls: raw(r.text("tool_calls", i)),
		FinishReason: deref(r.text("finish_reason", i)), Refused: deref(r.truth("refused", i)), Error: deref(r.text("error", i)),
		Cost: r.number("cost", i), Latency: r.number("latency", i),
		InputTokens: r.whole("input_tokens", i), OutputTokens: r.whole("output_tokens", i),
		Passed: r.truth("passed", i), Values: map[string]float64{}, Explanations: map[string]string{},
	}
	for _, m := range e.Metrics {
		if v := r.number(m.Name, i); v != nil {
			a.Values[m.Name] = *v
		}
		if text := r.text(m.Name+"_explanation", i); text != nil {
			a.Explanations[m.Name] = *text
		}
	}
	if a.Passed != nil {
		a.Values["passed"] = share(*a.Passed)
	}
	return a
}

// wide reads a dataset with one row for each evaluated row, and a column of
// labels for each subject. from contains the complete rows, by position; it may
// be nil.
func (e *Evaluation) wide(ctx context.Context, s *store.Store, ref artifact.Ref, from *artifact.Ref) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		held := newPlaces(ctx, s, from)
		defer held.stop()
		for r, err := range records(ctx, s, ref) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range int(r.rec.NumRows()) {
				row := &Row{Row: deref(r.whole("row", i)), ID: deref(r.text("id", i)), Cluster: deref(r.text("cluster", i)), Target: deref(r.text("target", i))}
				if row.Given, err = held.at(row.Row); err != nil {
					yield(nil, err)
					return
				}
				for _, name := range e.Names() {
					row.Answers = append(row.Answers, label(r, i, name, row.Target))
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

func label(r record, i int, subject, target string) Answer {
	a := Answer{
		Subject: subject, Text: r.text(subject, i), Confidence: r.number(subject+"_confidence", i),
		Error: deref(r.text(subject+"_error", i)), Request: raw(r.text(subject+"_request", i)),
		Cost: r.number(subject+"_cost", i), Latency: r.number(subject+"_latency", i),
		InputTokens: r.whole(subject+"_input_tokens", i), OutputTokens: r.whole(subject+"_output_tokens", i),
	}
	right := a.Text != nil && *a.Text == target
	a.Passed = &right
	a.Values = map[string]float64{"accuracy": share(right), "coverage": share(a.Text != nil)}
	return a
}

func share(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// source returns the dataset that an instance evaluated: the input whose
// columns match those in its key. It returns nil if the dataset is no longer in
// the state.
func source(s *store.Store, st *state.State, inst *state.Instance) *artifact.Ref {
	entry, err := s.Actions.Get(inst.ActionKey)
	if err != nil || entry == nil {
		return nil
	}
	for _, in := range entry.Inputs {
		from := st.Instances[in.Address]
		if from == nil {
			continue
		}
		ref, ok := from.Outputs[in.Port]
		if ok && ref.Kind == artifact.Dataset && ref.Digest == in.Digest && evaluated(s, ref, inst.Preimage.Fields()) {
			return &ref
		}
	}
	return nil
}

// evaluated reports whether an artifact is the dataset with that preimage.
func evaluated(s *store.Store, ref artifact.Ref, preimage []action.Field) bool {
	a, err := artifact.Get(s.Blobs, ref)
	return err == nil && Evaluated(a.Dataset, preimage)
}

// Evaluated reports whether a dataset is the one that an evaluation with that preimage
// read.
func Evaluated(m *dataset.Manifest, preimage []action.Field) bool {
	read := 0
	for _, f := range preimage {
		if f.Name == "input dataset digest" {
			return f.Value == m.Digest()
		}
		if column, ok := strings.CutPrefix(f.Name, "input dataset column "); ok {
			if m.ColumnDigest(column) != f.Value {
				return false
			}
			read++
		}
	}
	return read > 0
}

// places returns the rows of a dataset at ascending positions.
type places struct {
	next  func() (record, error, bool)
	stop  func()
	r     record
	first int64 // position of the first row of r
}

func newPlaces(ctx context.Context, s *store.Store, ref *artifact.Ref) *places {
	if ref == nil {
		return &places{next: func() (record, error, bool) { return record{}, nil, false }, stop: func() {}}
	}
	p := &places{}
	p.next, p.stop = iter.Pull2(records(ctx, s, *ref))
	return p
}

// at returns the content of the row at a position, or nil if there is no such
// row.
func (p *places) at(row int64) ([]Field, error) {
	for p.r.rec == nil || row >= p.first+p.r.rec.NumRows() {
		if p.r.rec != nil {
			p.first += p.r.rec.NumRows()
		}
		r, err, ok := p.next()
		if err != nil {
			return nil, fmt.Errorf("read the dataset: %w", err)
		}
		if !ok {
			p.next = func() (record, error, bool) { return record{}, nil, false }
			p.r = record{}
			return nil, nil
		}
		p.r = r
	}
	var out []Field
	for i, f := range p.r.rec.Schema().Fields() {
		text, err := jsontext.Marshal(p.r.rec.Column(i).GetOneForMarshal(int(row - p.first)))
		if err != nil {
			return nil, fmt.Errorf("read column %q of the dataset: %w", f.Name, err)
		}
		out = append(out, Field{f.Name, text})
	}
	return out, nil
}

// fields returns the members of a JSON object, by name. For anything else, it
// returns none.
func fields(text *string) []Field {
	var object map[string]json.RawMessage
	if text == nil || json.Unmarshal([]byte(*text), &object) != nil {
		return nil
	}
	var out []Field
	for name, v := range object {
		out = append(out, Field{name, v})
	}
	slices.SortFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func raw(text *string) json.RawMessage {
	if text == nil || !json.Valid([]byte(*text)) {
		return nil
	}
	return json.RawMessage(*text)
}

// ---- cells -----------------------------------------------------------------

func (r record) text(name string, i int) *string {
	if c, ok := r.columns[name].(*array.String); ok && c.IsValid(i) {
		v := strings.Clone(c.Value(i)) // it outlives the batch
		return &v
	}
	return nil
}

func (r record) number(name string, i int) *float64 {
	if c, ok := r.columns[name].(*array.Float64); ok && c.IsValid(i) {
		v := c.Value(i)
		return &v
	}
	return nil
}

func (r record) whole(name string, i int) *int64 {
	if c, ok := r.columns[name].(*array.Int64); ok && c.IsValid(i) {
		v := c.Value(i)
		return &v
	}
	return nil
}

func (r record) truth(name string, i int) *bool {
	if c, ok := r.columns[name].(*array.Boolean); ok && c.IsValid(i) {
		v := c.Value(i)
		return &v
	}
	return nil
}
