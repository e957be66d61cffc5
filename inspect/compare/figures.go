package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/results"
)

// Figure is what two runs measured of a subject.
type Figure struct {
	Subject string             `json:"subject"`
	Metric  measurement.Metric `json:"metric"`
	// Before and After are nil if only one of the runs measured it.
	Before *measurement.Figure `json:"before,omitempty"`
	After  *measurement.Figure `json:"after,omitempty"`
	// Difference is After minus Before on the rows that both have, with a paired test. It
	// is nil if the runs did not keep the values of single rows, or if the rows cannot be
	// paired.
	Difference *measurement.Contrast `json:"difference,omitempty"`
}

// figures compares what an evaluation measured. note says why its rows cannot be paired,
// or what is no longer in the store.
func (c *comparer) figures(a, b *state.Instance) (all []Figure, note string, err error) {
	before, err := results.Read(c.ctx, c.store, a)
	if err == nil {
		var after *results.Evaluation
		if after, err = results.Read(c.ctx, c.store, b); err == nil {
			all = measured(before, after)
			note, err = c.test(all, a, b, before, after)
		}
	}
	switch {
	case errors.Is(err, results.ErrNoSubjects):
		return nil, "", nil
	case blob.Unavailable(err):
		return all, "Its rows cannot be compared, because its report is no longer in the store.", nil
	}
	return all, note, err
}

// measured lists the figures of both evaluations that differ, or that only one of them
// has.
func measured(before, after *results.Evaluation) []Figure {
	var all []Figure
	names := slices.Concat(after.Names(), without(before.Names(), after.Names()))
	for _, name := range names {
		was, is := subject(before, name), subject(after, name)
		for _, m := range slices.Concat(after.Metrics, before.Metrics) {
			a, had := was[m.Name]
			b, has := is[m.Name]
			if !had && !has || slices.ContainsFunc(all, func(f Figure) bool { return f.Subject == name && f.Metric.Name == m.Name }) {
				continue
			}
			f := Figure{Subject: name, Metric: m.Metric}
			if had {
				f.Before = &a
			}
			if has {
				f.After = &b
			}
			all = append(all, f)
		}
	}
	return all
}

func subject(e *results.Evaluation, name string) map[string]measurement.Figure {
	for _, s := range e.Subjects {
		if s.Name == name {
			return s.Figures
		}
	}
	return nil
}

