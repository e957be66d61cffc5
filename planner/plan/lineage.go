package plan

import "github.com/quern-dev/quern/sdk/go/pluginv1"

// Lineage lists everything that the values of a column come from.
type Lineage struct {
	Sources []LineageSource `json:"sources,omitempty"`
}

// LineageSource is a column of a dataset input, or a row argument.
type LineageSource struct {
	Input    string `json:"input,omitempty"` // a key
	Column   string `json:"column,omitempty"`
	Argument string `json:"argument,omitempty"` // a key, in place of Input and Column
	// Unchanged is set if each value is a value of the column.
	Unchanged bool `json:"unchanged,omitempty"`
}

// PassedOn returns the column of an input whose values are passed on unchanged. Other
// inputs can have passed-on values in rows of their own.
func (l *Lineage) PassedOn(input string) (column string, ok bool) {
	if l == nil {
		return "", false
	}
	for _, s := range l.Sources {
		switch {
		case !s.Unchanged || ok && s.Input == input:
			return "", false
		case s.Input == input:
			column, ok = s.Column, true
		}
	}
	return column, ok
}

// ComputedFrom reports whether values are, or may be, computed from an input together
// with others, and not just passed on in rows of their own.
func (l *Lineage) ComputedFrom(input string) bool {
	if l == nil {
		return true
	}
	unchanged, from := true, false
	for _, s := range l.Sources {
		unchanged, from = unchanged && s.Unchanged, from || s.Input == input
	}
	return from && !unchanged
}

// LineageFromProto returns a plugin's lineage, or nil if the plugin says nothing.
func LineageFromProto(l *pluginv1.Lineage) *Lineage {
	if l == nil {
		return nil
	}
	out := &Lineage{Sources: make([]LineageSource, len(l.GetSources()))}
	for i, s := range l.GetSources() {
		out.Sources[i] = LineageSource{Input: s.GetInput(), Column: s.GetColumn(), Argument: s.GetArgument(), Unchanged: s.GetUnchanged()}
	}
	return out
}
