package plan

import (
	"github.com/quern-dev/quern/store/state"
)

// Adoption is an existing result that an environment takes over from another
// environment or from an earlier run.
type Adoption struct {
	// Instance is what the state contains afterward.
	Instance *state.Instance `json:"instance"`
	// Before and After describe the results to a person. Before is nil if the
	// environment has none.
	Before *Content `json:"before,omitempty"`
	After  *Content `json:"after,omitempty"`
}

// Content describes a result.
type Content struct {
	// Artifacts are the digests of artifacts, by port.
	Artifacts map[string]string `json:"artifacts,omitempty"`
	// Rows and Columns of the dataset that the stage itself is, if it is one.
	Rows    *int64   `json:"rows,omitempty"`
	Columns []string `json:"columns,omitempty"`
	// Figures are what an evaluation measured, by their names in expressions,
	// such as subjects.student.accuracy.
	Figures map[string]Figure `json:"figures,omitempty"`
}

// Figure is a number that was measured. Low and High bound its interval and are
// nil if it has none.
type Figure struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
}
