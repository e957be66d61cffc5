package rowwise

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/sdk/go/data"
)

// argument is a row expression that can be evaluated.
type argument struct {
	Argument
	typ     string
	bare    int // index of the input column that it is, or -1 if it is computed
	program *columnar.Program
}

// compile compiles the arguments and fixes the order in which their columns go
// to the plugin: arguments by key, then the columns that it requested.
func (j *job) compile() error {
	in := j.inputSchema()
	for _, a := range j.args {
		a.bare, a.typ = -1, a.Expr.ColumnType
		if name, ok := a.Expr.Column(); ok {
			if c, at, ok := in.Lookup(name); ok && (a.typ == "" || a.typ == c.Type) {
				a.bare, a.typ = at, c.Type
				continue
			}
		}
		var err error
		if a.program, err = columnar.New(a.Expr, in, a.Vars); err != nil {
			return fmt.Errorf("argument %q: %w", a.Key, err)
		}
	}
	return nil
}

// values are the columns of some arguments over a batch.
type values struct {
	columns []arrow.Array
	failed  map[int32]string // why an expression failed, by row
	bytes   int64            // size of the computed columns
}

func (j *job) evaluate(ctx context.Context, args []*argument, rec arrow.RecordBatch) (*values, error) {
	v := &values{columns: make([]arrow.Array, len(args))}
	for i, a := range args {
		if a.bare >= 0 {
			v.columns[i] = rec.Column(a.bare)
			continue
		}
		column, failures, err := a.program.Eval(ctx, rec)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", a.Key, err)
		}
		v.columns[i] = column
		v.bytes += int64(column.Data().SizeInBytes())
		for _, f := range failures {
			if v.failed == nil {
				v.failed = map[int32]string{}
			}
			if _, ok := v.failed[int32(f.Row)]; !ok {
				v.failed[int32(f.Row)] = fmt.Sprintf("%s: %s", a.Key, f.Message)
			}
		}
	}
	return v, nil
}

// requestOf returns the batch that the plugin receives for the rows of rec.
func (j *job) requestOf(rec arrow.RecordBatch, v *values) arrow.RecordBatch {
	fields := make([]arrow.Field, 0, len(j.args)+len(j.Given))
	columns := make([]arrow.Array, 0, cap(fields))
	for i, a := range j.args {
		fields = append(fields, data.Arguments.Field(a.Key, v.columns[i].DataType()))
		columns = append(columns, v.columns[i])
	}
	for _, name := range j.Given {
		at := rec.Schema().FieldIndices(name)[0]
		fields = append(fields, rec.Schema().Field(at))
		columns = append(columns, rec.Column(at))
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
}

// stored returns the computed columns of the output for the rows of rec. v
// contains the values of the arguments that they come from.
func (j *job) stored(v *values, rec arrow.RecordBatch) arrow.RecordBatch {
	columns := make([]arrow.Array, 0, len(j.computed))
	for _, c := range j.computed {
		columns = append(columns, j.computedColumn(c.Name, v, rec))
	}
	return array.NewRecordBatch(j.computed.Arrow(), columns, rec.NumRows())
}

func (j *job) computedColumn(name string, v *values, rec arrow.RecordBatch) arrow.Array {
	of := j.Output[slices.IndexFunc(j.Output, func(c Column) bool { return c.Name == name })]
	if of.Input != "" {
		return rec.Column(rec.Schema().FieldIndices(of.Input)[0])
	}
	return v.columns[slices.IndexFunc(j.kept, func(a *argument) bool { return a.Key == of.Argument })]
}
