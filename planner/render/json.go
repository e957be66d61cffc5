package render

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/planner/plan"
)

// document is a plan with its sums, as described in docs/plan.md.
type document struct {
	*plan.Plan
	Summary Sums `json:"summary"`
}

// Sums are the sums of a plan, as described in docs/plan.md.
type Sums struct {
	Text    string              `json:"text"`
	Changes bool                `json:"changes"`
	Actions map[plan.Action]int `json:"actions"`
	Rows    *int64              `json:"rows,omitempty"`
	NewRows *int64              `json:"new_rows,omitempty"`
	Seconds *float64            `json:"seconds,omitempty"`
	Calls   *int64              `json:"calls,omitempty"`
	Tokens  *int64              `json:"tokens,omitempty"`
	Money   *float64            `json:"money,omitempty"`
	// Change and Whole are the sums with their ranges.
	Change total `json:"change"`
	Whole  total `json:"whole"`
}

// total is what several stages take.
type total struct {
	amount.Amounts
	Missing plan.Missing `json:"missing,omitzero"`
}

func totalOf(s plan.Sum) total { return total{s.Amounts, s.Missing} }

// JSON writes a plan for programs, in the form of docs/plan.md.
func JSON(w io.Writer, p *plan.Plan) error {
	e := json.NewEncoder(printable.JSONWriter(w))
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(document{p, SumsOf(p)})
	if err != nil {
		return fmt.Errorf("write plan as JSON: %w", err)
	}
	return nil
}

// SumsOf returns the sums of a plan.
func SumsOf(p *plan.Plan) Sums {
	t := p.Total()
	return Sums{
		Text: Summary(p), Changes: p.HasChanges(), Actions: t.Actions,
		Rows: t.Rows, NewRows: t.NewRows, Seconds: t.Seconds, Tokens: t.Tokens, Money: t.Money, Calls: t.Calls,
		Change: totalOf(t.Change), Whole: totalOf(t.Whole),
	}
}
