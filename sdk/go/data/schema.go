// Package data holds what quern and its plugins agree on about rows: column
// types, Arrow batches on the wire, and datasets as Parquet files.
//
// It promises that a row that is written and read again, on the wire or in a
// file, is the same row. It knows nothing of stores, keys or stages.
package data

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Column is a named, typed column. Types are written string, int64, float64,
// bool, binary, date, timestamp, list<T> and struct<name:T,...>. Every column
// may hold nulls.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Schema is the columns of a dataset in their order. Names are unique.
type Schema []Column

// Names are the columns' names in order.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, c := range s {
		names[i] = c.Name
	}
	return names
}

// Lookup finds a column and its position; ok is false where there is none of
// that name.
func (s Schema) Lookup(name string) (c Column, index int, ok bool) {
	for i, c := range s {
		if c.Name == name {
			return c, i, true
		}
	}
	return Column{}, -1, false
}

// Equal says whether both have the same columns in the same order.
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

// Check says what is wrong with a schema: a column without a name, a name
// that stands twice, a type that there is not.
func (s Schema) Check() error {
	seen := make(map[string]bool, len(s))
	for i, c := range s {
		if c.Name == "" {
			return fmt.Errorf("column %d has no name", i+1)
		}
		if seen[c.Name] {
			return fmt.Errorf("there are two columns named %q", c.Name)
		}
		seen[c.Name] = true
		if _, err := ArrowType(c.Type); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

// Arrow is the schema in Arrow's terms; every field is nullable. It panics
// on a schema that Check refuses: schemas from outside are checked where they
// come in.
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

// FromArrow reads an Arrow schema. A type that quern has no name for is an
// error that names the column.
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

// FromProto reads the protocol's columns.
func FromProto(columns []*pluginv1.Column) Schema {
	out := make(Schema, len(columns))
	for i, c := range columns {
		out[i] = Column{Name: c.GetName(), Type: c.GetType()}
	}
	return out
}

// Proto is the schema in the protocol's terms.
func (s Schema) Proto() []*pluginv1.Column {
	out := make([]*pluginv1.Column, len(s))
	for i, c := range s {
		out[i] = &pluginv1.Column{Name: c.Name, Type: c.Type}
	}
	return out
}
