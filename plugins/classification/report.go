package classification

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// confusionsShown is the maximum number of a subject's confusions on the page.
const confusionsShown = 10

func writeReport(r *plugin.Run[args], s *scored, f *findings) error {
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	return figures.WriteReport(dir, f, page(r.Name(), s, f))
}

// page returns the report for people, in Markdown.
func page(name string, s *scored, f *findings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%d rows were scored", name, f.Scored)
	if f.Skipped > 0 {
		fmt.Fprintf(&b, "; %d more have no right label", f.Skipped)
	}
	fmt.Fprintf(&b, ". Brackets hold %g %% confidence intervals.\n\n", 100*f.Confidence)
	b.WriteString("| subject | accuracy | macro F1 | weighted F1 | coverage | errors | tokens | cost | latency |\n|" + strings.Repeat(" --- |", 9) + "\n")
	for _, name := range f.Order {
		one := f.Subjects[name]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d | %s | %s | %s |\n",
			figures.Cell(name), one.Accuracy, one.MacroF1, one.WeightedF1, one.Coverage, one.Errors,
			measurement.Text(one.Tokens.Total), measurement.Text(one.Cost.Total), measurement.Text(one.Latency.P50))
	}
	f.Differences.Page(&b, figures.Design{Subjects: f.Order, Baseline: f.Baseline}, metricNames())
	for i, name := range f.Order {
		writeSubject(&b, name, f.Subjects[name].Classes, s.tallies[i])
	}
	return b.String()
}

func writeSubject(b *strings.Builder, name string, classes map[string]measurement.Class, t *Tally) {
	fmt.Fprintf(b, "\n## %s\n\n| class | precision | recall | F1 | rows |\n| --- | --- | --- | --- | --- |\n", name)
	for _, label := range slices.Sorted(maps.Keys(classes)) {
		c := classes[label]
		fmt.Fprintf(b, "| %s | %s | %s | %s | %d |\n", figures.Cell(label), c.Precision, c.Recall, c.F1, c.Support)
	}
	wrong := slices.DeleteFunc(t.Cells(), func(c Cell) bool { return !c.Abstained && c.Target == c.Predicted })
	if len(wrong) == 0 {
		return
	}
	slices.SortStableFunc(wrong, func(a, b Cell) int { return cmp.Compare(b.Rows, a.Rows) })
	b.WriteString("\nMost frequent confusions:\n\n| right | predicted | rows |\n| --- | --- | --- |\n")
	for _, c := range wrong[:min(len(wrong), confusionsShown)] {
		predicted := figures.Cell(c.Predicted)
		if c.Abstained {
			predicted = "(none)"
		}
		fmt.Fprintf(b, "| %s | %s | %d |\n", figures.Cell(c.Target), predicted, c.Rows)
	}
}
