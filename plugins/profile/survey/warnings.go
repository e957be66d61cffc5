package survey

import (
	"fmt"
	"math"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
)

// identify decides whether a column looks as if it only identifies rows: its
// values are unique and are whole numbers or short texts without spaces.
func identify(c *measurement.ProfileColumn) {
	if !c.Unique || c.Values < 20 || c.Nulls > 0 {
		return
	}
	switch c.Type {
	case "int64":
		c.Identifier = true
	case "string":
		c.Identifier = *c.Texts.Words.Quantile(1) <= 1 && *c.Texts.Characters.Quantile(1) <= 64
	}
}

// What counts as worth a warning.
const (
	manyNulls      = 0.2
	manyZeros      = 0.5
	manyDuplicates = 0.01
	strongly       = 0.95
	unbalanced     = 100
)

// warnings lists what may be wrong with a dataset.
func warnings(p *measurement.Profile) []measurement.ProfileNote {
	out := []measurement.ProfileNote{}
	if share := shareOf(p.DuplicateRows, p.Rows); share >= manyDuplicates {
		out = append(out, measurement.ProfileNote{Kind: "duplicate_rows", Text: fmt.Sprintf("%s equal an earlier row (%s)", english.Count(p.DuplicateRows, "row"), percent(share))})
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		for _, kind := range kinds {
			if text := kind.text(c); text != "" {
				out = append(out, measurement.ProfileNote{Column: c.Name, Kind: kind.name, Text: text})
			}
		}
	}
	for _, a := range p.Associations {
		if a.Method != "pearson" && a.Low != nil && a.High != nil && max(*a.Low, -*a.High) >= strongly {
			out = append(out, measurement.ProfileNote{Column: a.A, Kind: "associated", Text: fmt.Sprintf("%s follows from %s almost exactly (%s %.3f)", a.A, a.B, methodNames[a.Method], *a.Value)})
		}
	}
	return out
}

var methodNames = map[string]string{"pearson": "Pearson's r", "spearman": "Spearman's ρ", "cramers_v": "Cramér's V"}

// kinds are the warnings about a column. text returns "" if there is nothing to
// say.
var kinds = []struct {
	name string
	text func(c *measurement.ProfileColumn) string
}{
	{"nulls", func(c *measurement.ProfileColumn) string {
		switch share := shareOf(c.Nulls, c.Nulls+c.Values); {
		case share == 1:
			return "all values are null"
		case share >= manyNulls:
			return percent(share) + " of the values are null"
		}
		return ""
	}},
	{"constant", func(c *measurement.ProfileColumn) string {
		if c.Distinct.Exact() && c.Distinct.Value == 1 && c.Values > 1 {
			return "all values are the same"
		}
		return ""
	}},
	{"identifier", func(c *measurement.ProfileColumn) string {
		if c.Identifier {
			return "it looks as if it only identifies rows: a model that reads it memorizes them"
		}
		return ""
	}},
	{"imbalance", func(c *measurement.ProfileColumn) string {
		if b := c.Balance; b != nil && c.Distinct.Value <= mostClasses && b.Imbalance >= unbalanced && c.Numbers == nil {
			return fmt.Sprintf("the most frequent value occurs %s times as often as the rarest", english.Number(int64(math.Round(b.Imbalance))))
		}
		return ""
	}},
	{"not_finite", func(c *measurement.ProfileColumn) string {
		if n := c.Numbers; n != nil && n.NaN+n.Infinite > 0 {
			return fmt.Sprintf("%s NaN or infinite", areOf(n.NaN+n.Infinite, "number"))
		}
		return ""
	}},
	{"zeros", func(c *measurement.ProfileColumn) string {
		if n := c.Numbers; n != nil && c.Distinct.Value > 2 && shareOf(n.Zeros, c.Values) >= manyZeros {
			return percent(shareOf(n.Zeros, c.Values)) + " of the values are 0"
		}
		return ""
	}},
	{"outliers", func(c *measurement.ProfileColumn) string {
		if n := c.Numbers; n != nil && n.Outliers != nil && *n.Outliers > 0 {
			return areOf(*n.Outliers, "value") + " more than three interquartile ranges outside the quartiles"
		}
		return ""
	}},
	{"texts", func(c *measurement.ProfileColumn) string {
		if c.Texts == nil {
			return ""
		}
		var parts []string
		for _, part := range []struct {
			n    int64
			what string
		}{{c.Texts.Empty, "empty"}, {c.Texts.Blank, "blank"}, {c.Texts.Invalid, "not valid UTF-8"}} {
			if part.n > 0 {
				parts = append(parts, areOf(part.n, "text")+" "+part.what)
			}
		}
		return strings.Join(parts, "; ")
	}},
	{"personal_data", personal},
}

// personal says which kinds of personal data a column of texts contains.
func personal(c *measurement.ProfileColumn) string {
	if c.Texts == nil {
		return ""
	}
	var kinds []string
	for _, s := range c.Texts.PII {
		kinds = append(kinds, fmt.Sprintf("%s (%s)", s.Name, percent(*s.Value)))
	}
	if len(kinds) == 0 {
		return ""
	}
	return "texts contain personal data or secrets: " + strings.Join(kinds, ", ")
}

func shareOf(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}

func percent(share float64) string {
	return fmt.Sprintf("%.3g%%", 100*share)
}

// areOf begins a sentence about a number of things: 1 text is, 2 texts are.
func areOf(n int64, noun string) string {
	return english.Count(n, noun) + " " + english.Agree(n, "is", "are")
}
