package plugin

// Dataset is an argument that holds a dataset. It is a handle: what stands
// behind it is got from Prepare.Input and Run.Dataset.
type Dataset struct {
	// Key is the argument's key; empty: the argument was not given.
	Key string
}

// Model is an argument that holds a model; see Prepare.Input and Run.Model.
type Model struct{ Key string }

// Artifact is an argument that holds an artifact of any kind.
type Artifact struct{ Key string }

// Column is an argument that holds a row expression. quern evaluates it, and
// the plugin gets its values as a column that has the argument's key for its
// name.
type Column struct{ Key string }

// ColumnOrModel is an argument that holds a row expression or a model.
type ColumnOrModel struct {
	Key     string
	IsModel bool
}

// Given says whether the argument was written.
func (d Dataset) Given() bool { return d.Key != "" }

// Given says whether the argument was written.
func (m Model) Given() bool { return m.Key != "" }

// Given says whether the argument was written.
func (a Artifact) Given() bool { return a.Key != "" }

// Given says whether the argument was written.
func (c Column) Given() bool { return c.Key != "" }

// Given says whether the argument was written.
func (c ColumnOrModel) Given() bool { return c.Key != "" }

// Column returns the argument as a column; false: it holds a model.
func (c ColumnOrModel) Column() (Column, bool) {
	return Column{c.Key}, c.Key != "" && !c.IsModel
}

// Model returns the argument as a model; false: it holds a row expression.
func (c ColumnOrModel) Model() (Model, bool) {
	return Model{c.Key}, c.Key != "" && c.IsModel
}
