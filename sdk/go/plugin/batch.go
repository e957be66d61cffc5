package plugin

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Batch is a batch of rows for a Mapper. It is valid until Map returns. Use it
// from one goroutine, except for Host, ReportDone, and ReportFailure.
type Batch struct {
	// N is the number of rows.
	N int

	// made is the number of rows in the columns to fill: N, except in a
	// FlatBatch, where counts holds how many of them come from each row.
	made   int
	counts []int64

	name   string
	in     arrow.RecordBatch
	out    []*outColumn
	errors []RowError
	err    error
	host   *hostConn
	inputs map[string]*pluginv1.Artifact
	// tokens are those of rows that were pending, by row.
	tokens map[int][]byte
	// finished counts rows; nil if progress is not reported.
	finished *finished
}

// Host returns the stage's access to models. Any number of goroutines can use
// it.
func (b *Batch) Host() *Host { return &Host{b.host} }

// Dataset returns a dataset input other than the one that is mapped, or nil if
// the argument is not set.
func (b *Batch) Dataset(d Dataset) *DatasetInput { return newDatasetInput(d.Key, b.inputs) }

// Model returns a model input, or nil if the argument is not set. The values
// that it predicts from are the row arguments KEY.FEATURE.
func (b *Batch) Model(m Model) *ModelInput { return b.host.model(m.Key, b.inputs) }

// Name returns the block's name, the second part of the address. By convention,
// a labeler names its column after it.
func (b *Batch) Name() string { return b.name }

// Array returns the values of a row expression by its argument's key, or nil if
// the argument is not set. The array is valid until Map returns; call Retain to
// keep it longer.
func (b *Batch) Array(key string) arrow.Array { return data.Arguments.Find(b.in, key) }

// InputColumn returns a column of the input that Prepare declared with
// ReadColumns or ReadAll, or nil if the input has no such column. A row
// argument of the same name does not hide it.
func (b *Batch) InputColumn(name string) arrow.Array { return data.Columns.Find(b.in, name) }

// Strings returns the values of a row expression of type string.
func (b *Batch) Strings(c Column) Values[string] { return values[string](b, c) }

// Floats returns the values of a row expression of type number as float64.
func (b *Batch) Floats(c Column) Values[float64] { return values[float64](b, c) }

// Ints returns the values of a row expression of type number as int64. Map
// fails if the values are float64.
func (b *Batch) Ints(c Column) Values[int64] { return values[int64](b, c) }

// Bools returns the values of a row expression of type bool.
func (b *Batch) Bools(c Column) Values[bool] { return values[bool](b, c) }

// String returns one value of a row expression; false if it is null. In a loop,
// Strings is faster.
func (b *Batch) String(c Column, row int) (string, bool) { return b.Strings(c).At(row) }

// Request returns the request that a prompt makes for a row.
func (b *Batch) Request(p Prompt, row int) (*llm.Request, error) {
	text, ok := b.String(Column(p), row)
	if !ok {
		return nil, errors.New("the prompt is null for this row")
	}
	return llm.DecodeRequest([]byte(text))
}

// Values holds the values of a row expression.
type Values[T any] struct {
	nulls arrow.Array
	at    func(int) T
}

// At returns the value for a row; false if it is null.
func (v Values[T]) At(row int) (T, bool) {
	if v.at == nil || v.nulls.IsNull(row) {
		var zero T
		return zero, false
	}
	return v.at(row), true
}

func values[T any](b *Batch, c Column) Values[T] {
	a := b.Array(c.Key)
	if a == nil {
		if c.Key != "" {
			b.fault("Map reads argument %q, which is not a row expression", c.Key)
		}
		return Values[T]{}
	}
	var at any
	switch a := a.(type) {
	case *array.String:
		at = a.Value
	case *array.Int64:
		at = a.Value
	case *array.Float64:
		at = a.Value
	case *array.Boolean:
		at = a.Value
	}
	if f, ok := at.(func(int) T); ok {
		return Values[T]{a, f}
	}
	if ints, ok := a.(*array.Int64); ok {
		if f, ok := any(func(i int) float64 { return float64(ints.Value(i)) }).(func(int) T); ok {
			return Values[T]{a, f}
		}
	}
	var zero T
	b.fault("Map reads argument %q as %T, but its values are %s", c.Key, zero, a.DataType())
	return Values[T]{}
}