// test adds paired tests to the figures.
func (c *comparer) test(all []Figure, a, b *state.Instance, before, after *results.Evaluation) (note string, err error) {
	was, err := answers(c.ctx, c.store, before, a)
	if errors.Is(err, results.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	is, err := answers(c.ctx, c.store, after, b)
	if errors.Is(err, results.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !was.identified || !is.identified {
		paired, err := c.sameRows(a, b)
		if err != nil {
			return "", err
		}
		if !paired {
			return "The differences are not tested, because the rows of the evaluations cannot be paired. Give the evaluation an id to pair rows that are in both.", nil
		}
		was.byPosition()
		is.byPosition()
	}
	var tested []*measurement.Contrast
	var p []float64
	for i := range all {
		d, err := difference(&all[i], was, is, after.Confidence)
		if err != nil {
			return "", fmt.Errorf("compare %s of %s: %w", all[i].Metric.Name, all[i].Subject, err)
		}
		if all[i].Difference = d; d != nil && d.P != nil {
			tested, p = append(tested, d), append(p, *d.P)
		}
	}
	for i, adjusted := range stats.Holm(p) {
		tested[i].PAdjusted = &adjusted
	}
	return "", nil
}

// values are the values of single rows.
type values struct {
	rows []rowValues
	at   map[string]int // by what identifies a row
	// identified is set if rows have different IDs.
	identified bool
}

// rowValues are the values of a row, by subject and metric: the means over the answers.
type rowValues struct {
	row         int64
	id, cluster string
	of          map[[2]string]float64
}

func answers(ctx context.Context, s *store.Store, e *results.Evaluation, inst *state.Instance) (*values, error) {
	v := &values{at: map[string]int{}, identified: true}
	// Without the dataset in the state, only what was measured is read.
	alone := &state.State{Instances: map[string]*state.Instance{inst.Address: inst}}
	for row, err := range e.Each(ctx, s, alone) {
		if err != nil {
			return nil, err
		}
		_, again := v.at[row.ID]
		v.identified = v.identified && row.ID != "" && !again
		v.at[row.ID] = len(v.rows)
		v.rows = append(v.rows, rowValues{row: row.Row, id: row.ID, cluster: row.Cluster, of: means(row)})
	}
	return v, nil
}

func (v *values) byPosition() {
	v.at = make(map[string]int, len(v.rows))
	for i := range v.rows {
		r := &v.rows[i]
		r.id = strconv.FormatInt(r.row, 10)
		v.at[r.id] = i
	}
}

func means(row *results.Row) map[[2]string]float64 {
	sums, n := map[[2]string]float64{}, map[[2]string]float64{}
	for i := range row.Answers {
		answer := &row.Answers[i]
		for metric, v := range answer.Values {
			key := [2]string{answer.Subject, metric}
			sums[key] += v
			n[key]++
		}
	}
	for key := range sums {
		sums[key] /= n[key]
	}
	return sums
}

// difference tests a figure, or returns nil if it is not the mean of the values of rows.
func difference(f *Figure, was, is *values, confidence float64) (*measurement.Contrast, error) {
	key := [2]string{f.Subject, f.Metric.Name}
	if !was.explain(key, f.Before) || !is.explain(key, f.After) {
		return nil, nil
	}
	var x, y []float64
	var clusters []string
	clustered := false
	for i := range is.rows {
		now := &is.rows[i]
		at, ok := was.at[now.id]
		if !ok {
			continue
		}
		a, had := was.rows[at].of[key]
		b, has := now.of[key]
		if had && has {
			x, y, clusters = append(x, b), append(y, a), append(clusters, now.cluster)
			clustered = clustered || now.cluster != ""
		}
	}
	if len(x) == 0 {
		return nil, nil
	}
	o := stats.Options{Confidence: confidence}
	if clustered {
		o.Clusters = stats.Clusters(clusters)
	}
	if f.Metric.Share {
		o.Range = [2]float64{0, 1}
	}
	got, err := stats.Compare(x, y, o)
	if errors.Is(err, stats.ErrUndefined) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := figures.ContrastOf(got, len(x))
	return &d, nil
}

// explain reports whether a figure is the mean of the values of single rows.
func (v *values) explain(key [2]string, f *measurement.Figure) bool {
	if f == nil || f.Value == nil {
		return false
	}
	sum, n := 0.0, 0
	for i := range v.rows {
		if value, ok := v.rows[i].of[key]; ok {
			sum, n = sum+value, n+1
		}
	}
	return n > 0 && math.Abs(sum/float64(n)-*f.Value) <= 1e-9*max(1, math.Abs(*f.Value))
}

// sameRows reports whether the rows at the same positions of two evaluations are the
// same: the evaluated datasets have the same number of rows and equal columns that tell
// most rows apart.
func (c *comparer) sameRows(a, b *state.Instance) (bool, error) {
	before, after := c.evaluated(a), c.evaluated(b)
	if before == nil || after == nil || before.Rows != after.Rows {
		return false, nil
	}
	var equal []string
	for _, name := range after.Schema.Names() {
		if before.ColumnDigest(name) == after.ColumnDigest(name) {
			equal = append(equal, name)
		}
	}
	if len(equal) == 0 {
		return false, nil
	}
	d := &rowDifference{ctx: c.ctx, blobs: c.store.Blobs, columns: equal}
	n, err := d.distinct(after)
	if blob.Unavailable(err) {
		return false, nil
	}
	return 2*n > after.Rows, err
}

// evaluated returns the dataset that an evaluation read, or nil if it is not in the
// store.
func (c *comparer) evaluated(inst *state.Instance) *dataset.Manifest {
	for _, a := range c.inputs(inst) {
		if results.Evaluated(a.Dataset, inst.Preimage.Fields()) {
			return a.Dataset
		}
	}
	return nil
}
