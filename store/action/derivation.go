package action

// Derivation says what a dataset came from, as far as that is known without its
// rows.
type Derivation struct {
	// RowsOf is the key of the dataset input that its rows come from, and Relation
	// says how. Both are empty if the rows do not come from those of one input.
	RowsOf   string   `json:"rows_of,omitempty"`
	Relation Relation `json:"relation,omitempty"`
	// Columns are the origins of columns by name. A column that is missing is, if it
	// has the name of a column of RowsOf, that column. Otherwise all that is known is
	// that it comes from what the action read.
	Columns map[string]*Sources `json:"columns,omitempty"`
	// Rows is what determines which rows there are, or nil if that is unknown.
	Rows *Sources `json:"rows,omitempty"`
}

// Relation says how the rows of a dataset come from those of an input.
type Relation string

// The relations.
const (
	Each     Relation = "each"     // one row for each row, in the same order
	Expanded Relation = "expanded" // any number of rows for each row, in the same order
	Selected Relation = "selected" // some of the rows, with all of their columns
)

// Sources is what the values of a column come from.
type Sources struct {
	From []ColumnRef `json:"from,omitempty"`
	// Prompts are the addresses of the prompts that were sent to a model.
	Prompts []string `json:"prompts,omitempty"`
	// Inexact is set if it is only known that the values come from nothing else.
	Inexact bool `json:"inexact,omitempty"`
}

// ColumnRef is a column of a dataset input, or a model.
type ColumnRef struct {
	Input  string `json:"input"`            // its key
	Column string `json:"column,omitempty"` // empty for a model
	// Unchanged is set if each value is a value of the column.
	Unchanged bool `json:"unchanged,omitempty"`
}
