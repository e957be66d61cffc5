package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/sdk/go/data"
)

// ArtifactType is the type of a variable or an output of a module that is an
// artifact or a prompt, not a value.
type ArtifactType struct {
	// Kind is dataset, model, or prompt.
	Kind string
	// Columns are those that a dataset must have, in the order in which they are
	// written. It may have more.
	Columns []ColumnType
	// Capability is what a model must be able to do, or empty.
	Capability string
}

// ColumnType is a column of an ArtifactType.
type ColumnType struct {
	Name string
	// Type is a column type, "number" for int64 or float64, or "any".
	Type string
	// Optional columns may be missing.
	Optional bool
}

// Accepts reports whether a column may have a type.
func (c *ColumnType) Accepts(columnType string) bool {
	return c.Type == "any" || c.Type == columnType || c.Type == "number" && (columnType == "int64" || columnType == "float64")
}

// The kinds of artifact types, and the capabilities of models.
var (
	artifactKinds = []string{"dataset", "model", "prompt"}
	capabilities  = []string{"chat", "complete", "score", "embed", "predict"}
)

// String returns the type as it is written.
func (t *ArtifactType) String() string {
	switch {
	case t.Capability != "":
		return fmt.Sprintf("%s(%q)", t.Kind, t.Capability)
	case len(t.Columns) == 0:
		return t.Kind
	}
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = c.Name + " = " + c.String()
	}
	return t.Kind + "({ " + strings.Join(columns, ", ") + " })"
}

// String returns the type of the column as it is written.
func (c *ColumnType) String() string {
	text := c.Type
	if strings.ContainsAny(text, "<:") {
		text = fmt.Sprintf("%q", text)
	}
	if c.Optional {
		return "optional(" + text + ")"
	}
	return text
}

// artifactType reads a type that is an artifact: dataset, dataset({ NAME = TYPE }),
// model, model("CAPABILITY"), or prompt. It returns nil if the expression is another
// type. Errors have been reported if the type is not nil.
func (l *loader) artifactType(e hcl.Expression) *ArtifactType {
	if word := hcl.ExprAsKeyword(e); slices.Contains(artifactKinds, word) {
		return &ArtifactType{Kind: word}
	}
	call, diags := hcl.ExprCall(e)
	if diags.HasErrors() || !slices.Contains(artifactKinds, call.Name) {
		return nil
	}
	t := &ArtifactType{Kind: call.Name}
	switch {
	case t.Kind == "dataset" && len(call.Arguments) == 1:
		t.Columns = l.columnTypes(call.Arguments[0])
	case t.Kind == "model" && len(call.Arguments) == 1:
		t.Capability = l.capability(call.Arguments[0])
	default:
		l.add(diag.Errorf(e.Range().Ptr(), "Invalid type", `Write dataset, dataset({ NAME = TYPE, … }), model, model("CAPABILITY"), or prompt.`))
	}
	return t
}

// columnTypes reads { NAME = TYPE, OTHER = optional(TYPE) }.
func (l *loader) columnTypes(e hcl.Expression) []ColumnType {
	pairs, diags := hcl.ExprMap(e)
	if diags.HasErrors() {
		l.add(diag.Errorf(e.Range().Ptr(), "Invalid type", "The columns of a dataset are an object: dataset({ text = string, score = optional(float64) })."))
		return nil
	}
	var columns []ColumnType
	for _, pair := range pairs {
		key, diags := eval.Value(pair.Key, nil)
		if diags.HasErrors() || key.Type() != cty.String || !key.IsKnown() || key.IsNull() {
			l.add(diag.Errorf(pair.Key.Range().Ptr(), "Invalid column type", "The name of a column must be a constant."))
			continue
		}
		name := key.AsString()
		c := ColumnType{Name: name}
		of := pair.Value
		if call, diags := hcl.ExprCall(of); !diags.HasErrors() && call.Name == "optional" && len(call.Arguments) == 1 {
			c.Optional, of = true, call.Arguments[0]
		}
		var ok bool
		if c.Type, ok = columnTypeOf(of); !ok {
			l.add(diag.Errorf(pair.Value.Range().Ptr(), "Invalid column type", "The type of the column %q must be %s, or the full name of a type, such as \"list<string>\". A column that may be missing has the type optional(TYPE).", name, english.Or(columnTypes)))
			continue
		}
		if slices.ContainsFunc(columns, func(o ColumnType) bool { return o.Name == name }) {
			l.add(diag.Errorf(pair.Key.Range().Ptr(), "Duplicate column", "The column %q is already listed. Remove one of the two.", name))
			continue
		}
		columns = append(columns, c)
	}
	return columns
}

func (l *loader) capability(e hcl.Expression) string {
	if name := keywordOrString(e); slices.Contains(capabilities, name) {
		return name
	}
	l.add(diag.Errorf(e.Range().Ptr(), "Invalid type", `The capability of a model must be %s: model("chat").`, english.Or(capabilities)))
	return ""
}

// columnTypes are the types of columns as they are written.
var columnTypes = []string{"string", "int64", "float64", "number", "bool", "binary", "date", "timestamp", "list(TYPE)", "any"}

// columnTypeOf reads the type of a column: a keyword, list(TYPE), or a string.
func columnTypeOf(e hcl.Expression) (string, bool) {
	if call, diags := hcl.ExprCall(e); !diags.HasErrors() {
		if call.Name != "list" || len(call.Arguments) != 1 {
			return "", false
		}
		inner, ok := columnTypeOf(call.Arguments[0])
		return "list<" + inner + ">", ok && isColumnType("list<"+inner+">")
	}
	name := hcl.ExprAsKeyword(e)
	if name == "" {
		v, diags := eval.Value(e, nil)
		if diags.HasErrors() || v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
			return "", false
		}
		name = v.AsString()
	}
	return name, name == "any" || name == "number" || isColumnType(name)
}

func isColumnType(name string) bool {
	_, err := data.ArrowType(name)
	return err == nil
}
