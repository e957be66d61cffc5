package plan

import (
	"strings"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Body is a configuration with its expressions compiled.
type Body struct {
	// Type is the object type of the configuration that Bind returns. Nested
	// bodies have no type, because it is part of the outer one.
	Type   value.Type      `json:"type,omitzero"`
	Args   map[string]*Arg `json:"args,omitempty"`
	Blocks []*Block        `json:"blocks,omitempty"` // in the order written
}

// Block is a nested block. If the configuration has its labels, they are also
// in its body's Args.
type Block struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels,omitempty"`
	Body   *Body    `json:"body"`
}

// Arg is an argument. Exactly one of Value, Expr, Row, Input, Choice, Map, and
// List is set.
type Arg struct {
	// Value is known.
	Value *value.Value `json:"value,omitempty"`
	// Expr waits for upstream values, or for a secret.
	Expr *expr.Compiled `json:"expr,omitempty"`
	// Row is evaluated for each row.
	Row *RowArg `json:"row,omitempty"`
	// Input is an artifact.
	Input *Input `json:"input,omitempty"`
	// Choice becomes an Input or a Row once it is known which.
	Choice *Choice `json:"choice,omitempty"`
	// Map and List are collections whose elements are rows or inputs.
	Map  map[string]*Arg `json:"map,omitempty"`
	List []*Arg          `json:"list,omitempty"`

	// Operational arguments are left out of keys.
	Operational bool `json:"operational,omitempty"`
	// Sensitive arguments are left out of keys and never shown.
	Sensitive bool `json:"sensitive,omitempty"`
	// Range is where the argument's expression is.
	Range diag.Range `json:"range"`
}

// RowArg is a row expression over the rows of one dataset input.
type RowArg struct {
	Expr *expr.Compiled `json:"expr"`
	// Of is the key of the dataset argument.
	Of string `json:"of"`
	// Schema contains the columns that it reads. It is set if the expression
	// waits for values of other stages and is compiled again when they are
	// known.
	Schema data.Schema `json:"schema,omitempty"`
	// Prompt is the address of the prompt that it was compiled from: of a block, or of
	// the stage that produces the prompt. It is empty for other expressions.
	Prompt string `json:"prompt,omitempty"`
	// Late is set if it needs what the stage computed for a row, so that it is
	// not a column of the plugin's input. The columns that it reads are.
	Late bool `json:"late,omitempty"`
}

// Input refers to an artifact of an upstream instance.
type Input struct {
	Address string `json:"address"`
	Port    string `json:"port,omitempty"`
	Kind    string `json:"kind"`
	// Of is set for a model that predicts over the rows of a dataset
	// argument: the key of that argument.
	Of string `json:"of,omitempty"`
}

// String returns the artifact as an expression refers to it.
func (in *Input) String() string { return strings.TrimSuffix(in.Address+"."+in.Port, ".") }
