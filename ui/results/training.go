package results

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// curvesOutput is the output of a trainer with a row for each time that it logged
// its losses.
const curvesOutput = "curves"

// Training is what a trainer did.
type Training struct {
	Address, Type string
	// Values are the plain values of the stage, such as its metrics, in the order
	// of their names.
	Values [][2]string
	// Curves are empty if the trainer has no output "curves".
	Curves []Curve
	// Entry is the action that trained, or nil if it is no longer in the store.
	Entry *action.Entry
	// Outputs by port.
	Outputs map[string]artifact.Ref
}

// Curve is a quantity over the steps of a training.
type Curve struct {
	Name   string
	Points []Point
	// Mean is how many rows a point is the mean of, if there are too many.
	Mean int
}

// Point is the value of a curve at a step.
type Point struct{ Step, Value float64 }

// mostPoints is how many points of a curve are drawn.
const mostPoints = 800

// ReadTraining reads what a trainer did.
func ReadTraining(ctx context.Context, s *store.Store, inst *state.Instance) (*Training, error) {
	t := &Training{Address: inst.Address, Type: inst.Type, Outputs: inst.Outputs}
	if inst.Value != nil {
		v, err := inst.Value.Get()
		if err != nil {
			return nil, fmt.Errorf("read its values: %w", err)
		}
		t.Values = plainValues(v)
	}
	if inst.ActionKey != "" {
		entry, err := s.Actions.Get(inst.ActionKey)
		if err != nil {
			return nil, fmt.Errorf("read its action: %w", err)
		}
		t.Entry = entry
	}
	if ref, ok := inst.Outputs[curvesOutput]; ok {
		var err error
		if t.Curves, err = readCurves(ctx, s, ref); err != nil {
			return nil, fmt.Errorf("read its curves: %w", err)
		}
	}
	return t, nil
}

// plainValues returns the attributes of a value that are texts, numbers, or bools.
func plainValues(v cty.Value) [][2]string {
	if v.IsNull() || !v.Type().IsObjectType() {
		return nil
	}
	attrs := v.AsValueMap()
	var out [][2]string
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		if text := plainValue(attrs[name]); text != "" {
			out = append(out, [2]string{name, text})
		}
	}
	return out
}

func plainValue(v cty.Value) string {
	if v.IsNull() {
		return ""
	}
	switch v.Type() {
	case cty.String:
		return v.AsString()
	case cty.Bool:
		return strconv.FormatBool(v.True())
	case cty.Number:
		if n, accuracy := v.AsBigFloat().Int64(); accuracy == 0 {
			return english.Number(n)
		}
		f, _ := v.AsBigFloat().Float64()
		return strconv.FormatFloat(f, 'g', 6, 64)
	}
	return ""
}

// readCurves returns the numeric columns of a dataset over its column "step", and
// the speed that its columns "tokens" and "seconds" imply. It returns nil if the
// dataset has no steps.
func readCurves(ctx context.Context, s *store.Store, ref artifact.Ref) ([]Curve, error) {
	a, err := artifact.Get(s.Blobs, ref)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range a.Dataset.Schema {
		if c.Type == "int64" || c.Type == "float64" {
			names = append(names, c.Name)
		}
	}
	if !slices.Contains(names, "step") {
		return nil, nil
	}
	shards, err := a.Dataset.Files(s.Blobs, names)
	if err != nil {
		return nil, err
	}
	log := newLog(names, a.Dataset.Rows)
	for rec, err := range data.Read(ctx, shards, names, 0) {
		if err != nil {
			return nil, err
		}
		log.add(rec)
	}
	return log.curves(), nil
}

// log collects the points of curves. If there are many rows, a point is the mean
// of some of them.
type log struct {
	names  []string
	mean   int
	points map[string][]Point
	sums   map[string]*sum
	before map[string]float64 // tokens and seconds of the last row
}

// sum is the part of a curve that is not yet a point.
type sum struct {
	n           int
	step, value float64
}

// speed is the curve that is computed from tokens and seconds.
const speed = "tokens_per_second"

func newLog(names []string, rows int64) *log {
	return &log{names: names, mean: int((rows + mostPoints - 1) / mostPoints), points: map[string][]Point{}, sums: map[string]*sum{}}
}

func (l *log) add(rec arrow.RecordBatch) {
	for i := range int(rec.NumRows()) {
		row := map[string]float64{}
		for k, name := range l.names {
			if v, ok := numberAt(rec.Column(k), i); ok {
				row[name] = v
			}
		}
		step, ok := row["step"]
		if !ok {
			continue
		}
		if perSecond, ok := l.speed(row); ok {
			row[speed] = perSecond
		}
		for name, v := range row {
			if !slices.Contains([]string{"step", "tokens", "seconds", "epoch"}, name) {
				l.point(name, step, v)
			}
		}
	}
}

// speed returns the tokens per second since the row before.
func (l *log) speed(row map[string]float64) (float64, bool) {
	tokens, ok := row["tokens"]
	seconds, timed := row["seconds"]
	if !ok || !timed {
		return 0, false
	}
	before := l.before
	l.before = map[string]float64{"tokens": tokens, "seconds": seconds}
	if before == nil || seconds <= before["seconds"] || tokens <= before["tokens"] {
		return 0, false // the first row, one without a step, or one after an interruption
	}
	return (tokens - before["tokens"]) / (seconds - before["seconds"]), true
}

func (l *log) point(name string, step, value float64) {
	s := l.sums[name]
	if s == nil {
		s = &sum{}
		l.sums[name] = s
	}
	s.n, s.step, s.value = s.n+1, s.step+step, s.value+value
	if s.n == max(l.mean, 1) {
		l.end(name)
	}
}

// end makes a point of a sum.
func (l *log) end(name string) {
	if s := l.sums[name]; s.n > 0 {
		n := float64(s.n)
		l.points[name] = append(l.points[name], Point{s.step / n, s.value / n})
		*s = sum{}
	}
}

// curves returns the curves in the order of the columns.
func (l *log) curves() []Curve {
	var out []Curve
	for _, name := range append(slices.Clone(l.names), speed) {
		if l.sums[name] == nil {
			continue
		}
		l.end(name)
		out = append(out, Curve{Name: name, Points: l.points[name], Mean: max(l.mean, 1)})
	}
	return out
}

func numberAt(a arrow.Array, i int) (float64, bool) {
	if a.IsNull(i) {
		return 0, false
	}
	switch a := a.(type) {
	case *array.Int64:
		return float64(a.Value(i)), true
	case *array.Float64:
		return a.Value(i), !math.IsNaN(a.Value(i)) && !math.IsInf(a.Value(i), 0)
	}
	return 0, false
}
