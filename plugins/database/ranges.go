package database

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/plugins/watermark"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// ranges reads rows by ranges of the column of the watermark.
type ranges struct {
	*connection
	columns []column
	column  column
	quoted  string
	out     *sink
}

// ranges checks the column of the watermark.
func (c *connection) ranges(columns []column) (*ranges, error) {
	i := slices.IndexFunc(columns, func(col column) bool { return col.Name == c.args.Watermark })
	if i < 0 {
		return nil, plugin.ArgumentErrorf("watermark", "The query has no column %q\nAdd it to the columns of the query.", c.args.Watermark)
	}
	if typ := columns[i].Type; !watermark.Usable(typ) {
		return nil, plugin.ArgumentErrorf("watermark", "The column %q is %s, which cannot be a watermark\nUse a column of whole numbers, times, or text.", c.args.Watermark, typ)
	}
	return &ranges{connection: c, columns: columns, column: columns[i], quoted: c.dialect.quote(columns[i].Name)}, nil
}

// condition returns the condition of a span. It adds its parameters to s.
func (r *ranges) condition(of watermark.Span, s *statement) string {
	return of.Condition(r.quoted, func(value string) string {
		s.parameters = append(s.parameters, r.parameter(value))
		return r.dialect.placeholder(len(s.parameters))
	})
}

// parameter returns a value as a parameter of its type. Some databases would
// compare a number with text as floats.
func (r *ranges) parameter(value string) any {
	if r.column.Type == "int64" {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

// Count counts the rows in a span.
func (r *ranges) Count(ctx context.Context, of watermark.Span) (watermark.Counted, error) {
	s := &statement{}
	condition := r.condition(of, s)
	s.text = fmt.Sprintf("SELECT count(*), count(%[1]s), %[2]s, %[3]s, %[4]s FROM %[5]s WHERE %[6]s OR %[1]s IS NULL",
		r.quoted, r.dialect.text("min("+r.quoted+")"), r.dialect.text("max("+r.quoted+")"), r.dialect.checksum(r.quoted), r.args.from(), condition)
	var all int64
	var c watermark.Counted
	var sum *string
	if err := r.tx.QueryRowContext(ctx, s.text, s.parameters...).Scan(&all, &c.Rows, &c.Min, &c.Max, &sum); err != nil {
		return c, r.explain(ctx, err)
	}
	if sum != nil {
		c.Checksum = *sum
	}
	if all > c.Rows {
		return c, watermark.NullError(r.args.Watermark, all-c.Rows)
	}
	return c, nil
}

// Write writes the rows in a span.
func (r *ranges) Write(ctx context.Context, of watermark.Span, w *plugin.RowWriter) (int64, error) {
	if r.out == nil {
		r.out = newSink(w)
	}
	before := r.out.done
	err := r.rows(ctx, r.ordered(of), r.columns, r.out)
	return r.out.done - before, err
}

// ordered returns the query for the rows of a span in the order of the watermark.
// Rows with equal watermarks are in the order of the other columns.
func (r *ranges) ordered(of watermark.Span) statement {
	s := statement{}
	condition := r.condition(of, &s)
	order := []string{r.quoted}
	for _, c := range r.columns {
		if c.Name != r.column.Name && r.dialect.sortable(c.native) {
			order = append(order, r.dialect.quote(c.Name))
		}
	}
	s.text = "SELECT * FROM " + r.args.from() + " WHERE " + condition + " ORDER BY " + strings.Join(order, ", ")
	return s
}
