package data

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Namespace says what the name of a field in a batch refers to. A dataset's
// columns, its row arguments, and late names are separate namespaces: fields in
// different ones can have the same name. The value is the key of the Arrow
// metadata that marks a field.
type Namespace string

// The namespaces. Columns need no mark.
const (
	// The namespaces. Columns have no mark.
	Columns   Namespace = ""
	Arguments Namespace = "quern.argument"
	LateNames Namespace = "quern.late"
)

// Field returns the Arrow field for a name.
func (n Namespace) Field(name string, t arrow.DataType) arrow.Field {
	f := arrow.Field{Name: name, Type: t, Nullable: true}
	if n != Columns {
		f.Metadata = arrow.NewMetadata([]string{string(n)}, []string{name})
	}
	return f
}

// Find returns the values for a name in a batch, or nil if the batch does not
// have it.
func (n Namespace) Find(rec arrow.RecordBatch, name string) arrow.Array {
	for i, f := range rec.Schema().Fields() {
		if have, ok := n.name(f); ok && have == name {
			return rec.Column(i)
		}
	}
	return nil
}

// Schema lists the names of the namespace in an Arrow schema.
func (n Namespace) Schema(s *arrow.Schema) (Schema, error) {
	var fields []arrow.Field
	for _, f := range s.Fields() {
		if name, ok := n.name(f); ok {
			f.Name = name
			fields = append(fields, f)
		}
	}
	return FromArrow(arrow.NewSchema(fields, nil))
}

// Refs returns references to several names.
func (n Namespace) Refs(names ...string) []Ref {
	refs := make([]Ref, len(names))
	for i, name := range names {
		refs[i] = Ref{n, name}
	}
	return refs
}

// Holds reports whether a field belongs to the namespace.
func (n Namespace) Holds(f arrow.Field) bool {
	_, ok := n.name(f)
	return ok
}

// name returns a field's name in the namespace; false if it belongs to another
// one.
func (n Namespace) name(f arrow.Field) (string, bool) {
	if n != Columns {
		return f.Metadata.GetValue(string(n))
	}
	if f.Metadata.Len() == 0 {
		return f.Name, true
	}
	marked := f.Metadata.FindKey(string(Arguments)) >= 0 || f.Metadata.FindKey(string(LateNames)) >= 0
	return f.Name, !marked
}

// Ref refers to a column or a row argument.
type Ref struct {
	Namespace
	Name string
}

func (r Ref) String() string {
	if r.Namespace == Arguments {
		return fmt.Sprintf("row argument %q", r.Name)
	}
	return fmt.Sprintf("column %q", r.Name)
}

func namespaceFromProto(c *pluginv1.StoredColumn) Namespace {
	if c.GetArgument() {
		return Arguments
	}
	return Columns
}
