package plan

import (
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Port is an artifact that a stage produces.
type Port struct {
	// Name is empty if the stage itself is the artifact.
	Name string `json:"name,omitempty"`
	Kind string `json:"kind"` // dataset, model, report, prompt
	// Columns of a dataset.
	Columns data.Schema `json:"columns,omitempty"`
	// Violations is set for the rows that violate a contract. quern produces them
	// itself, and they are no part of the node's keys.
	Violations bool `json:"violations,omitempty"`
	// Origins, by column, of an output with RowsOf: "" (computed by the plugin),
	// "input:NAME", or, of a row-wise stage, "argument:KEY".
	Origins map[string]string `json:"origins,omitempty"`
	// Counted are the columns of a row-wise transform whose values quern counts. Of
	// a labeler, it counts those of all columns that it adds.
	Counted []string `json:"counted,omitempty"`
	// RowsOf is the key of the input whose rows the output has, in a row-wise stage and
	// in a stage on whole datasets whose output is aligned with its input. For a
	// prompt, it is the key of the argument with the prompt that it was made from.
	RowsOf string `json:"rows_of,omitempty"`
	// SelectedFrom is the key of the input that the dataset has some rows of, with
	// all of their columns. If it is also RowsOf, the stage drops rows.
	SelectedFrom string `json:"selected_from,omitempty"`
	// Lineage is what columns come from, by name, and RowsLineage is what determines
	// which rows there are, as far as the plugin says so. They are no part of the
	// node's keys.
	Lineage     map[string]*Lineage `json:"lineage,omitempty"`
	RowsLineage *Lineage            `json:"rows_lineage,omitempty"`
	// Format and Signature of a model. Features are the expressions that
	// compute its inputs from a row, by input name.
	Format    string     `json:"format,omitempty"`
	Signature *Signature `json:"signature,omitempty"`
	// Capabilities of a model: CanPredict and those of a language model; sorted.
	Capabilities []string `json:"capabilities,omitempty"`
	// Model is set for a language model: how to call it.
	Model    *ModelInfo                `json:"model,omitempty"`
	Features map[string]*expr.Compiled `json:"features,omitempty"`
}

// Made reports whether the stage itself produces the artifact and stores it.
func (p *Port) Made() bool { return p.Stored() && !p.Violations }

// IsAligned reports whether the artifact is a dataset with the rows of an input, so
// that it shares the input's files.
func (p *Port) IsAligned() bool { return p.Kind == KindDataset && p.RowsOf != "" }

// Stored reports whether the artifact is in the store. A prompt is not: it is the
// prompt that it was made from, and the value MessagesName of its stage.
func (p *Port) Stored() bool { return p.Kind != KindPrompt }

// MessagesName is the plain value of a stage that produces a prompt: the messages
// that take the place of the system message and the examples of the prompt that
// it was made from.
const MessagesName = "messages"

// MessagesType is its type.
var MessagesType = cty.List(cty.Object(map[string]cty.Type{"role": cty.String, "content": cty.String}))

// Predicts reports whether the artifact is a model that stages can apply to rows.
func (p *Port) Predicts() bool { return slices.Contains(p.Capabilities, CanPredict) }

// Signature lists the columns that a model's prediction reads and returns.
type Signature struct {
	Inputs  data.Schema `json:"inputs"`
	Outputs data.Schema `json:"outputs"`
}
