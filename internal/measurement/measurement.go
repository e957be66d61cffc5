// Package measurement is the form in which evaluations report metrics and figures.
// Evaluators write it twice: into the metrics.json of a report, and as the value
// that expressions see. Tables and pages read both.
//
// The JSON is stored, and the digest of a report depends on it. So members keep
// their names and their order.
package measurement

import "fmt"

// File is the file of a report that contains a [Description] and the figures.
const File = "metrics.json"

// Description says what an evaluation measured, and in which order to show it.
type Description struct {
	Metrics []Metric `json:"metrics"`
	// Order is the order of the subjects.
	Order []string `json:"order"`
	// Baseline is the subject that the others are compared with. If it is "",
	// all pairs are compared.
	Baseline string `json:"baseline,omitempty"`
}

// Metric is a measure of the quality of a subject's answers.
type Metric struct {
	Name string `json:"name"`
	// Kind is condition, number, similar, labels, or the kind of a judge. It is ""
	// if it is not known.
	Kind string `json:"kind"`
	// Weight is the weight in the overall figure. A metric with weight 0 does not
	// count there.
	Weight float64 `json:"weight"`
	// Threshold is the least value with which an answer passes, or nil.
	Threshold *float64 `json:"threshold"`
	Rubric    string   `json:"rubric,omitempty"`
	// Share is set if the metric is a share of rows or otherwise best shown in
	// percent.
	Share bool `json:"share"`
	// Rowwise is set if individual answers have a value for the metric.
	Rowwise bool `json:"rowwise"`
}

// Figure is a mean or a share with its confidence interval. Numbers that are not
// known are nil.
type Figure struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	// N is the number of rows.
	N int64 `json:"n"`
	// Errors counts the answers without a value of the metric because the
	// answer or the metric failed. It is nil if they are not counted.
	Errors *int64 `json:"errors,omitempty"`
}

// Total is a mean per answer, and the sum of all answers.
type Total struct {
	Figure
	Total *float64 `json:"total"`
}

// Latency is a mean per answer, and quantiles, in seconds.
type Latency struct {
	Figure
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
}

// Usage is what the answers of a model took. If no model was called, all numbers
// are nil.
type Usage struct {
	Cost    Total   `json:"cost"`
	Tokens  Total   `json:"tokens"`
	Latency Latency `json:"latency"`
}

// Contrast is the difference between two subjects, on the rows that both have.
type Contrast struct {
	Figure
	P *float64 `json:"p"`
	// PAdjusted is P corrected for the number of comparisons (Holm).
	PAdjusted *float64 `json:"p_adjusted"`
	// Detectable is the smallest true difference that this number of rows would
	// have detected with a probability of 80%.
	Detectable *float64 `json:"detectable"`
	Test       string   `json:"test,omitempty"`
}

// Class is how well one label is recognized.
type Class struct {
	Precision ClassFigure `json:"precision"`
	Recall    ClassFigure `json:"recall"`
	F1        ClassFigure `json:"f1"`
	// Support is the number of rows that have the label.
	Support int64 `json:"support"`
}

// String formats a figure with its interval.
func (f Figure) String() string {
	if f.Value == nil {
		return Text(nil)
	}
	return fmt.Sprintf("%s [%s, %s]", Text(f.Value), Text(f.Low), Text(f.High))
}

// Text formats a number that may not be known.
func Text(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.4g", *v)
}
