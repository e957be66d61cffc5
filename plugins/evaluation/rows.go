package evaluation

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

// write writes the chunk's answers: by row, and for each by subject and draw.
func (c *chunk) write() error {
	schema := c.Args.rowsSchema()
	w := &rowWriter{schema: schema, builder: array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())}
	defer w.builder.Release()
	ids, clusters := c.strings(c.Args.ID.Key), c.strings(c.Args.Cluster.Key)
	for i := range c.n {
		read, err := c.given(i)
		if err != nil {
			return err
		}
		for s := range c.Args.subjects {
			for d := range c.Args.Repeats {
				a := c.answers[s][d][i]
				values := map[string]any{
					"row": c.rows + int64(i), "subject": c.Args.subjects[s].name, "draw": int64(d), "given": read,
				}
				if id, ok := stringAt(ids, i); ok {
					values["id"] = id
				}
				if name, ok := stringAt(clusters, i); ok {
					values["cluster"] = name
				}
				if err := a.describe(values, c.Args.measures); err != nil {
					return err
				}
				if err := w.add(values); err != nil {
					return err
				}
			}
		}
	}
	rec := w.builder.NewRecordBatch()
	defer rec.Release()
	return c.Write(rowsOutput, rec)
}

// given is JSON of what metrics read of a row.
func (c *chunk) given(i int) (string, error) {
	values := map[string]any{}
	for _, name := range c.raw {
		at := c.rec.Schema().FieldIndices(name)[0]
		values[name] = c.rec.Column(at).GetOneForMarshal(i)
	}
	text, err := json.Marshal(values)
	return string(text), err
}

// describe adds what is known of an answer to a row of the output.
func (a *given) describe(values map[string]any, measures []*measure) error {
	if a.request != nil {
		values["request"] = string(a.request)
	}
	problems := a.missing
	if a.err != nil {
		problems = append([]string{a.err.Error()}, problems...)
	}
	if len(problems) > 0 {
		values["error"] = strings.Join(problems, "\n")
	}
	if r := a.response; r != nil {
		values["text"] = r.Text
		if !a.free {
			values["refused"], values["latency"] = r.Refused(), r.Latency
			values["input_tokens"], values["output_tokens"] = r.Usage.Input, r.Usage.Output
		}
		if r.FinishReason != "" {
			values["finish_reason"] = r.FinishReason
		}
		if r.Cost != nil {
			values["cost"] = *r.Cost
		}
		if len(r.ToolCalls) > 0 {
			text, err := json.Marshal(r.ToolCalls)
			if err != nil {
				return err
			}
			values["tool_calls"] = string(text)
		}
	}
	if a.passed != nil {
		values["passed"] = *a.passed
	}
	values["overall"] = a.overall
	for m, what := range measures {
		values[what.name] = a.values[m]
		if a.explanations[m] != "" {
			values[what.name+"_explanation"] = a.explanations[m]
		}
	}
	return nil
}

// rowWriter builds rows of a schema.
type rowWriter struct {
	schema  data.Schema
	builder *array.RecordBuilder
}

// add adds a row. What it does not name, or is no number, is null.
func (w *rowWriter) add(values map[string]any) error {
	for i, c := range w.schema {
		if err := appendValue(w.builder.Field(i), values[c.Name]); err != nil {
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
	return fmt.Errorf("a %T is no value of type %s", v, b.(interface{ Type() arrow.DataType }).Type())
}
