// Package finetune writes pipelines that train a language model with the
// plugin hf. Importers of other trainers fill in a Recipe.
package finetune

import (
	"slices"

	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// Recipe is a training run in the terms of the plugin hf.
type Recipe struct {
	// Name is the name of the training stage and of the pipeline's file.
	Name string
	// Tool and File are where the recipe comes from.
	Tool, File string
	Base       Base
	// Type is the type of the training stage, such as hf_sft.
	Type string
	// Data are the datasets to train on. Their rows are put one after another.
	Data []Dataset
	// Validation are the datasets to evaluate on.
	Validation []Dataset
	// Holdout is the share of the data to evaluate on, or 0.
	Holdout float64
	// Evaluation contains the attributes of the block validation other than the
	// data.
	Evaluation Attributes
	// Arguments are those of the stage other than the base, the data, and what
	// is read of its rows.
	Arguments Attributes
	// LoRA contains the attributes of the block lora, or is nil if all weights
	// are trained.
	LoRA Attributes
}

// Base is the model that training starts from: a folder or a repository.
type Base struct {
	Path, Repo, Revision string
}

// Dataset is a file and what is read of its rows.
type Dataset struct {
	Name   string
	Format string // the type of its source, such as json or huggingface
	Source Attributes
	// Rows is how many rows are used at most; 0: all.
	Rows int
	// Columns are row expressions by the argument of the training stage that
	// takes them, such as messages.
	Columns Attributes
}

// Attribute is an attribute of a block: its name and the text of its
// expression.
type Attribute struct{ Name, Text string }

// Attributes are attributes in the order in which they are written.
type Attributes []Attribute

// Set sets an attribute to the text of an expression.
func (a *Attributes) Set(name, text string) {
	for i := range *a {
		if (*a)[i].Name == name {
			(*a)[i].Text = text
			return
		}
	}
	*a = append(*a, Attribute{name, text})
}

// Value sets an attribute to a plain value.
func (a *Attributes) Value(name string, v any) { a.Set(name, hcltext.Literal(v)) }

// Has reports whether an attribute is set.
func (a Attributes) Has(name string) bool {
	return slices.ContainsFunc(a, func(at Attribute) bool { return at.Name == name })
}

// names returns the names in their order.
func (a Attributes) names() []string {
	names := make([]string, len(a))
	for i, at := range a {
		names[i] = at.Name
	}
	return names
}
