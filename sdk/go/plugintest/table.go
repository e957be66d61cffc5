package plugintest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Table holds rows. Values are string, int64, float64, bool, or nil; values of
// other types are as encoding/json would encode them.
type Table struct {
	Columns data.Schema
	Rows    []map[string]any
}

// difference describes how results differ, or is empty if they do not. NaN equals NaN.
func difference(a, b any) string {
	return cmp.Diff(a, b, cmpopts.EquateNaNs(), cmp.AllowUnexported(result{}))
}

// Column returns the values of a column in order.
func (t *Table) Column(name string) []any {
	out := make([]any, len(t.Rows))
	for i, r := range t.Rows {
		out[i] = r[name]
	}
	return out
}

// table holds rows as Arrow.
type table struct {
	schema data.Schema
	rec    arrow.RecordBatch
}

func newTable(t testing.TB, d Dataset) *table {
	t.Helper()
	schema := d.Columns
	if schema == nil {
		schema = inferred(t, d.Rows)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	for _, row := range d.Rows {
		for name := range row {
			if _, _, ok := schema.Lookup(name); !ok {
				t.Fatalf("a row has a value for %q, which is not one of the columns", name)
			}
		}
		for i, c := range schema {
			if err := appendValue(b.Field(i), row[c.Name]); err != nil {
				t.Fatalf("column %q: %s", c.Name, err)
			}
		}
	}
	rec := b.NewRecordBatch()
	t.Cleanup(rec.Release)
	return &table{schema, rec}
}

// inferred returns the schema of rows by their values; a column of nulls is
// string.
func inferred(t testing.TB, rows []map[string]any) data.Schema {
	t.Helper()
	types := map[string]string{}
	for _, r := range rows {
		for name, v := range r {
			typ, err := typeOfValue(v)
			if err != nil {
				t.Fatalf("column %q: %s", name, err)
			}
			if typ != "" || types[name] == "" {
				types[name] = typ
			}
		}
	}
	var out data.Schema
	for _, name := range sortedKeys(types) {
		typ := types[name]
		if typ == "" {
			typ = "string"
		}
		out = append(out, data.Column{Name: name, Type: typ})
	}
	return out
}

func typeOfValue(v any) (string, error) {
	switch v.(type) {
	case nil:
		return "", nil
	case string:
		return "string", nil
	case int, int64:
		return "int64", nil
	case float64:
		return "float64", nil
	case bool:
		return "bool", nil
	case []string:
		return "list<string>", nil
	}
	return "", fmt.Errorf("a %T has no column type; use string, int, float64, bool, or []string", v)
}

func appendValue(b array.Builder, v any) error {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
		return nil
	case string:
		return b.AppendValueFromString(v)
	case bool:
		if b, ok := b.(*array.BooleanBuilder); ok {
			b.Append(v)
			return nil
		}
	case int:
		return appendInt(b, int64(v))
	case int64:
		return appendInt(b, v)
	case float64:
		if b, ok := b.(*array.Float64Builder); ok {
			b.Append(v)
			return nil
		}
	case []any: // of a column whose type is given
		list, ok := b.(*array.ListBuilder)
		if !ok {
			break
		}
		list.Append(true)
		for _, e := range v {
			if err := appendValue(list.ValueBuilder(), e); err != nil {
				return err
			}
		}
		return nil
	case []string:
		list, ok := b.(*array.ListBuilder)
		if !ok {
			break
		}
		list.Append(true)
		for _, e := range v {
			if err := list.ValueBuilder().AppendValueFromString(e); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("a %T is not a value of type %s", v, b.Type())
}

func appendInt(b array.Builder, v int64) error {
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v)
	case *array.Float64Builder:
		b.Append(float64(v))
	default:
		return fmt.Errorf("an integer is not a value of type %s", b.Type())
	}
	return nil
}

// goValue returns one value of an array.
func goValue(a arrow.Array, row int) any {
	if a.IsNull(row) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(row)
	case *array.Int64:
		return a.Value(row)
	case *array.Float64:
		return a.Value(row)
	case *array.Boolean:
		return a.Value(row)
	}
	return a.GetOneForMarshal(row)
}

// toTable copies batches that have the same schema.
func toTable(schema data.Schema, batches []arrow.RecordBatch) *Table {
	out := &Table{Columns: schema}
	for _, rec := range batches {
		for i := range int(rec.NumRows()) {
			row := map[string]any{}
			for j, c := range schema {
				row[c.Name] = goValue(rec.Column(j), i)
			}
			out.Rows = append(out.Rows, row)
		}
	}
	return out
}

// values returns the values of a row expression.
func (t *table) values(r boundRow) arrow.Array {
	switch {
	case r.prompt != nil:
		return t.prompts(r.prompt, r.drawing)
	case r.computed != nil:
		return t.computed(r.computed)
	}
	_, at, _ := t.schema.Lookup(r.column)
	return t.rec.Column(at)
}

// computed returns a column of computed values.
func (t *table) computed(c *Computed) arrow.Array {
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "value", Type: c.Type}}.Arrow())
	defer b.Release()
	for _, row := range toTable(t.schema, []arrow.RecordBatch{t.rec}).Rows {
		if err := appendValue(b.Field(0), c.Func(row)); err != nil {
			panic(fmt.Sprintf("a computed row expression: %s", err))
		}
	}
	return b.NewRecordBatch().Column(0)
}

// prompts returns a column of requests; nil becomes null. drawing is JSON that
// says how examples are selected.
func (t *table) prompts(p Prompt, drawing []byte) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, row := range toTable(t.schema, []arrow.RecordBatch{t.rec}).Rows {
		r := p(row)
		if r == nil {
			b.AppendNull()
			continue
		}
		text, err := r.Encode()
		if err != nil {
			panic(fmt.Sprintf("encode the request of a prompt: %s", err))
		}
		if drawing != nil {
			text = fmt.Appendf(nil, `%s,"examples":%s}`, text[:len(text)-1], drawing)
		}
		b.Append(string(text))
	}
	return b.NewArray()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
