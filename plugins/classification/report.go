package classification

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/stats"
)

// The files of a report: the figures for programs, and a page for people.
const (
	metricsFile = "metrics.json"
	pageFile    = "report.md"
)

// confusionsShown is how many of a subject's confusions the page lists.
const confusionsShown = 10

func writeReport(r *plugin.Run[args], s *scored, scores map[string]*Scores) error {
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	metrics, err := json.MarshalIndent(metricsOf(s, r.Args.subjects, scores), "", "  ")
	if err != nil {
		return fmt.Errorf("encode the metrics: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, metricsFile), append(metrics, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, pageFile), []byte(page(r.Name(), r.Args, s, scores)), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// metrics is the content of metrics.json: the stage's value.
type metrics struct {
	Scored   int64                     `json:"scored"`
	Skipped  int64                     `json:"skipped"`
	Subjects map[string]subjectMetrics `json:"subjects"`
}

type subjectMetrics struct {
	Accuracy   figure                  `json:"accuracy"`
	MacroF1    figure                  `json:"macro_f1"`
	WeightedF1 figure                  `json:"weighted_f1"`
	Coverage   figure                  `json:"coverage"`
	Errors     int64                   `json:"errors"`
	Classes    map[string]classMetrics `json:"classes"`
}

type figure struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	N     int     `json:"n"`
}

func figureOf(e stats.Estimate) figure { return figure{e.Value, e.Low, e.High, e.N} }

type classMetrics struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Support   int64   `json:"support"`
}

func metricsOf(s *scored, subjects []subject, scores map[string]*Scores) metrics {
	m := metrics{Scored: s.rows, Skipped: s.skipped, Subjects: map[string]subjectMetrics{}}
	for k, subject := range subjects {
		figures := scores[subject.name]
		classes := map[string]classMetrics{}
		for label, c := range figures.Classes {
			classes[label] = classMetrics(c)
		}
		m.Subjects[subject.name] = subjectMetrics{
			figureOf(figures.Accuracy), figureOf(figures.MacroF1), figureOf(figures.WeightedF1),
			figureOf(figures.Coverage), s.errors[k], classes,
		}
	}
	return m
}

// page writes the report for people, in Markdown.
func page(name string, a *args, s *scored, scores map[string]*Scores) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%d rows were scored", name, s.rows)
	if s.skipped > 0 {
		fmt.Fprintf(&b, "; %d more have no right label", s.skipped)
	}
	fmt.Fprintf(&b, ". Brackets hold %g %% confidence intervals.\n\n", 100*a.Confidence)
	b.WriteString("| subject | accuracy | macro F1 | weighted F1 | coverage | errors |\n| --- | --- | --- | --- | --- | --- |\n")
	for k, subject := range a.subjects {
		f := scores[subject.name]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d |\n",
			subject.name, figureOf(f.Accuracy), figureOf(f.MacroF1), figureOf(f.WeightedF1), figureOf(f.Coverage), s.errors[k])
	}
	for k, subject := range a.subjects {
		writeSubject(&b, subject.name, scores[subject.name], s.tallies[k])
	}
	return b.String()
}

// String writes a figure with its interval.
func (f figure) String() string { return fmt.Sprintf("%.4f [%.4f, %.4f]", f.Value, f.Low, f.High) }

func writeSubject(b *strings.Builder, name string, f *Scores, t *Tally) {
	fmt.Fprintf(b, "\n## %s\n\n| class | precision | recall | F1 | rows |\n| --- | --- | --- | --- | --- |\n", name)
	for _, label := range slices.Sorted(maps.Keys(f.Classes)) {
		c := f.Classes[label]
		fmt.Fprintf(b, "| %s | %.4f | %.4f | %.4f | %d |\n", cell(label), c.Precision, c.Recall, c.F1, c.Support)
	}
	wrong := slices.DeleteFunc(t.Cells(), func(c Cell) bool { return !c.Abstained && c.Target == c.Predicted })
	if len(wrong) == 0 {
		return
	}
	slices.SortStableFunc(wrong, func(a, b Cell) int { return cmp.Compare(b.Rows, a.Rows) })
	b.WriteString("\nMost frequent confusions:\n\n| right | predicted | rows |\n| --- | --- | --- |\n")
	for _, c := range wrong[:min(len(wrong), confusionsShown)] {
		predicted := cell(c.Predicted)
		if c.Abstained {
			predicted = "(none)"
		}
		fmt.Fprintf(b, "| %s | %s | %d |\n", cell(c.Target), predicted, c.Rows)
	}
}

// cell makes a label fit for a table.
func cell(label string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", "").Replace(label)
}
