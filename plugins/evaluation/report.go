package evaluation

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
)

func (e *run) report(f *findings) error {
	dir, err := e.Folder("")
	if err != nil {
		return err
	}
	return figures.WriteReport(dir, f, f.page(e.Name()))
}

// page returns the report for people, in Markdown.
func (f *findings) page(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%d rows", name, f.Rows)
	if f.Repeats > 1 {
		fmt.Fprintf(&b, ", each asked %d times", f.Repeats)
	}
	fmt.Fprintf(&b, ". Brackets hold %g %% confidence intervals.\n\n| subject |", 100*f.Confidence)
	for _, m := range f.Metrics {
		b.WriteString(" " + figures.Cell(m.Name) + " |")
	}
	b.WriteString(" errors | tokens | cost | latency |\n|" + strings.Repeat(" --- |", len(f.Metrics)+5) + "\n")
	for _, name := range f.Order {
		s := f.Subjects[name]
		b.WriteString("| " + figures.Cell(name) + " |")
		for _, m := range f.Metrics {
			b.WriteString(" " + f.cell(s.Metrics[m.Name]) + " |")
		}
		fmt.Fprintf(&b, " %d | %s | %s | %s |\n", s.Errors, measurement.Text(s.Tokens.Total), measurement.Text(s.Cost.Total), measurement.Text(s.Latency.P50))
	}
	for _, note := range f.Notes {
		fmt.Fprintf(&b, "\n- %s.", note)
	}
	if len(f.Notes) > 0 {
		b.WriteString("\n")
	}
	var names []string
	for _, m := range f.Metrics {
		names = append(names, m.Name)
	}
	f.Differences.Page(&b, figures.Design{Subjects: f.Order, Baseline: f.Baseline}, names)
	return b.String()
}

// cell formats a figure, with its number of rows if that is not the number of
// all rows.
func (f *findings) cell(m measurement.Figure) string {
	if m.Value == nil || m.N == f.Rows {
		return m.String()
	}
	return fmt.Sprintf("%s (n = %d)", m, m.N)
}
