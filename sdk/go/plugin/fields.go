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
func (d Dataset) IsSet() bool { return d.Key != "" }

// Given says whether the argument was written.
func (m Model) IsSet() bool { return m.Key != "" }

// Given says whether the argument was written.
func (a Artifact) IsSet() bool { return a.Key != "" }

// Given says whether the argument was written.
func (c Column) IsSet() bool { return c.Key != "" }

// Given says whether the argument was written.
func (c ColumnOrModel) IsSet() bool { return c.Key != "" }

// Column returns the argument as a column; false: it holds a model.
func (c ColumnOrModel) Column() (Column, bool) {
	return Column{c.Key}, c.Key != "" && !c.IsModel
}

// Model returns the argument as a model; false: it holds a row expression.
func (c ColumnOrModel) Model() (Model, bool) {
	return Model{c.Key}, c.Key != "" && c.IsModel
}

// Prompt is an argument that holds a prompt. The plugin gets it as a column,
// as a Column: for each row the JSON of a request. See Batch.Request and
// llm.DecodeRequest.
type Prompt struct{ Key string }

// Late is an argument that holds a row expression which needs, beside the row,
// what the stage finds out about it: the names in its tag late:"NAME=TYPE,…".
// A type is string, number, bool, any (JSON), or output: what a model
// answered, of type output.Type. Host.Evaluate computes it.
type LateColumn struct{ Key string }

// Subject is an argument that holds something that answers for a row: a model
// with a prompt, written { model = …, prompt = … }; a trained model; or a row
// expression.
type Subject struct {
	Key string
	// Model of a model, trained or not, and Prompt of one that is asked. Both
	// are not given where the subject is a row expression.
	Model  Model
	Prompt Prompt
}

// Given says whether the argument was written.
func (p Prompt) IsSet() bool { return p.Key != "" }

// Given says whether the argument was written.
func (l LateColumn) IsSet() bool { return l.Key != "" }

// Given says whether the argument was written.
func (s Subject) IsSet() bool { return s.Key != "" }

// Column returns the subject as a column; false: it is a model.
func (s Subject) Column() (Column, bool) {
	return Column{s.Key}, s.Key != "" && !s.Model.IsSet()
}
