package profile

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/profile/survey"
)

// page returns the report for people, in Markdown.
func page(name string, p *measurement.Profile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s, of which %s equal to an earlier row.\n\n", name, english.Count(p.Rows, "row"), areOfRows(p.DuplicateRows))
	b.WriteString("| column | type | nulls | distinct | typical | most frequent |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range p.Columns {
		c := &p.Columns[i]
		about := "="
		if !c.Distinct.Exact() {
			about = "≈"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s%s | %s | %s |\n", tableCell(c.Name), tableCell(c.Type), percent(c.Nulls, c.Nulls+c.Values), strings.TrimPrefix(about, "="),
			english.Number(c.Distinct.Value), tableCell(typical(c)), tableCell(mostFrequent(c)))
	}
	for i, w := range p.Warnings {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- %s\n", tableCell(strings.TrimPrefix(w.Column+": "+w.Text, ": ")))
	}
	return b.String()
}

func areOfRows(n int64) string {
	return english.Number(n) + " " + english.Agree(n, "is", "are")
}

func tableCell(text string) string { return figures.Cell(printable.Line(text)) }

// typical describes the middle of a column in a few words.
func typical(c *measurement.ProfileColumn) string {
	switch {
	case c.Numbers != nil && (c.Type == "date" || c.Type == "timestamp"):
		low, high := c.Numbers.Quantile(0), c.Numbers.Quantile(1)
		if low == nil || high == nil {
			return ""
		}
		return survey.TimeText(c.Type, *low) + " to " + survey.TimeText(c.Type, *high)
	case c.Numbers != nil:
		return fmt.Sprintf("%s ± %s, median %s", numberText(c.Numbers.Mean), numberText(c.Numbers.Std), numberText(c.Numbers.Quantile(0.5)))
	case c.Texts != nil:
		return fmt.Sprintf("%s characters, %s words", numberText(c.Texts.Characters.Mean), numberText(c.Texts.Words.Mean))
	case c.Items != nil:
		return "length " + numberText(c.Items.Mean)
	}
	return ""
}

// longestTop is how many characters of the most frequent value the page shows.
const longestTop = 40

func mostFrequent(c *measurement.ProfileColumn) string {
	if len(c.Top) == 0 {
		return ""
	}
	text := []rune(c.Top[0].Value)
	if len(text) > longestTop {
		text = append(text[:longestTop-1], '…')
	}
	return fmt.Sprintf("%s (%s)", string(text), percent(c.Top[0].Count, c.Values))
}

func percent(n, all int64) string { return fmt.Sprintf("%.3g%%", 100*shareOf(n, all)) }
