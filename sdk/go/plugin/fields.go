package plugin

// Dataset is an argument that holds a dataset. It is a handle: Prepare.Input,
// Batch.Dataset, and Run.Dataset return what it refers to.
type Dataset struct {
	// Key is the argument's key; empty if the argument is not set.
	Key string
}

// Model is an argument that holds a model; see Prepare.Input, Batch.Model,
// Run.Model, and Host.
type Model struct{ Key string }

// Artifact is an argument that holds an artifact of any kind.
type Artifact struct{ Key string }

// Column is an argument that holds a row expression, such as row.body or
// lower(row.title). quern evaluates it, and the plugin gets its values as a
// column.
type Column struct{ Key string }

// ColumnOrModel is an argument that holds a row expression or a model.
type ColumnOrModel struct {
	Key     string
	IsModel bool
}

// IsSet reports whether the argument is set.
func (d Dataset) IsSet() bool { return d.Key != "" }

// IsSet reports whether the argument is set.
func (m Model) IsSet() bool { return m.Key != "" }

// IsSet reports whether the argument is set.
func (a Artifact) IsSet() bool { return a.Key != "" }

// IsSet reports whether the argument is set.
func (c Column) IsSet() bool { return c.Key != "" }

// IsSet reports whether the argument is set.
func (c ColumnOrModel) IsSet() bool { return c.Key != "" }

// Column returns the argument as a column; false if it holds a model.
func (c ColumnOrModel) Column() (Column, bool) {
	return Column{c.Key}, c.Key != "" && !c.IsModel
}

// Model returns the argument as a model; false if it holds a row expression.
func (c ColumnOrModel) Model() (Model, bool) {
	return Model{c.Key}, c.Key != "" && c.IsModel
}

// Prompt is an argument that holds a prompt. The plugin gets it as a column of
// requests in JSON. See Batch.Request and llm.DecodePrompt.
type Prompt struct{ Key string }

// LateColumn is an argument that holds a row expression which also uses names
// that the stage provides, such as a model's output. The tag late:"NAME=TYPE,…"
// declares them. A type is string, number, bool, any (JSON), or output: a
// model's answer, see package output. Host.Evaluate computes the values.
type LateColumn struct{ Key string }

// Subject is an argument that holds what an evaluator measures: a model with a
// prompt, written { model = …, prompt = … }; a trained model; or a row
// expression.
type Subject struct {
	Key string
	// Model is set for a model, trained or not, and Prompt for one that is
	// prompted. Neither is set if the subject is a row expression.
	Model  Model
	Prompt Prompt
}

// IsSet reports whether the argument is set.
func (p Prompt) IsSet() bool { return p.Key != "" }

// IsSet reports whether the argument is set.
func (l LateColumn) IsSet() bool { return l.Key != "" }

// IsSet reports whether the argument is set.
func (s Subject) IsSet() bool { return s.Key != "" }

// Column returns the subject as a column; false if it is a model.
func (s Subject) Column() (Column, bool) {
	return Column{s.Key}, s.Key != "" && !s.Model.IsSet()
}
