// Package results reads the results of an evaluation from the store, and builds
// tables from them: figures with their intervals, differences, the answers that
// failed, and the rows on which two subjects differ.
//
// It computes no statistics; the evaluator does. It understands evaluators of
// any plugin whose value has the form that docs/reference.md describes for the
// built-in ones: subjects, each with figures { value, low, high, n }. It
// streams the rows.
package results

import (
	"encoding/json"

	"github.com/quern-dev/quern/internal/measurement"
)

// Evaluation is the result of an evaluate stage.
type Evaluation struct {
	Address string `json:"address"`
	Type    string `json:"type"`
	Rows    int64  `json:"rows"`
	// Skipped rows have no correct label.
	Skipped int64 `json:"skipped,omitempty"`
	// Repeats is how often each model was called for each row.
	Repeats int `json:"repeats,omitempty"`
	// Confidence is the level of all intervals, such as 0.95, or 0 if it is not
	// known.
	Confidence  float64      `json:"confidence,omitempty"`
	Metrics     []Metric     `json:"metrics"`
	Subjects    []Subject    `json:"subjects"`
	Differences []Difference `json:"differences,omitempty"`
	// Baseline is the subject that the others are compared with. If it is "",
	// all pairs are compared.
	Baseline  string      `json:"baseline,omitempty"`
	Confusion []Confusion `json:"confusion,omitempty"`
	// Notes say what readers of the figures should know, such as how many
	// grades are missing.
	Notes []string `json:"notes,omitempty"`
}

// Metric is a measure of subjects.
type Metric struct{ measurement.Metric }

// Subject is a subject of the evaluation.
type Subject struct {
	Name string `json:"name"`
	// Figures by metric.
	Figures map[string]measurement.Figure `json:"figures"`
	Answers *int64                        `json:"answers,omitempty"`
	Errors  *int64                        `json:"errors,omitempty"`
	// CutOff counts the answers that ended at the token limit, Refused those
	// that the model or a filter declined.
	CutOff  *int64 `json:"cut_off,omitempty"`
	Refused *int64 `json:"refused,omitempty"`
	// For models that were called. Latency is in seconds.
	Cost    *measurement.Total   `json:"cost,omitempty"`
	Tokens  *measurement.Total   `json:"tokens,omitempty"`
	Latency *measurement.Latency `json:"latency,omitempty"`
	// Classes by label, of a classification.
	Classes map[string]measurement.Class `json:"classes,omitempty"`
}

// Difference is A's figure minus B's, on the rows that both have.
type Difference struct {
	A      string `json:"a"`
	B      string `json:"b"`
	Metric string `json:"metric"`
	measurement.Contrast
}

// Confusion is how often a label was given instead of the right one.
type Confusion struct {
	Subject string `json:"subject"`
	Target  string `json:"target"`
	// Predicted is nil if no label was given.
	Predicted *string `json:"predicted"`
	Rows      int64   `json:"rows"`
}

// Wrong reports whether it counts rows with a wrong label, or without one.
func (c Confusion) Wrong() bool { return c.Predicted == nil || *c.Predicted != c.Target }

// Row is a row of the dataset with the subjects' answers.
type Row struct {
	Row     int64   `json:"row"`
	ID      string  `json:"id,omitempty"`
	Cluster string  `json:"cluster,omitempty"`
	Given   []Field `json:"given,omitempty"`
	// Target is the right label, for a classification.
	Target string `json:"target,omitempty"`
	// Answers are in the order of subjects, and for each subject in the order
	// of draws.
	Answers []Answer `json:"answers"`
}

// Field is a value in a row.
type Field struct {
	Name string          `json:"name"`
	JSON json.RawMessage `json:"value"`
}

// Text returns the value as people read it: strings without quotes.
func (f Field) Text() string {
	var s string
	if json.Unmarshal(f.JSON, &s) == nil && string(f.JSON) != "null" {
		return s
	}
	return string(f.JSON)
}

// Answer is a subject's answer for a row.
type Answer struct {
	Subject string `json:"subject"`
	Draw    int64  `json:"draw"`
	// Text is nil if there is no answer.
	Text *string `json:"text"`
	// Request and ToolCalls as JSON.
	Request      json.RawMessage `json:"request,omitempty"`
	ToolCalls    json.RawMessage `json:"tool_calls,omitempty"`
	FinishReason string          `json:"finish_reason,omitempty"`
	Refused      bool            `json:"refused,omitempty"`
	Error        string          `json:"error,omitempty"`
	Cost         *float64        `json:"cost,omitempty"`
	InputTokens  *int64          `json:"input_tokens,omitempty"`
	OutputTokens *int64          `json:"output_tokens,omitempty"`
	Latency      *float64        `json:"latency,omitempty"`
	Confidence   *float64        `json:"confidence,omitempty"`
	// Passed is nil if the evaluation does not define what passing means.
	Passed *bool `json:"passed"`
	// Values by metric, without unknown ones.
	Values       map[string]float64 `json:"values,omitempty"`
	Explanations map[string]string  `json:"explanations,omitempty"`
}

// Failed reports whether an answer is missing or did not pass.
func (a *Answer) Failed() bool {
	if a.Passed != nil {
		return !*a.Passed
	}
	return a.Error != "" && a.Text == nil
}

// Misses are the metrics that kept an answer from passing.
func (e *Evaluation) Misses(a *Answer) []string {
	var names []string
	for _, m := range e.Metrics {
		v, known := a.Values[m.Name]
		switch {
		case !known || !m.Rowwise || m.Name == "passed" || m.Name == "overall":
		case m.Threshold != nil && v < *m.Threshold, m.Threshold == nil && m.Share && v == 0:
			names = append(names, m.Name)
		}
	}
	return names
}

// Metric returns the metric with that name.
func (e *Evaluation) Metric(name string) (Metric, bool) {
	for _, m := range e.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// Names returns the names of the subjects.
func (e *Evaluation) Names() []string {
	var names []string
	for _, s := range e.Subjects {
		names = append(names, s.Name)
	}
	return names
}
