package results

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Unknown is shown instead of a missing figure.
const Unknown = "–"

// Format formats a value of the metric. Shares are in percent.
func (m Metric) Format(v *float64) string {
	switch {
	case v == nil:
		return Unknown
	case m.Share:
		return fmt.Sprintf("%.1f%%", 100**v)
	}
	return Short(*v)
}

// Short formats a number with three digits, or as a whole number if it has
// more.
func Short(v float64) string {
	if v >= 1000 || v <= -1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(roundTo(v, 3), 'f', -1, 64)
}

// roundTo rounds a number to that many digits.
func roundTo(v float64, digits int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// Interval formats a figure's interval, or returns "" if there is none.
func (m Metric) Interval(f measurement.Figure) string {
	switch {
	case f.Low == nil || f.High == nil:
		return ""
	case m.Share:
		return fmt.Sprintf("[%.1f, %.1f]", 100**f.Low, 100**f.High)
	}
	return "[" + Short(*f.Low) + ", " + Short(*f.High) + "]"
}

// Figure formats a figure with its interval.
func (m Metric) Figure(f measurement.Figure) string {
	return strings.TrimSpace(m.Format(f.Value) + " " + m.Interval(f))
}

// Change formats a difference. Differences of shares are in points.
func (m Metric) Change(v *float64) string {
	switch {
	case v == nil:
		return Unknown
	case m.Share:
		return plus(*v) + fmt.Sprintf("%.1f", 100**v)
	}
	return plus(*v) + Short(*v)
}

func plus(v float64) string {
	if v > 0 {
		return "+"
	}
	return ""
}

// ChangeInterval formats a difference's interval.
func (m Metric) ChangeInterval(f measurement.Figure) string {
	if f.Low == nil || f.High == nil {
		return ""
	}
	return "[" + m.Change(f.Low) + ", " + m.Change(f.High) + "]"
}

// Probability formats a p-value.
func Probability(p *float64) string {
	switch {
	case p == nil:
		return Unknown
	case *p < 0.0001:
		return "< 0.0001"
	}
	return strconv.FormatFloat(roundTo(*p, 2), 'f', -1, 64)
}

// CorrectedP formats a corrected p-value within a sentence: "corrected p = 0.02".
func CorrectedP(p *float64) string {
	text := Probability(p)
	if !strings.HasPrefix(text, "<") {
		text = "= " + text
	}
	return "corrected p " + text
}

// exact formats a number for programs.
func exact(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// count formats a count for programs.
func count(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// Title returns a metric's name for people.
func (m Metric) Title() string {
	switch m.Name {
	case "macro_f1":
		return "macro F1"
	case "weighted_f1":
		return "weighted F1"
	}
	return m.Name
}

// Money formats a sum in the currency of the prices.
func Money(v *float64) string {
	if v == nil {
		return Unknown
	}
	return llm.FormatMoney(*v)
}

// Seconds formats a duration.
func Seconds(v *float64) string {
	switch {
	case v == nil:
		return Unknown
	case *v < 1:
		return fmt.Sprintf("%.0f ms", 1000**v)
	}
	return fmt.Sprintf("%.2f s", *v)
}

// Extent says how much was evaluated, and what the brackets mean.
func (e *Evaluation) Extent() string {
	text := english.Count(e.Rows, "row")
	if e.Repeats > 1 {
		text += fmt.Sprintf(", each asked %s", english.Count(e.Repeats, "time"))
	}
	if e.Skipped > 0 {
		text += fmt.Sprintf("; %d more have no correct label", e.Skipped)
	}
	if e.Confidence == 0 {
		return text + ". Brackets show confidence intervals."
	}
	return text + fmt.Sprintf(". Brackets show %g%% confidence intervals.", 100*e.Confidence)
}