// SetString sets a value of a declared column of type string. Values that are
// not set are null.
func (b *Batch) SetString(column string, row int, v string) {
	if c := b.settable(column, "string", row); c != nil {
		c.strings[row], c.valid[row] = v, true
	}
}

// SetFloat sets a value of a declared column of type float64.
func (b *Batch) SetFloat(column string, row int, v float64) {
	if c := b.settable(column, "float64", row); c != nil {
		c.floats[row], c.valid[row] = v, true
	}
}

// SetInt sets a value of a declared column of type int64.
func (b *Batch) SetInt(column string, row int, v int64) {
	if c := b.settable(column, "int64", row); c != nil {
		c.ints[row], c.valid[row] = v, true
	}
}

// SetBool sets a value of a declared column of type bool.
func (b *Batch) SetBool(column string, row int, v bool) {
	if c := b.settable(column, "bool", row); c != nil {
		c.bools[row], c.valid[row] = v, true
	}
}

// SetNull sets a value to null.
func (b *Batch) SetNull(column string, row int) {
	if c := b.column(column); c != nil && row < len(c.valid) {
		c.valid[row] = false
	}
}

// SetArray sets all N values of a declared column without copying them. It
// works for columns of any type. The batch takes ownership of the caller's
// reference.
func (b *Batch) SetArray(column string, values arrow.Array) {
	c := b.column(column)
	switch {
	case c == nil:
		values.Release()
	case values.Len() != b.made:
		b.fault("column %q has %d values for %d rows", column, values.Len(), b.made)
		values.Release()
	case !arrow.TypeEqual(values.DataType(), c.arrow):
		b.fault("column %q was declared as %s, but its values are %s", column, c.typ, values.DataType())
		values.Release()
	default:
		c.release()
		c.array = values
	}
}

// Fail marks a row as failed and drops the values that were set for it. If
// temporary is true, quern tries the row again. If the error is a call to a
// model that is pending, so is the row.
func (b *Batch) Fail(row int, temporary bool, err error) {
	if waits := pendingOf(err); waits != nil {
		b.SetPending(row, nil, waits)
		return
	}
	b.errors = append(b.errors, RowError{Row: row, Message: legible(err.Error()), Temporary: temporary})
}

// SetPending marks a row as pending and drops the values that were set for it.
// The next apply passes the row again. token is what the plugin needs to ask
// then instead of submitting again, such as the ID of a batch job: up to
// [TokenBytes] bytes, or nil. quern stores it unencrypted as soon as Map
// returns, so return soon after you have submitted something.
func (b *Batch) SetPending(row int, token []byte, why *Pending) {
	if len(token) > TokenBytes {
		b.fault("SetPending got a token of %d bytes, but at most %d are allowed", len(token), TokenBytes)
		return
	}
	b.errors = append(b.errors, RowError{
		Row: row, Message: legible(why.Reason), pending: &pluginv1.PendingRow{Token: token, CheckAfterSeconds: why.checkAfter()},
	})
}

// Token returns the token that SetPending got for the row in an earlier call, or
// nil if the row is new, has changed, or has failed since. Rows that were
// submitted together can come in different batches.
func (b *Batch) Token(row int) []byte { return b.tokens[row] }

// ReportDone counts one more row as done before Map returns, so that users see
// progress. A mapper that waits for each row calls it once per row, also for
// pending ones, but not for rows that failed temporarily. Any number of goroutines can call it.
func (b *Batch) ReportDone() {
	if b.finished != nil {
		b.finished.one(nil)
	}
}

