package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"sync"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/ui/results"
)

//go:embed profile.html
var profileText string

var profileTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("profile").Parse(frameText + profileText))
})

// profilePage is the data of the template.
type profilePage struct {
	Title, Lead, Environment, Made string
	Warnings                       []string
	Columns                        []profileColumn
	Associations                   [][]string
	Drift                          *results.Table
	Drifted                        string
	Style                          template.CSS
}

// profileColumn is the part of the page about a column.
type profileColumn struct {
	Name, Type string
	Facts      [][2]string
	Charts     []bars
}

// WriteProfile writes a page about the columns of a dataset. It has no script.
func WriteProfile(w io.Writer, p *results.Profile, o Options) error {
	out := &profilePage{Title: p.Address, Lead: p.Extent(), Environment: o.Environment, Made: o.Made, Warnings: p.Notes(), Style: template.CSS(styleText)}
	for i := range p.Columns {
		c := &p.Columns[i]
		out.Columns = append(out.Columns, profileColumn{Name: c.Name, Type: c.Type, Facts: columnFacts(c), Charts: columnCharts(c)})
	}
	for _, a := range p.Associations[:min(len(p.Associations), mostAssociations)] {
		out.Associations = append(out.Associations, []string{a.A, a.B, methods[a.Method], a.Figure.String(), english.Number(a.N)})
	}
	if p.Drift != nil {
		out.Drift, out.Drifted = p.DriftTable(), "No column has drifted."
		if len(p.Drift.Drifted) > 0 {
			out.Drifted = "Drifted: " + strings.Join(p.Drift.Drifted, ", ") + "."
		}
	}
	var b bytes.Buffer
	if err := profileTemplate().Execute(&b, out); err != nil {
		return fmt.Errorf("fill in the page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// mostAssociations is the number of associations on the page.
const mostAssociations = 30

var methods = map[string]string{"pearson": "Pearson's r", "spearman": "Spearman's ρ", "cramers_v": "Cramér's V"}

// columnFacts lists the figures of a column.
func columnFacts(c *measurement.ProfileColumn) [][2]string {
	var out [][2]string
	fact := func(name, text string) { out = append(out, [2]string{name, text}) }
	count := func(name string, n int64) {
		if n > 0 {
			fact(name, fmt.Sprintf("%s (%s)", english.Number(n), results.ShareText(n, c.Nulls+c.Values)))
		}
	}
	fact("values", english.Number(c.Values))
	count("nulls", c.Nulls)
	fact("distinct", results.DistinctText(c))
	if c.Duplicates.Exact() {
		count("duplicates", c.Duplicates.Value)
	}
	if n := c.Numbers; n != nil {
		text := results.NumberText
		if c.Type == "date" || c.Type == "timestamp" {
			text = func(v *float64) string { return results.TimeText(c.Type, v) }
		} else {
			fact("mean", text(n.Mean))
			fact("standard deviation", text(n.Std))
			count("zeros", n.Zeros)
			count("negative", n.Negatives)
			count("NaN", n.NaN)
			count("infinite", n.Infinite)
			if n.Outliers != nil {
				count("outliers", *n.Outliers)
			}
		}
		fact("minimum", text(n.Quantile(0)))
		fact("5% · median · 95%", text(n.Quantile(0.05))+" · "+text(n.Quantile(0.5))+" · "+text(n.Quantile(0.95)))
		fact("maximum", text(n.Quantile(1)))
	}
	if t := c.Texts; t != nil {
		fact("characters", lengthText(&t.Characters))
		fact("words", lengthText(&t.Words))
		if t.Tokens != nil {
			fact("tokens", fmt.Sprintf("%s for each text, %s in total (%s)", estimateText(t.Tokens.Mean), results.NumberText(t.Tokens.Total.Value), t.Tokens.Tokenizer))
		}
		count("empty", t.Empty)
		count("blank", t.Blank)
		count("invalid UTF-8", t.Invalid)
		if len(t.Languages) > 0 {
			fact("languages", sharesText(t.Languages))
		}
		if len(t.PII) > 0 {
			fact("personal data", sharesText(t.PII))
		}
	}
	if c.Items != nil {
		fact("lengths", lengthText(c.Items))
	}
	if b := c.Balance; b != nil && c.Numbers == nil {
		fact("entropy", fmt.Sprintf("%.3g bits (%.3g%% of the most possible)", b.Entropy, 100*b.Evenness))
	}
	return out
}

func lengthText(l *measurement.Lengths) string {
	return fmt.Sprintf("%s to %s, median %s, mean %s", results.NumberText(l.Quantile(0)), results.NumberText(l.Quantile(1)), results.NumberText(l.Quantile(0.5)), results.NumberText(l.Mean))
}

func sharesText(all []measurement.Share) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, fmt.Sprintf("%s %.3g%%", s.Name, 100**s.Value))
	}
	return strings.Join(parts, ", ")
}

