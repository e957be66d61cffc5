package database

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// convert converts a value of a driver to the type of its column: string, int64,
// float64, bool, time.Time, or []byte. A value that the type cannot represent
// exactly is an error.
func convert(c column, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch c.Type {
	case "string":
		return text(v)
	case "binary":
		switch v := v.(type) {
		case []byte:
			return v, nil
		case string:
			return []byte(v), nil
		}
	case "int64":
		return integer(v)
	case "float64":
		return float(v)
	case "bool":
		return truth(v)
	case "date", "timestamp":
		return moment(c.Type, v)
	}
	return nil, unfit(v, c.Type)
}

func unfit(v any, typ string) error {
	if b, ok := v.([]byte); ok {
		v = string(b)
	}
	shown := fmt.Sprint(v)
	if len(shown) > 60 {
		shown = shown[:60] + "..."
	}
	return fmt.Errorf("%q is not a valid %s\nConvert it in the query with CAST, or set another type in schema.", shown, typ)
}

func text(v any) (any, error) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case []byte:
		s = string(v)
	case time.Time:
		s = v.UTC().Format("2006-01-02 15:04:05.999999")
	case float64:
		s = strconv.FormatFloat(v, 'g', -1, 64)
	default:
		s = fmt.Sprint(v)
	}
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("the text is not valid UTF-8\nSet its type to \"binary\" in schema.")
	}
	return s, nil
}

func integer(v any) (any, error) {
	switch n := v.(type) {
	case int64:
		return n, nil
	case uint64:
		if n <= math.MaxInt64 {
			return int64(n), nil
		}
	case bool:
		if n {
			return int64(1), nil
		}
		return int64(0), nil
	case float64:
		if n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
			return int64(n), nil
		}
	case string, []byte:
		if i, err := strconv.ParseInt(asText(n), 10, 64); err == nil {
			return i, nil
		}
	}
	return nil, unfit(v, "int64")
}

func float(v any) (any, error) {
	switch n := v.(type) {
	case float64:
		return n, nil
	case float32:
		return float64(n), nil
	case int64:
		if f := float64(n); int64(f) == n && math.Abs(f) <= 1<<53 {
			return f, nil
		}
	case string, []byte:
		if f, err := strconv.ParseFloat(asText(n), 64); err == nil {
			return f, nil
		}
	}
	return nil, unfit(v, "float64")
}

func truth(v any) (any, error) {
	switch n := v.(type) {
	case bool:
		return n, nil
	case int64:
		if n == 0 || n == 1 {
			return n == 1, nil
		}
	case string, []byte:
		switch strings.ToLower(asText(n)) {
		case "t", "true", "1":
			return true, nil
		case "f", "false", "0":
			return false, nil
		}
	}
	return nil, unfit(v, "bool")
}

// forms are how databases write dates and times as text.
var forms = []string{"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", time.DateOnly}

func moment(typ string, v any) (any, error) {
	t, ok := v.(time.Time)
	for _, form := range forms {
		if ok {
			break
		}
		var err error
		t, err = time.Parse(form, asText(v))
		ok = err == nil
	}
	t = t.UTC()
	switch {
	case !ok, t.IsZero(): // MySQL's 0000-00-00, which no calendar has
		return nil, unfit(v, typ)
	case typ == "date" && !t.Equal(t.Truncate(24*time.Hour)):
		return nil, unfit(v, typ)
	case t.Nanosecond()%1000 != 0:
		return nil, fmt.Errorf("the time %s is finer than microseconds\nRound it in the query.", t.Format(time.RFC3339Nano))
	}
	return t, nil
}

func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// inferUntyped sets the types that only the rows show, from the first of them.
func (c *connection) inferUntyped(ctx context.Context, columns []column) error {
	open := false
	for _, col := range columns {
		open = open || col.Type == ""
	}
	if !open {
		return nil
	}
	const sampled = 1000
	rows, err := c.tx.QueryContext(ctx, fmt.Sprintf("SELECT * FROM %s LIMIT %d", c.args.from(), sampled))
	if err != nil {
		return c.explain(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	values, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	found := make([]string, len(columns))
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return c.explain(ctx, err)
		}
		for i, v := range values {
			found[i] = wider(found[i], v)
		}
	}
	for i := range columns {
		if columns[i].Type == "" {
			if columns[i].Type = found[i]; found[i] == "" {
				columns[i].Type = "string"
			}
		}
	}
	return rows.Err()
}

// wider returns a type for values of a type and another value.
func wider(typ string, v any) string {
	next := "string"
	switch v.(type) {
	case nil:
		return typ
	case int64:
		next = "int64"
	case float64:
		next = "float64"
	case bool:
		next = "bool"
	case time.Time:
		next = "timestamp"
	case []byte:
		next = "binary"
	}
	switch {
	case typ == "" || typ == next:
		return next
	case typ == "int64" && next == "float64" || typ == "float64" && next == "int64":
		return "float64"
	}
	return "string"
}

// sink writes rows to quern in batches.
type sink struct {
	w    *plugin.RowWriter
	rows *array.RecordBuilder
	n    int   // in the batch
	size int64 // of the batch, in bytes
	done int64
	// left is the number of bytes that are still needed; 0 means all.
	left int64
}

// A batch ends at so many rows or bytes.
const (
	batchRows  = 4096
	batchBytes = 4 << 20
)

func newSink(w *plugin.RowWriter) *sink {
	return &sink{w: w, rows: array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())}
}

func (s *sink) take(_ []column, row []any) error {
	for i, v := range row {
		s.size += appendTo(s.rows.Field(i), v)
	}
	s.done++
	if s.n++; s.n < batchRows && s.size < batchBytes {
		return nil
	}
	size := s.size
	if err := s.end(); err != nil {
		return err
	}
	if s.left > 0 {
		if s.left -= size; s.left <= 0 {
			return errEnough
		}
	}
	return nil
}

func (s *sink) end() error {
	if s.n == 0 {
		return nil
	}
	s.n, s.size = 0, 0
	batch := s.rows.NewRecordBatch()
	defer batch.Release()
	if err := s.w.Write(batch); err != nil {
		return err
	}
	if s.done%progressRows < batchRows {
		s.w.Progress(s.done, 0, "rows", "")
	}
	return nil
}

// appendTo appends a value that convert returned, and returns its size.
func appendTo(b array.Builder, v any) int64 {
	switch v := v.(type) {
	case string:
		b.(*array.StringBuilder).Append(v)
		return int64(len(v))
	case []byte:
		b.(*array.BinaryBuilder).Append(v)
		return int64(len(v))
	case int64:
		b.(*array.Int64Builder).Append(v)
	case float64:
		b.(*array.Float64Builder).Append(v)
	case bool:
		b.(*array.BooleanBuilder).Append(v)
	case time.Time:
		if days, ok := b.(*array.Date32Builder); ok {
			days.Append(arrow.Date32FromTime(v))
		} else {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(v.UnixMicro()))
		}
	default:
		b.AppendNull()
	}
	return 8
}
