package results

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
)

// Matrix shows subjects by metrics. If turned, subjects are the columns.
func (e *Evaluation) Matrix(turned bool) *Table {
	t := &Table{Header: []string{"subject"}}
	for _, m := range e.Metrics {
		t.Header = append(t.Header, m.Title())
	}
	extras := e.extras()
	for _, x := range extras {
		t.Header = append(t.Header, x.name)
	}
	for _, place := range e.order() {
		s := e.Subjects[place]
		row := []string{s.Name}
		for _, m := range e.Metrics {
			row = append(row, e.cell(m, s))
		}
		for _, x := range extras {
			row = append(row, x.text(s))
		}
		t.add(row...)
	}
	if turned {
		return t.turned("metric")
	}
	return t
}

// cell formats a figure of a subject, with what it is based on.
func (e *Evaluation) cell(m Metric, s Subject) string {
	text := m.Figure(s.Figures[m.Name])
	var notes []string
	if f := s.Figures[m.Name]; f.Value != nil && f.N < e.Rows {
		notes = append(notes, fmt.Sprintf("n = %d", f.N))
	}
	if failed := s.Failed(m); failed > 0 {
		notes = append(notes, english.Count(failed, "error"))
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// Failed counts the errors of a metric that the failed answers of the subject do
// not account for, or that are missing from a mean.
func (s Subject) Failed(m Metric) int64 {
	errors := deref(s.Figures[m.Name].Errors)
	if errors == deref(s.Errors) && m.Kind != "number" {
		return 0
	}
	return errors
}

// order returns the order of the subjects in tables: as configured or, if there
// are many, best first.
func (e *Evaluation) order() []int {
	if e.Many() {
		return e.Ranked()
	}
	places := make([]int, len(e.Subjects))
	for i := range places {
		places[i] = i
	}
	return places
}

// turned transposes a table.
func (t *Table) turned(corner string) *Table {
	out := &Table{Header: []string{corner}}
	for _, row := range t.Rows {
		out.Header = append(out.Header, row[0])
	}
	for c := 1; c < len(t.Header); c++ {
		cells := []string{t.Header[c]}
		for _, row := range t.Rows {
			cells = append(cells, row[c])
		}
		out.add(cells...)
	}
	return out
}

// extra is a property of subjects in addition to the metrics.
type extra struct {
	name string
	text func(Subject) string
}

// extras returns those that are known for any subject.
func (e *Evaluation) extras() []extra {
	var out []extra
	add := func(name string, known func(Subject) bool, text func(Subject) string) {
		if slices.ContainsFunc(e.Subjects, known) {
			out = append(out, extra{name, text})
		}
	}
	add("errors", func(s Subject) bool { return s.Errors != nil }, func(s Subject) string { return strconv.FormatInt(deref(s.Errors), 10) })
	add("cut off", func(s Subject) bool { return deref(s.CutOff) > 0 }, func(s Subject) string { return strconv.FormatInt(deref(s.CutOff), 10) })
	add("refused", func(s Subject) bool { return deref(s.Refused) > 0 }, func(s Subject) string { return strconv.FormatInt(deref(s.Refused), 10) })
	add("tokens", func(s Subject) bool { return s.Tokens != nil && s.Tokens.Total != nil }, func(s Subject) string {
		if s.Tokens == nil || s.Tokens.Total == nil {
			return Unknown
		}
		return english.Number(int64(*s.Tokens.Total))
	})
	add("cost", func(s Subject) bool { return s.Cost != nil && s.Cost.Total != nil }, func(s Subject) string {
		if s.Cost == nil {
			return Unknown
		}
		return Money(s.Cost.Total)
	})
	add("latency", func(s Subject) bool { return s.Latency != nil && s.Latency.P50 != nil }, func(s Subject) string {
		if s.Latency == nil {
			return Unknown
		}
		return Seconds(s.Latency.P50)
	})
	return out
}

// Changes returns the differences that people are shown, or nil if there are
// none.
func (e *Evaluation) Changes() *Table {
	shown := e.Comparisons()
	if len(shown) == 0 {
		return nil
	}
	t := &Table{
		Header:  []string{"difference", "metric", "value", "interval", "p", "p, corrected", "detectable", "rows"},
		Numbers: []bool{false, false, true, false, true, true, true, true},
	}
	for _, d := range shown {
		m, _ := e.Metric(d.Metric)
		t.add(d.A+" - "+d.B, m.Title(), m.Change(d.Value), m.ChangeInterval(d.Figure), Probability(d.P), Probability(d.PAdjusted), Detectable(m, d), strconv.FormatInt(d.N, 10))
	}
	return t
}

// Detectable formats the smallest difference that would have been detected.
func Detectable(m Metric, d Difference) string {
	switch {
	case d.Detectable == nil:
		return Unknown
	case m.Share:
		return fmt.Sprintf("%.1f", 100**d.Detectable)
	}
	return Short(*d.Detectable)
}

// Tidy contains all figures and differences with all digits, one per row. For a
// difference, less names the subject that is subtracted.
func (e *Evaluation) Tidy() *Table {
	t := &Table{Header: []string{"subject", "less", "metric", "value", "low", "high", "n", "p", "p_adjusted", "detectable", "errors"}}
	one := func(subject, metric string, f measurement.Figure) {
		t.add(subject, "", metric, exact(f.Value), exact(f.Low), exact(f.High), strconv.FormatInt(f.N, 10), "", "", "", count(f.Errors))
	}
	for _, s := range e.Subjects {
		for _, m := range e.Metrics {
			if f, ok := s.Figures[m.Name]; ok {
				one(s.Name, m.Name, f)
			}
		}
		if s.Cost != nil {
			one(s.Name, "cost", s.Cost.Figure)
		}
		if s.Tokens != nil {
			one(s.Name, "tokens", s.Tokens.Figure)
		}
		if s.Latency != nil {
			one(s.Name, "latency", s.Latency.Figure)
		}
	}
	for _, d := range e.Differences {
		t.add(d.A, d.B, d.Metric, exact(d.Value), exact(d.Low), exact(d.High), strconv.FormatInt(d.N, 10), exact(d.P), exact(d.PAdjusted), exact(d.Detectable), "")
	}
	return t
}

// Confused contains the most frequent confusions of a classification, or is nil
// if there are none.
func (e *Evaluation) Confused(most int) *Table {
	wrong := slices.DeleteFunc(slices.Clone(e.Confusion), func(c Confusion) bool { return !c.Wrong() })
	if len(wrong) == 0 {
		return nil
	}
	slices.SortStableFunc(wrong, func(a, b Confusion) int { return cmp.Compare(b.Rows, a.Rows) })
	t := &Table{Header: []string{"subject", "right", "predicted", "rows"}, Numbers: []bool{false, false, false, true}}
	for _, c := range wrong[:min(most, len(wrong))] {
		t.add(c.Subject, c.Target, Predicted(c.Predicted), strconv.FormatInt(c.Rows, 10))
	}
	if len(e.Subjects) == 1 {
		t.drop(0)
	}
	return t
}

// Predicted formats a label that may be missing.
func Predicted(label *string) string {
	if label == nil {
		return "(none)"
	}
	return *label
}
