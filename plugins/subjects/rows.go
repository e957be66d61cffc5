package subjects

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Rows builds the rows of single answers.
type Rows struct {
	schema  data.Schema
	builder *array.RecordBuilder
}

// NewRows returns a builder for rows of a schema. The caller releases it.
func NewRows(schema data.Schema) *Rows {
	return &Rows{schema, array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())}
}

// Release frees the memory.
func (r *Rows) Release() { r.builder.Release() }

// Batch returns the rows since the last call. The caller releases them.
func (r *Rows) Batch() arrow.RecordBatch { return r.builder.NewRecordBatch() }

// Add adds a row from values by column: float64, int64, bool, or string.
// Columns without a value, and NaN, are null.
func (r *Rows) Add(values map[string]any) error {
	for i, c := range r.schema {
		if err := appendValue(r.builder.Field(i), values[c.Name]); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

func appendValue(b array.Builder, v any) error {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
		return nil
	case float64:
		if math.IsNaN(v) {
			b.AppendNull()
			return nil
		}
		if b, ok := b.(*array.Float64Builder); ok {
			b.Append(v)
			return nil
		}
	case int64:
		if b, ok := b.(*array.Int64Builder); ok {
			b.Append(v)
			return nil
		}
	case bool:
		if b, ok := b.(*array.BooleanBuilder); ok {
			b.Append(v)
			return nil
		}
	case string:
		if b, ok := b.(*array.StringBuilder); ok {
			b.Append(v)
			return nil
		}
	}
	return fmt.Errorf("a %T is not a value of type %s", v, b.(interface{ Type() arrow.DataType }).Type())
}
