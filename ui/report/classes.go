package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/ui/results"
)

// classTable shows how well each label is recognized, by subject.
type classTable struct {
	Subjects []string
	Rows     []classRow
}

type classRow struct {
	Label   string
	Support int64
	Cells   []classCell
}

type classCell struct {
	Precision, Recall, F1 string
	// The intervals, or "" if there are none.
	PrecisionInterval, RecallInterval, F1Interval string
	// Rows are sorted by the exact figures. Bar is F1 in percent.
	PrecisionExact, RecallExact, F1Exact, Bar float64
}

// classes returns the table, worst classes first, or nil if there are none.
func classes(e *results.Evaluation) *classTable {
	labels := map[string]int64{}
	for _, s := range e.Subjects {
		for label, c := range s.Classes {
			labels[label] = max(labels[label], c.Support)
		}
	}
	if len(labels) == 0 {
		return nil
	}
	t := &classTable{Subjects: e.Names()}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		row := classRow{Label: label, Support: labels[label]}
		for _, s := range e.Subjects {
			c := s.Classes[label]
			row.Cells = append(row.Cells, classCell{
				percent(c.Precision), percent(c.Recall), percent(c.F1),
				interval(c.Precision), interval(c.Recall), interval(c.F1),
				c.Precision.Number(), c.Recall.Number(), c.F1.Number(), math.Round(1000*c.F1.Number()) / 10,
			})
		}
		t.Rows = append(t.Rows, row)
	}
	slices.SortStableFunc(t.Rows, func(a, b classRow) int { return cmp.Compare(a.Cells[0].F1Exact, b.Cells[0].F1Exact) })
	return t
}

func percent(f measurement.ClassFigure) string { return fmt.Sprintf("%.1f", 100*f.Number()) }

func interval(f measurement.ClassFigure) string {
	return results.Metric{Metric: measurement.Metric{Share: true}}.Interval(f.Figure)
}

// matrix is the drawing of a subject's confusion matrix: right labels from top
// to bottom, given ones from left to right.
type matrix struct {
	Subject       string
	Width, Height float64
	// Left and Top are where the cells begin, and Side is the size of one.
	Left, Top, Side, Font float64
	Labels                []matrixLabel
	Cells                 []matrixCell
	Frame                 float64
	FrameHeight           float64
}

type matrixLabel struct {
	Text string
	At   float64
	// Row is set if the label is next to a row; otherwise, it is above a
	// column.
	Row bool
}

type matrixCell struct {
	X, Y float64
	// Opacity is the share of the right label's rows, shown as shade.
	Opacity float64
	Right   bool
	Number  string
	Title   string
	NumberX float64
	NumberY float64
	Dark    bool
}

// mostLabels is the maximum number of labels in a matrix: with more, cells are
// too small to be distinguished.
const mostLabels = 160

func matrices(e *results.Evaluation) []matrix {
	var out []matrix
	for _, name := range e.Names() {
		var of []results.Confusion
		for _, c := range e.Confusion {
			if c.Subject == name {
				of = append(of, c)
			}
		}
		if m, ok := draw(name, of); ok {
			out = append(out, m)
		}
	}
	return out
}

func draw(subject string, of []results.Confusion) (matrix, bool) {
	places, rows := map[string]int{}, map[string]int64{}
	none := false
	for _, c := range of {
		places[c.Target] = 0
		rows[c.Target] += c.Rows
		if c.Predicted != nil {
			places[*c.Predicted] = 0
		} else {
			none = true
		}
	}
	labels := slices.Sorted(maps.Keys(places))
	if len(labels) == 0 || len(labels) > mostLabels {
		return matrix{}, false
	}
	longest := 0
	for i, label := range labels {
		places[label] = i
		longest = max(longest, len([]rune(shortLabel(label))))
	}
	m := matrix{Subject: subject, Side: side(len(labels))}
	m.Font = min(max(m.Side*0.8, 8), 12)
	m.Left = float64(longest)*m.Font*0.62 + 10
	m.Top = m.Left*0.75 + 6
	columns := labels
	if none {
		columns = append(slices.Clone(labels), "(none)")
	}
	m.Frame, m.FrameHeight = m.Side*float64(len(columns)), m.Side*float64(len(labels))
	m.Width, m.Height = round(m.Left+m.Frame+m.Top*0.7), round(m.Top+m.FrameHeight+8)
	for i, label := range labels {
		m.Labels = append(m.Labels, matrixLabel{shortLabel(label), round(m.Top + m.Side*(float64(i)+0.5)), true})
	}
	for i, label := range columns {
		m.Labels = append(m.Labels, matrixLabel{shortLabel(label), round(m.Left + m.Side*(float64(i)+0.5)), false})
	}
	for _, c := range of {
		column := len(labels)
		if c.Predicted != nil {
			column = places[*c.Predicted]
		}
		m.Cells = append(m.Cells, m.cell(c, places[c.Target], column, rows[c.Target]))
	}
	m.Left, m.Top = round(m.Left), round(m.Top)
	return m, true
}

func (m *matrix) cell(c results.Confusion, row, column int, of int64) matrixCell {
	share := float64(c.Rows) / float64(max(of, 1))
	cell := matrixCell{
		X: round(m.Left + m.Side*float64(column)), Y: round(m.Top + m.Side*float64(row)),
		Opacity: math.Round(100*(0.15+0.85*share)) / 100, Right: !c.Wrong(),
		Title: fmt.Sprintf("%s, given %s: %d of %d", c.Target, results.Predicted(c.Predicted), c.Rows, of),
		Dark:  share > 0.5,
	}
	if m.Side >= 22 {
		cell.Number = fmt.Sprint(c.Rows)
		cell.NumberX, cell.NumberY = round(cell.X+m.Side/2), round(cell.Y+m.Side/2)
	}
	return cell
}

// side returns the size of cells for which a matrix fits on a page.
func side(labels int) float64 {
	return math.Floor(min(max(900/float64(labels), 9), 40))
}

func shortLabel(label string) string { return results.Brief(label, 32) }
