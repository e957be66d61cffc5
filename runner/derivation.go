package runner

import (
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/store/action"
)

// derivations returns what the datasets that a stage produces come from, by port.
func derivations(s *stage.Stage) map[string]*action.Derivation {
	out := map[string]*action.Derivation{}
	for i := range s.Outputs {
		if d := derivation(s, &s.Outputs[i]); d != nil {
			out[s.Outputs[i].Name] = d
		}
	}
	return out
}

// derivation returns what an output comes from, or nil if nothing is known.
func derivation(s *stage.Stage, p *plan.Port) *action.Derivation {
	d := &action.Derivation{Columns: map[string]*action.Sources{}}
	switch {
	case p.Kind != plan.KindDataset || p.Violations:
		return nil
	case p.RowsOf != "":
		d.RowsOf, d.Relation = p.RowsOf, action.Each
		switch {
		case s.Mode == plan.ModeFlatMap:
			d.Relation = action.Expanded
		case p.SelectedFrom != "":
			d.Relation = action.Selected
		}
	case p.SelectedFrom != "":
		d.RowsOf, d.Relation = p.SelectedFrom, action.Selected
	}
	for _, c := range p.Columns {
		if from := columnSources(s, p, c.Name); from != nil && !isSame(from, p.RowsOf, c.Name) {
			d.Columns[c.Name] = from
		}
	}
	if p.RowsLineage != nil {
		d.Rows = declared(s, p.RowsLineage)
	}
	if d.RowsOf == "" && len(d.Columns) == 0 && d.Rows == nil {
		return nil
	}
	return d
}

// isSame reports whether a column is the input's column of the same name.
func isSame(s *action.Sources, input, column string) bool {
	return len(s.From) == 1 && s.From[0] == action.ColumnRef{Input: input, Column: column, Unchanged: true} && len(s.Prompts) == 0
}

// columnSources returns what a column comes from, or nil if nothing is known
// except what the stage reads.
func columnSources(s *stage.Stage, p *plan.Port, column string) *action.Sources {
	if l := p.Lineage[column]; l != nil {
		return declared(s, l)
	}
	if p.RowsOf == "" {
		return nil
	}
	origin := p.Origins[column]
	if from, ok := strings.CutPrefix(origin, "input:"); ok {
		return &action.Sources{From: []action.ColumnRef{{Input: p.RowsOf, Column: from, Unchanged: true}}}
	}
	if key, ok := strings.CutPrefix(origin, "argument:"); ok {
		return &action.Sources{From: argumentSources(s, key)}
	}
	return computedSources(s)
}

// computedSources returns what the columns come from that a row-wise stage computes:
// everything that it reads. That is exact if row expressions name all of it.
func computedSources(s *stage.Stage) *action.Sources {
	out := &action.Sources{}
	for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
		in := s.Inputs[key]
		if in.Artifact.Dataset == nil {
			out.From = append(out.From, action.ColumnRef{Input: key})
			continue
		}
		for _, column := range s.Read(key, in.Artifact.Dataset) {
			out.From = append(out.From, action.ColumnRef{Input: key, Column: column})
		}
		out.Inexact = out.Inexact || len(s.Given(key, in.Artifact.Dataset)) > 0
	}
	for _, row := range s.Bound.Rows {
		if row.Prompt != "" && !slices.Contains(out.Prompts, row.Prompt) {
			out.Prompts = append(out.Prompts, row.Prompt)
		}
	}
	slices.Sort(out.Prompts)
	return out
}

// declared returns what a plugin says that something comes from.
func declared(s *stage.Stage, l *plan.Lineage) *action.Sources {
	out := &action.Sources{}
	for _, source := range l.Sources {
		if source.Argument == "" {
			out.From = append(out.From, action.ColumnRef{Input: source.Input, Column: source.Column, Unchanged: source.Unchanged})
			continue
		}
		for _, c := range argumentSources(s, source.Argument) {
			c.Unchanged = c.Unchanged && source.Unchanged
			out.From = append(out.From, c)
		}
	}
	return out
}

// argumentSources returns the columns that a row expression reads.
func argumentSources(s *stage.Stage, key string) []action.ColumnRef {
	row := s.Bound.Rows[key]
	var out []action.ColumnRef
	for _, column := range row.Expr.Columns {
		out = append(out, action.ColumnRef{Input: row.Of, Column: column, Unchanged: s.Instance.GetRowArguments()[key].GetColumn() == column})
	}
	return out
}

// rowArguments returns the columns that the row expressions of a stage read.
func rowArguments(s *stage.Stage) map[string]*action.Sources {
	out := make(map[string]*action.Sources, len(s.Bound.Rows))
	for key, row := range s.Bound.Rows {
		out[key] = &action.Sources{From: argumentSources(s, key)}
		if row.Prompt != "" {
			out[key].Prompts = []string{row.Prompt}
		}
	}
	return out
}