// bars is a bar chart of counts.
type bars struct {
	Title string
	// Low and High are the ends of the axis. They are empty if each bar has a label.
	Low, High string
	Bars      []bar
	// Height is that of the drawing. Its width is 560.
	Height float64
	// Text describes the chart to people who cannot see it.
	Text string
}

type bar struct {
	X, Y, Width, Height float64
	Label, Count        string
}

const (
	barsWidth  = 560.0
	barsHeight = 110.0
	lineStep   = 22.0
	labelWidth = 190.0
	countWidth = 90.0
)

// columnCharts draws the distribution of a column.
func columnCharts(c *measurement.ProfileColumn) []bars {
	var out []bars
	number := func(v float64) string { return results.NumberText(&v) }
	add := func(title string, bins []measurement.Bin, text func(float64) string) {
		if len(bins) > 1 {
			out = append(out, upright(title, bins, text))
		}
	}
	if n := c.Numbers; n != nil {
		text := number
		if c.Type == "date" || c.Type == "timestamp" {
			text = func(v float64) string { return results.TimeText(c.Type, &v) }
		}
		add("Distribution", n.Histogram, text)
	}
	if c.Texts != nil && c.Distinct.Value > 50 {
		add("Characters", c.Texts.Characters.Histogram, number)
	}
	if c.Items != nil {
		add("Lengths", c.Items.Histogram, number)
	}
	if len(c.Top) > 0 && (c.Numbers == nil || c.Distinct.Value > 1) {
		out = append(out, lying(c))
	}
	return out
}

// upright draws bins next to each other.
func upright(title string, bins []measurement.Bin, text func(float64) string) bars {
	b := bars{Title: title, Height: barsHeight, Low: text(bins[0].Low), High: text(bins[len(bins)-1].High)}
	var most int64
	for _, bin := range bins {
		most = max(most, bin.Count)
	}
	width := barsWidth / float64(len(bins))
	var texts []string
	for i, bin := range bins {
		height := 0.0
		if bin.Count > 0 {
			height = max(1, (barsHeight-4)*float64(bin.Count)/float64(most))
		}
		label := text(bin.Low)
		if bin.High != bin.Low {
			label += " to " + text(bin.High)
		}
		b.Bars = append(b.Bars, bar{
			X: round(float64(i)*width + 1), Y: round(barsHeight - height), Width: round(width - 2), Height: round(height),
			Label: label + ": " + english.Number(bin.Count),
		})
		texts = append(texts, label+": "+english.Number(bin.Count))
	}
	b.Text = title + ": " + strings.Join(texts, "; ")
	return b
}

// lying draws the most frequent values below each other.
func lying(c *measurement.ProfileColumn) bars {
	b := bars{Title: "Most frequent", Height: lineStep * float64(len(c.Top))}
	var texts []string
	most := c.Top[0].Count
	for i, t := range c.Top {
		label := results.Brief(t.Value, 26)
		if label == "" {
			label = "(empty)"
		}
		share := results.ShareText(t.Count, c.Values)
		b.Bars = append(b.Bars, bar{
			X: labelWidth, Y: lineStep*float64(i) + 5, Width: round(math.Max(1, (barsWidth-labelWidth-countWidth)*float64(t.Count)/float64(most))), Height: lineStep - 8,
			Label: label, Count: share,
		})
		texts = append(texts, label+": "+share)
	}
	b.Text = b.Title + ": " + strings.Join(texts, "; ")
	return b
}

// estimateText formats a figure with its interval, unless it is exact because the
// sample has all rows.
func estimateText(f measurement.Figure) string {
	if f.Low != nil && f.High != nil && *f.Low == *f.High {
		return results.NumberText(f.Value)
	}
	return f.String()
}
