package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// ErrNoSubjects is the error for an instance without subjects: it is not an
// evaluation, or one in a different form.
var ErrNoSubjects = errors.New("it has no subjects with figures")

// The outputs of an evaluator in addition to its report.
const (
	rowsOutput      = "rows"
	confusionOutput = "confusion"
)

// found is the value of an evaluator.
type found struct {
	Rows        int64                                      `json:"rows"`
	Scored      int64                                      `json:"scored"`
	Skipped     int64                                      `json:"skipped"`
	Subjects    map[string]map[string]json.RawMessage      `json:"subjects"`
	Differences map[string]map[string]measurement.Contrast `json:"differences"`
}

// described is what an evaluator's report contains in addition to the value.
type described struct {
	measurement.Description
	Repeats int      `json:"repeats"`
	Notes   []string `json:"notes"`
}

// Read reads an evaluation. The error is ErrNoSubjects if the instance has no
// figures of subjects.
func Read(ctx context.Context, s *store.Store, inst *state.Instance) (*Evaluation, error) {
	f, err := valueOf(inst)
	if err != nil {
		return nil, err
	}
	about, err := description(s, inst)
	if err != nil {
		return nil, err
	}
	e := &Evaluation{
		Address: inst.Address, Type: inst.Type, Rows: max(f.Rows, f.Scored), Skipped: f.Skipped,
		Repeats: about.Repeats, Confidence: confidence(inst.Preimage.Fields()), Notes: about.Notes,
	}
	for _, name := range inOrder(about.Order, slices.Sorted(maps.Keys(f.Subjects))) {
		e.Subjects = append(e.Subjects, subject(name, f.Subjects[name]))
	}
	if slices.Contains(e.Names(), about.Baseline) {
		e.Baseline = about.Baseline
	}
	if e.Metrics = e.metrics(about.Metrics); len(e.Metrics) == 0 {
		return nil, ErrNoSubjects
	}
	e.differences(f.Differences)
	e.Confusion, err = confusion(ctx, s, inst)
	return e, err
}

func valueOf(inst *state.Instance) (*found, error) {
	if inst.Value == nil {
		return nil, ErrNoSubjects
	}
	v, err := inst.Value.Get()
	if err != nil {
		return nil, fmt.Errorf("read the value of %s: %w", inst.Address, err)
	}
	if v.IsNull() || !v.Type().IsObjectType() || !v.Type().HasAttribute("subjects") {
		return nil, ErrNoSubjects
	}
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return nil, fmt.Errorf("read the value of %s: %w", inst.Address, err)
	}
	f := &found{}
	if json.Unmarshal(text, f) != nil || len(f.Subjects) == 0 {
		return nil, ErrNoSubjects
	}
	return f, nil
}

// description reads the report's file for programs, if it exists.
func description(s *store.Store, inst *state.Instance) (*described, error) {
	about := &described{}
	text, err := ReportFile(s, inst, measurement.File)
	// A report in a different form says nothing about the order.
	if err != nil || text == nil || json.Unmarshal(text, about) != nil {
		return &described{}, err
	}
	return about, nil
}

// ReportFile reads a file of an evaluator's report, or returns nil if it has no
// such file.
func ReportFile(s *store.Store, inst *state.Instance, name string) ([]byte, error) {
	ref, ok := inst.Outputs[""]
	if !ok || ref.Kind != artifact.Report {
		return nil, nil
	}
	a, err := artifact.Get(s.Blobs, ref)
	if err != nil {
		return nil, fmt.Errorf("read the report of %s: %w", inst.Address, err)
	}
	for _, file := range a.Files {
		if file.Name != name {
			continue
		}
		text, err := s.Blobs.Get(file.Digest)
		if err != nil {
			return nil, fmt.Errorf("read the report of %s: %w", inst.Address, err)
		}
		return text, nil
	}
	return nil, nil
}

// confidence is an argument that both evaluators have, so it is in the preimage
// of their keys.
func confidence(preimage []action.Field) float64 {
	for _, f := range preimage {
		if f.Name == "number confidence" {
			v, _ := strconv.ParseFloat(f.Value, 64)
			return v
		}
	}
	return 0
}

