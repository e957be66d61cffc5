// Package data defines rows as quern and its plugins exchange them: column
// types, Arrow batches on the wire, and datasets as Parquet files.
//
// A row that is written and read again, on the wire or in a file, is the same
// row.
package data

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Column is a named, typed column. Types are written string, int64, float64,
// bool, binary, date, timestamp, list<T>, and struct<name:T,...>. Every column
// can contain nulls.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Schema lists the columns of a dataset in order. Names are unique.
type Schema []Column

// Names returns the columns' names in order.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, c := range s {
		names[i] = c.Name
	}
	return names
}

// Lookup returns a column and its index by name; ok is false if no such column
// exists.
func (s Schema) Lookup(name string) (c Column, index int, ok bool) {
	for i, c := range s {
		if c.Name == name {
			return c, i, true
		}
	}
	return Column{}, -1, false
}

// Equal reports whether two schemas have the same columns in the same order.
func (s Schema) Equal(o Schema) bool {
	if len(s) != len(o) {
		return false
	}
	for i := range s {
		if s[i] != o[i] {
			return false
		}
	}
	return true
}

// Check returns an error if a column has no name, a name occurs twice, or a
// type is not valid.
func (s Schema) Check() error {
	seen := make(map[string]bool, len(s))
	for i, c := range s {
		if c.Name == "" {
			return fmt.Errorf("column %d has no name", i+1)
		}
		if seen[c.Name] {
			return fmt.Errorf("two columns are named %q", c.Name)
		}
		seen[c.Name] = true
		if _, err := ArrowType(c.Type); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

// Arrow returns the schema as Arrow; every field is nullable. It panics if
// Check would return an error: check schemas from outside first.
func (s Schema) Arrow() *arrow.Schema {
	fields := make([]arrow.Field, len(s))
	for i, c := range s {
		t, err := ArrowType(c.Type)
		if err != nil {
			panic(fmt.Sprintf("column %q: %v", c.Name, err))
		}
		fields[i] = arrow.Field{Name: c.Name, Type: t, Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// FromArrow converts an Arrow schema. If a type is not supported, the error
// names the column.
func FromArrow(s *arrow.Schema) (Schema, error) {
	out := make(Schema, s.NumFields())
	for i, f := range s.Fields() {
		t, err := TypeName(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		out[i] = Column{Name: f.Name, Type: t}
	}
	return out, nil
}

// FromProto converts columns from the protocol.
func FromProto(columns []*pluginv1.Column) Schema {
	out := make(Schema, len(columns))
	for i, c := range columns {
		out[i] = Column{Name: c.GetName(), Type: c.GetType()}
	}
	return out
}

// Proto converts the schema to the protocol's columns.
func (s Schema) Proto() []*pluginv1.Column {
	out := make([]*pluginv1.Column, len(s))
	for i, c := range s {
		out[i] = &pluginv1.Column{Name: c.Name, Type: c.Type}
	}
	return out
}
