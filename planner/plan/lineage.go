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

// PassedOn returns the column of an input whose values are passed on unchanged.
func (l *Lineage) PassedOn(input string) (column string, ok bool) {
	if l == nil || len(l.Sources) != 1 {
		return "", false
	}
	s := l.Sources[0]
	return s.Column, s.Input == input && s.Unchanged
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