// inOrder sorts names in the wanted order. Names that are not in it come last.
func inOrder(wanted, names []string) []string {
	var out []string
	for _, name := range wanted {
		if slices.Contains(names, name) {
			out = append(out, name)
		}
	}
	for _, name := range names {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func subject(name string, attrs map[string]json.RawMessage) Subject {
	s := Subject{Name: name, Figures: map[string]measurement.Figure{}}
	for key, text := range attrs {
		var total measurement.Total
		var latency measurement.Latency
		switch {
		case key == "answers":
			s.Answers = whole(text)
		case key == "errors":
			s.Errors = whole(text)
		case key == "cut_off":
			s.CutOff = whole(text)
		case key == "refused":
			s.Refused = whole(text)
		case key == "classes":
			_ = json.Unmarshal(text, &s.Classes) // in a different form, there are none
		case key == "cost" && has(text, "total") && json.Unmarshal(text, &total) == nil:
			s.Cost = &total
		case key == "tokens" && has(text, "total") && json.Unmarshal(text, &total) == nil:
			s.Tokens = &total
		case key == "latency" && has(text, "p50") && json.Unmarshal(text, &latency) == nil:
			s.Latency = &latency
		case has(text, "value", "low", "high"):
			var f measurement.Figure
			if json.Unmarshal(text, &f) == nil {
				s.Figures[key] = f
			}
		}
	}
	return s
}

func whole(text json.RawMessage) *int64 {
	var n *int64
	if json.Unmarshal(text, &n) != nil {
		return nil
	}
	return n
}

// has reports whether JSON is an object with these names.
func has(text json.RawMessage, names ...string) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil {
		return false
	}
	for _, name := range names {
		if _, ok := object[name]; !ok {
			return false
		}
	}
	return true
}

// metrics returns the metrics that any subject has a figure for, in the
// evaluator's order, followed by those that it does not describe.
func (e *Evaluation) metrics(told []measurement.Metric) []Metric {
	there := map[string]bool{}
	for _, s := range e.Subjects {
		for name := range s.Figures {
			there[name] = true
		}
	}
	var order []string
	byName := map[string]measurement.Metric{}
	for _, m := range told {
		byName[m.Name] = m
		order = append(order, m.Name)
	}
	var out []Metric
	for _, name := range inOrder(order, slices.Sorted(maps.Keys(there))) {
		m, known := byName[name]
		if !known {
			m.Name = name
		}
		out = append(out, Metric{m})
	}
	return out
}

// differences takes each pair of subjects once: with the baseline last, or the
// earlier one first.
func (e *Evaluation) differences(all map[string]map[string]measurement.Contrast) {
	for i, a := range e.Subjects {
		for j, b := range e.Subjects {
			if a.Name == e.Baseline || b.Name != e.Baseline && (e.Baseline != "" || j <= i) {
				continue
			}
			for _, m := range e.Metrics {
				if c, ok := all[a.Name+" - "+b.Name][m.Name]; ok {
					e.Differences = append(e.Differences, Difference{a.Name, b.Name, m.Name, c})
				}
			}
		}
	}
}

func confusion(ctx context.Context, s *store.Store, inst *state.Instance) ([]Confusion, error) {
	ref, ok := inst.Outputs[confusionOutput]
	if !ok {
		return nil, nil
	}
	var out []Confusion
	for r, err := range records(ctx, s, ref) {
		if err != nil {
			return nil, fmt.Errorf("read the confusions of %s: %w", inst.Address, err)
		}
		for i := range int(r.rec.NumRows()) {
			c := Confusion{Predicted: r.text("predicted", i)}
			if n := r.whole("rows", i); n != nil {
				c.Rows = *n
			}
			c.Subject, c.Target = deref(r.text("subject", i)), deref(r.text("target", i))
			out = append(out, c)
		}
	}
	return out, nil
}

// records iterates over the batches of a dataset.
func records(ctx context.Context, s *store.Store, ref artifact.Ref) func(yield func(record, error) bool) {
	return func(yield func(record, error) bool) {
		a, err := artifact.Get(s.Blobs, ref)
		if err == nil && a.Dataset == nil {
			err = fmt.Errorf("it is a %s, not a dataset", a.Kind)
		}
		var shards []data.Shard
		if err == nil {
			shards, err = a.Dataset.Files(s.Blobs, nil)
		}
		if err != nil {
			yield(record{}, err)
			return
		}
		for rec, err := range data.Read(ctx, shards, nil, 0) {
			if err != nil {
				yield(record{}, err)
				return
			}
			if !yield(newRecord(rec), nil) {
				return
			}
		}
	}
}

// record is a batch with columns found by name.
type record struct {
	rec     arrow.RecordBatch
	columns map[string]arrow.Array
}

func newRecord(rec arrow.RecordBatch) record {
	r := record{rec, map[string]arrow.Array{}}
	for i, f := range rec.Schema().Fields() {
		r.columns[f.Name] = rec.Column(i)
	}
	return r
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
