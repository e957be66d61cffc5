package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/ui/results"
)

// figureRow is a metric with the figures of all subjects, side by side.
type figureRow struct {
	Name, About, Rubric string
	Plot                plot
	Cells               []figureCell
}

type figureCell struct {
	Value, Interval, Note string
	// Best is set if no other subject has a higher value.
	Best bool
}

func figureRows(e *results.Evaluation) []figureRow {
	var out []figureRow
	for _, m := range e.Metrics {
		row := figureRow{Name: m.Title(), About: about(m), Rubric: m.Rubric}
		var figures []measurement.Figure
		best := math.Inf(-1)
		for _, s := range e.Subjects {
			f := s.Figures[m.Name]
			figures = append(figures, f)
			if f.Value != nil {
				best = max(best, *f.Value)
			}
		}
		for i, f := range figures {
			cell := figureCell{Value: m.Format(f.Value), Interval: m.Interval(f), Note: note(e, m, e.Subjects[i])}
			cell.Best = len(figures) > 1 && graded(m) && f.Value != nil && *f.Value == best
			row.Cells = append(row.Cells, cell)
		}
		row.Plot = newPlot(m, figures, false)
		out = append(out, row)
	}
	return out
}

// note says what a figure is based on, if that is not all rows.
func note(e *results.Evaluation, m results.Metric, s results.Subject) string {
	var notes []string
	if f := s.Figures[m.Name]; f.Value != nil && f.N != e.Rows {
		notes = append(notes, english.Count(f.N, "row"))
	}
	if failed := s.Failed(m); failed > 0 {
		notes = append(notes, english.Count(failed, "error"))
	}
	return strings.Join(notes, ", ")
}

// board shows the figures of many subjects: one row per subject, best first.
type board struct {
	Metrics []string
	Rows    []boardRow
}

type boardRow struct {
	Subject string
	Cells   []boardCell
}

type boardCell struct {
	figureCell
	Plot plot
	// Exact is the value that rows are sorted by.
	Exact float64
}

// newBoard returns the board, or nil if there are only a few subjects.
func newBoard(e *results.Evaluation) *board {
	if !e.Many() {
		return nil
	}
	b := &board{}
	for _, m := range e.Metrics {
		b.Metrics = append(b.Metrics, m.Title())
	}
	for _, place := range e.Ranked() {
		s := e.Subjects[place]
		row := boardRow{Subject: s.Name}
		for _, m := range e.Metrics {
			row.Cells = append(row.Cells, newBoardCell(e, m, s))
		}
		b.Rows = append(b.Rows, row)
	}
	return b
}

func newBoardCell(e *results.Evaluation, m results.Metric, of results.Subject) boardCell {
	f := of.Figures[m.Name]
	c := boardCell{figureCell: figureCell{Value: m.Format(f.Value), Interval: m.Interval(f), Note: note(e, m, of)}, Exact: math.MaxFloat64}
	if f.Value == nil {
		return c
	}
	c.Exact = *f.Value
	var all []measurement.Figure
	for _, s := range e.Subjects {
		all = append(all, s.Figures[m.Name])
	}
	c.Plot = onAxisOf(m, all, f)
	return c
}

// graded reports whether more of a metric is better. For a number without
// a threshold, this is not known.
func graded(m results.Metric) bool {
	return m.Share || m.Threshold != nil || m.Name == "overall" || m.Kind != "" && m.Kind != "number"
}

// about describes a metric in a few words.
func about(m results.Metric) string {
	text := m.Kind
	switch {
	case m.Name == "passed":
		return "all conditions and thresholds"
	case m.Name == "overall":
		return "weighted mean"
	case m.Kind == "condition":
		text = "share of rows"
	case m.Kind == "number":
		text = "mean"
	}
	if m.Threshold != nil {
		if text != "" {
			text += ", "
		}
		text += "passes at " + results.Short(*m.Threshold)
	}
	return text
}