// ReportFailure is ReportDone for a row that failed permanently. If more rows
// have failed than the stage allows, quern starts no new ones. The row must
// still be marked with Fail. A row whose call to a model is pending counts as
// done.
func (b *Batch) ReportFailure(err error) {
	if pendingOf(err) != nil {
		err = nil
	}
	if b.finished != nil {
		b.finished.one(err)
	}
}

// fault records a mistake of the plugin's author. Map's caller sees the first
// one.
func (b *Batch) fault(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

func (b *Batch) column(name string) *outColumn {
	for _, c := range b.out {
		if c.name == name {
			return c
		}
	}
	b.fault("column %q was not declared with AddColumn", name)
	return nil
}

func (b *Batch) settable(name, typ string, row int) *outColumn {
	c := b.column(name)
	switch {
	case c == nil:
		return nil
	case c.typ != typ:
		b.fault("column %q was declared as %s, but is set as %s", name, c.typ, typ)
		return nil
	case row < 0 || row >= b.made:
		b.fault("column %q is set for row %d, but the batch has %d rows", name, row, b.made)
		return nil
	}
	c.open(b.made)
	return c
}

// outColumn collects the values of a column that the mapper fills.
type outColumn struct {
	name, typ string
	arrow     arrow.DataType

	// array, or valid and the slice of the column's type.
	array   arrow.Array
	valid   []bool
	strings []string
	floats  []float64
	ints    []int64
	bools   []bool
}

func newOutColumns(schema data.Schema) ([]*outColumn, error) {
	out := make([]*outColumn, len(schema))
	for i, c := range schema {
		t, err := data.ArrowType(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.Name, err)
		}
		out[i] = &outColumn{name: c.Name, typ: c.Type, arrow: t}
	}
	return out, nil
}

// open makes room for values that are set one by one.
func (c *outColumn) open(rows int) {
	if c.valid != nil && len(c.valid) >= rows {
		return
	}
	if c.valid == nil {
		c.release()
	}
	c.valid = extend(c.valid, rows)
	switch c.typ {
	case "string":
		c.strings = extend(c.strings, rows)
	case "float64":
		c.floats = extend(c.floats, rows)
	case "int64":
		c.ints = extend(c.ints, rows)
	case "bool":
		c.bools = extend(c.bools, rows)
	}
}

// extend appends zeros up to a length.
func extend[T any](s []T, n int) []T { return append(s, make([]T, n-len(s))...) }

// release drops the values.
func (c *outColumn) release() {
	if c.array != nil {
		c.array.Release()
	}
	*c = outColumn{name: c.name, typ: c.typ, arrow: c.arrow}
}

// values returns the column; the caller releases it.
func (c *outColumn) values(rows int) arrow.Array {
	if c.valid != nil {
		c.open(rows)
	}
	switch {
	case c.array != nil:
		c.array.Retain()
		return c.array
	case c.strings != nil:
		return stringArray(c.strings, c.valid)
	case c.floats != nil:
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(c.floats, c.valid)
		return b.NewArray()
	case c.ints != nil:
		b := array.NewInt64Builder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(c.ints, c.valid)
		return b.NewArray()
	case c.bools != nil:
		b := array.NewBooleanBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(c.bools, c.valid)
		return b.NewArray()
	}
	return array.MakeArrayOfNull(memory.DefaultAllocator, c.arrow, rows)
}

func stringArray(values []string, valid []bool) arrow.Array {
	size := 0
	for i, v := range values {
		if valid[i] {
			size += len(v)
		}
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(values))
	b.ReserveData(size)
	for i, v := range values {
		if valid[i] {
			b.Append(v)
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}

// record returns the columns that the mapper filled; the caller releases it.
func (b *Batch) record(schema *arrow.Schema) arrow.RecordBatch {
	columns := make([]arrow.Array, len(b.out))
	for i, c := range b.out {
		columns[i] = c.values(b.made)
	}
	rec := array.NewRecordBatch(schema, columns, int64(b.made))
	for _, c := range columns {
		c.Release()
	}
	return rec
}
