package evaluation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The files of a report: the figures for programs, and a page for people.
const (
	metricsFile = "metrics.json"
	pageFile    = "report.md"
)

func (e *run) report(f *figures) error {
	dir, err := e.Folder("")
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the metrics: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, metricsFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, pageFile), []byte(f.page(e.Name())), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// page writes the report for people, in Markdown.
func (f *figures) page(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%d rows", name, f.Rows)
	if f.Repeats > 1 {
		fmt.Fprintf(&b, ", each asked %d times", f.Repeats)
	}
	fmt.Fprintf(&b, ". Brackets hold %g %% confidence intervals.\n\n| subject |", 100*f.Confidence)
	for _, m := range f.Metrics {
		b.WriteString(" " + cell(m.Name) + " |")
	}
	b.WriteString(" errors | tokens | cost | latency |\n|" + strings.Repeat(" --- |", len(f.Metrics)+5) + "\n")
	for _, name := range f.Order {
		s := f.Subjects[name]
		b.WriteString("| " + cell(name) + " |")
		for _, m := range f.Metrics {
			b.WriteString(" " + s.Metrics[m.Name].String() + " |")
		}
		fmt.Fprintf(&b, " %d | %s | %s | %s |\n", s.Errors, text(s.Tokens.Total), text(s.Cost.Total), text(s.Latency.P50))
	}
	f.differences(&b)
	return b.String()
}

func (f *figures) differences(b *strings.Builder) {
	if len(f.Order) < 2 {
		return
	}
	b.WriteString("\n## Differences\n\np-values are of exact or paired permutation tests, corrected for their number (Holm). A difference as large as the detectable one would have shown with a probability of 80 %.\n\n")
	b.WriteString("| subjects | metric | difference | p, corrected | detectable | rows |\n| --- | --- | --- | --- | --- | --- |\n")
	for i, first := range f.Order {
		for _, second := range f.Order[i+1:] {
			pair := first + " - " + second
			for _, m := range f.Metrics {
				c := f.Differences[pair][m.Name]
				fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %d |\n", cell(pair), cell(m.Name), c.String(), text(c.PAdjusted), text(c.Detectable), c.N)
			}
		}
	}
}

// String writes a figure with its interval.
func (f figure) String() string {
	if f.Value == nil {
		return "–"
	}
	return fmt.Sprintf("%s [%s, %s]", text(f.Value), text(f.Low), text(f.High))
}

func text(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.4g", *v)
}

// cell makes a name fit for a table.
func cell(name string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", "").Replace(name)
}
