package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/plan"
)

// Runs are two runs and how what they left differs.
type Runs struct {
	// Before and After are names of runs.
	Before, After string
	// Facts are about the runs themselves.
	Facts []Fact
	// Stages are those that differ.
	Stages    []RunStage
	Outputs   []*comparison.Named
	Unchanged int
	// Notes say what could not be compared.
	Notes []string
}

// Fact is a property of two runs, such as what they cost.
type Fact struct{ Name, Before, After string }

// RunStage is a stage whose results differ.
type RunStage struct {
	Address, From, Type string
	Change              comparison.Change
	Reasons             []plan.Reason
	// Lines describe the results.
	Lines []string
}

// RunsText shows to a person how two runs differ.
func RunsText(w io.Writer, r Runs, o Options) error {
	t := &text{w: bufio.NewWriter(w), options: o}
	t.runs(r)
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("show the comparison of runs: %w", err)
	}
	return nil
}

func (t *text) runs(r Runs) {
	t.printf("From run %s to run %s:\n\n", r.Before, r.After)
	width := 0
	for _, f := range r.Facts {
		width = max(width, len(f.Name))
	}
	for _, f := range r.Facts {
		t.printf("  %-*s  %s\n", width, f.Name, printable.Text(f.text()))
	}
	if len(r.Facts) > 0 {
		t.printf("\n")
	}
	for i := range r.Stages {
		t.runStage(&r.Stages[i])
	}
	t.named("Outputs", r.Outputs)
	if r.IsEmpty() {
		t.printf("%s Both runs left the same results of %s.\n", t.paint(bold+green, "No differences."), english.Count(r.Unchanged, "stage"))
	} else {
		t.printf("%s %s.\n", t.paint(bold, "Differences:"), r.summary())
	}
	for _, note := range r.Notes {
		t.printf("\nNote: %s\n", note)
	}
}

// text describes a fact: both values, or the one that both runs have.
func (f Fact) text() string {
	if f.Before == f.After {
		return f.After
	}
	return orNothing(f.Before) + " → " + orNothing(f.After)
}

// IsEmpty reports whether the results are the same.
func (r Runs) IsEmpty() bool { return len(r.Stages)+len(r.Outputs) == 0 }

func (r Runs) summary() string {
	var parts []string
	for _, change := range []comparison.Change{comparison.Added, comparison.Changed, comparison.Recomputed, comparison.Moved, comparison.Removed} {
		n := 0
		for i := range r.Stages {
			if r.Stages[i].Change == change {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, english.Number(n)+" "+string(change))
		}
	}
	if n := len(r.Outputs); n > 0 {
		parts = append(parts, english.Count(n, "output"))
	}
	if r.Unchanged > 0 {
		parts = append(parts, english.Number(r.Unchanged)+" unchanged")
	}
	return strings.Join(parts, ", ")
}

// phrase says how a stage differs.
func (s *RunStage) phrase() string {
	return map[comparison.Change]string{
		comparison.Added: "was added", comparison.Removed: "was removed", comparison.Changed: "has another result",
		comparison.Recomputed: "was computed again, with the same result", comparison.Moved: "was moved from " + s.From,
	}[s.Change]
}

func (t *text) runStage(s *RunStage) {
	head := s.Address
	if s.Type != "" {
		head += " (" + s.Type + ")"
	}
	t.printf("  %s %s %s\n", t.paint(comparedColors[s.Change], comparedSymbols[s.Change]), t.paint(bold, head), s.phrase())
	for _, r := range grouped(s.Reasons) {
		t.reason(r)
	}
	for _, line := range s.Lines {
		t.printf("        %s\n", printable.Text(line))
	}
	t.printf("\n")
}

// RunsMarkdown shows how two runs differ as a comment on a pull request, as
// [Markdown] does for a plan.
func RunsMarkdown(w io.Writer, r Runs) error {
	c := &comment{}
	c.runs(r)
	return c.write(w, "The complete comparison is what quern diff prints in a terminal.")
}

func (c *comment) runs(r Runs) {
	if r.IsEmpty() {
		c.printf("### quern diff: no differences\n\nRuns %s and %s left the same results.\n", code(r.Before), code(r.After))
	} else {
		c.printf("### quern diff: %s\n\nFrom run %s to run %s.\n", r.summary(), code(r.Before), code(r.After))
	}
	var facts []row
	for _, f := range r.Facts {
		facts = append(facts, row{cells: []string{f.Name, cell(orNothing(f.Before)), cell(orNothing(f.After))}, urgent: true})
	}
	c.table("fact", []string{"", "before", "after"}, facts)
	var rows []row
	var folds []fold
	for i := range r.Stages {
		s := &r.Stages[i]
		why, differences := explained(s.Address, grouped(s.Reasons))
		folds = append(folds, differences...)
		// What a cell would cut is folded.
		if all := append(why, s.Lines...); len(strings.Join(all, "; ")) <= cellSize {
			why = all
		} else {
			folds = append(folds, fold{subjects: []string{s.Address}, title: "results", text: strings.Join(s.Lines, "\n")})
		}
		rows = append(rows, row{
			cells:  []string{code(comparedSymbols[s.Change]), code(s.Address), cell(s.phrase()), cell(strings.Join(why, "; "))},
			urgent: s.Change == comparison.Removed,
		})
	}
	c.table("stage", []string{"", "stage", "change", "how"}, rows)
	folds = append(folds, c.named("output", r.Outputs)...)
	c.folds(merged(folds))
	for _, note := range r.Notes {
		c.printf("\n> **Note:** %s\n", cell(note))
	}
}
