package pending

import (
	"cmp"
	"slices"
	"time"
)

// Summary describes what a stage waits for.
type Summary struct {
	// Rows is the number of rows that wait, and Total the number of all rows.
	// Both are 0 if the stage waits as a whole.
	Rows  int64 `json:"rows,omitempty"`
	Total int64 `json:"total,omitempty"`
	// For are the reasons, those of most rows first. More is the number of rows
	// with other reasons.
	For  []Reason `json:"for"`
	More int64    `json:"more,omitempty"`
	// Since is when the first row, or the stage, was found to be pending.
	Since time.Time `json:"since"`
	// CheckAfter is the earliest time at which it is worth asking again, or the
	// zero time if that is not known.
	CheckAfter time.Time `json:"check_after,omitzero"`
}

// Reason is something that a number of rows wait for.
type Reason struct {
	Text string `json:"text"`
	Rows int64  `json:"rows,omitempty"`
}

const (
	// mostReasons is the number of reasons in a summary, and mostCounted the
	// number of reasons that are counted: each row may have its own.
	mostReasons = 10
	mostCounted = 1000
)

// Tally adds up the rows that wait.
type Tally struct {
	rows, uncounted   int64
	reasons           map[string]int64
	since, checkAfter time.Time
}

// Add adds a row.
func (t *Tally) Add(r Row) {
	t.rows++
	if t.since.IsZero() || r.Since.Before(t.since) {
		t.since = r.Since
	}
	if !r.CheckAfter.IsZero() && (t.checkAfter.IsZero() || r.CheckAfter.Before(t.checkAfter)) {
		t.checkAfter = r.CheckAfter
	}
	if t.reasons == nil {
		t.reasons = map[string]int64{}
	}
	if _, known := t.reasons[r.Reason]; known || len(t.reasons) < mostCounted {
		t.reasons[r.Reason]++
	} else {
		t.uncounted++
	}
}

// Rows returns the number of rows.
func (t *Tally) Rows() int64 { return t.rows }

// Summary describes the rows, of total rows. It is nil if there are none.
func (t *Tally) Summary(total int64) *Summary {
	if t.rows == 0 {
		return nil
	}
	s := &Summary{Rows: t.rows, Total: total, More: t.uncounted, Since: t.since, CheckAfter: t.checkAfter}
	for text, rows := range t.reasons {
		s.For = append(s.For, Reason{text, rows})
	}
	slices.SortFunc(s.For, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Text, b.Text))
	})
	for len(s.For) > mostReasons {
		last := len(s.For) - 1
		s.More += s.For[last].Rows
		s.For = s.For[:last]
	}
	return s
}