// extraRow is another property of all subjects.
type extraRow struct {
	Name, About string
	Cells       []figureCell
}

func extraRows(e *results.Evaluation) []extraRow {
	var out []extraRow
	add := func(name, about string, cell func(results.Subject) (figureCell, bool)) {
		row := extraRow{Name: name, About: about}
		any := false
		for _, s := range e.Subjects {
			c, known := cell(s)
			if !known {
				c = figureCell{Value: results.Unknown}
			}
			any = any || known
			row.Cells = append(row.Cells, c)
		}
		if any {
			out = append(out, row)
		}
	}
	add("errors", "answers that failed", func(s results.Subject) (figureCell, bool) {
		if s.Errors == nil {
			return figureCell{}, false
		}
		c := figureCell{Value: strconv.FormatInt(*s.Errors, 10)}
		if s.Answers != nil {
			c.Interval = "of " + strconv.FormatInt(*s.Answers, 10)
		}
		return c, true
	})
	add("cost", "total; per answer", func(s results.Subject) (figureCell, bool) {
		if s.Cost == nil || s.Cost.Total == nil {
			return figureCell{}, false
		}
		return figureCell{Value: results.Money(s.Cost.Total), Interval: results.Money(s.Cost.Value)}, true
	})
	add("tokens", "total; per answer", func(s results.Subject) (figureCell, bool) {
		if s.Tokens == nil || s.Tokens.Total == nil {
			return figureCell{}, false
		}
		return figureCell{Value: english.Number(int64(*s.Tokens.Total)), Interval: short(s.Tokens.Value)}, true
	})
	add("latency", "median; 95th percentile", func(s results.Subject) (figureCell, bool) {
		if s.Latency == nil || s.Latency.P50 == nil {
			return figureCell{}, false
		}
		return figureCell{Value: results.Seconds(s.Latency.P50), Interval: results.Seconds(s.Latency.P95)}, true
	})
	return out
}

func short(v *float64) string {
	if v == nil {
		return results.Unknown
	}
	return results.Short(*v)
}

// differenceRow compares two subjects by a metric.
type differenceRow struct {
	A, B, Metric                  string
	AColor, BColor                int
	Value, Interval, P, PAdjusted string
	Detectable, Rows              string
	Plot                          plot
	Verdict                       string
	// Open is set if the comparison does not separate the subjects.
	Open bool
	// First is set for the first row of a pair.
	First bool
}

func differenceRows(e *results.Evaluation) []differenceRow {
	colors := map[string]int{}
	for i, name := range e.Names() {
		colors[name] = color(i)
	}
	var out []differenceRow
	shown := e.Comparisons()
	for i, d := range shown {
		m, _ := e.Metric(d.Metric)
		row := differenceRow{
			A: d.A, B: d.B, Metric: m.Title(), AColor: colors[d.A], BColor: colors[d.B],
			Value: m.Change(d.Value), Interval: m.ChangeInterval(d.Figure), P: results.Probability(d.P), PAdjusted: results.Probability(d.PAdjusted),
			Detectable: results.Detectable(m, d), Rows: strconv.FormatInt(d.N, 10), Plot: newPlot(m, []measurement.Figure{d.Figure}, true),
		}
		row.First = i == 0 || shown[i-1].A != d.A || shown[i-1].B != d.B
		if alpha := 1 - e.Confidence; e.Confidence > 0 && d.PAdjusted != nil && d.Value != nil {
			switch {
			case d.P == nil || *d.P >= alpha:
				row.Verdict, row.Open = "not shown", true
			case *d.PAdjusted >= alpha:
				// The interval, and a gate on its bound, apply only to this
				// comparison.
				row.Verdict, row.Open = "shown only without correction", true
			case *d.Value > 0:
				row.Verdict = d.A + " is higher"
			default:
				row.Verdict = d.B + " is higher"
			}
		}
		out = append(out, row)
	}
	return out
}
