package expr

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Program is a row expression made ready to run over record batches. It may
// be used by several goroutines at once.
type Program struct {
	compiled *Compiled
	expr     hclsyntax.Expression
	// column is set where the expression is no more than a column.
	column string
	// out is the result's Arrow type.
	out arrow.DataType
	// vars are the values of what it refers to beside the row.
	vars map[string]cty.Value
}

// RowError says why a row has no result.
type RowError struct {
	// Row is the row's index in the batch.
	Row     int    `json:"row"`
	Message string `json:"message"`
}

// Program makes a row expression ready for rows with the given columns, which
// must include those in Columns with the types they had when it was compiled.
// vars are as in Eval.
func (c *Compiled) Program(in data.Schema, vars map[string]cty.Value) (*Program, error) {
	e, err := c.parse()
	if err != nil {
		return nil, err
	}
	for _, name := range c.Columns {
		if _, _, ok := in.Lookup(name); !ok {
			return nil, fmt.Errorf("row expression %s: the rows have no column %q", c.Text, name)
		}
	}
	out, err := data.ArrowType(c.ColumnType)
	if err != nil {
		return nil, fmt.Errorf("row expression %s: %w", c.Text, err)
	}
	p := &Program{compiled: c, expr: e, out: out, vars: unmarked(vars)}
	if name, ok := c.Column(); ok {
		column, _, _ := in.Lookup(name)
		if column.Type != c.ColumnType {
			return nil, fmt.Errorf("row expression %s: column %q is %s, not %s", c.Text, name, column.Type, c.ColumnType)
		}
		p.column = name
	}
	return p, nil
}

// unmarked drops the marks of secrets: whatever is made of rows is data.
func unmarked(vars map[string]cty.Value) map[string]cty.Value {
	plain := make(map[string]cty.Value, len(vars))
	for name, v := range vars {
		plain[name], _ = v.UnmarkDeep()
	}
	return plain
}

// Eval evaluates the expression for each row of a batch, which must hold the
// columns that it reads. The array has as many values as the batch has rows
// and is the caller's to release. A row on which the expression fails is null
// there and has a RowError; errors are in the order of rows. The error is for
// what concerns the batch as a whole, and for a context that is done.
//
// An expression that is no more than a column gives that column itself.
func (p *Program) Eval(ctx context.Context, rec arrow.RecordBatch) (arrow.Array, []RowError, error) {
	if p.column != "" {
		col, err := columnNamed(rec, p.column)
		if err != nil {
			return nil, nil, err
		}
		col.Retain()
		return col, nil, nil
	}
	rows, err := p.reader(rec)
	if err != nil {
		return nil, nil, err
	}
	b := array.NewBuilder(memory.DefaultAllocator, p.out)
	defer b.Release()
	b.Reserve(int(rec.NumRows()))
	var failed []RowError
	for i := range int(rec.NumRows()) {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		v, err := rows.value(i)
		if err == nil {
			err = appendValue(b, v)
		}
		if err != nil {
			b.AppendNull()
			failed = append(failed, RowError{Row: i, Message: err.Error()})
		}
	}
	return b.NewArray(), failed, nil
}

func columnNamed(rec arrow.RecordBatch, name string) (arrow.Array, error) {
	at := rec.Schema().FieldIndices(name)
	if len(at) != 1 {
		return nil, fmt.Errorf("the batch has %d columns named %q, not one", len(at), name)
	}
	return rec.Column(at[0]), nil
}

// rowReader evaluates by hcl's own evaluator, row by row.
type rowReader struct {
	program *Program
	ctx     *hcl.EvalContext
	names   []string
	columns []arrow.Array
}

func (p *Program) reader(rec arrow.RecordBatch) (*rowReader, error) {
	r := &rowReader{program: p, names: p.compiled.Columns}
	for _, name := range r.names {
		col, err := columnNamed(rec, name)
		if err != nil {
			return nil, err
		}
		r.columns = append(r.columns, col)
	}
	r.ctx = &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: runtimeFunctions()}
	for name, v := range p.vars {
		r.ctx.Variables[name] = v
	}
	return r, nil
}

// value is the expression's value for a row, of the expression's type.
func (r *rowReader) value(i int) (cty.Value, error) {
	attrs := make(map[string]cty.Value, len(r.columns))
	for j, col := range r.columns {
		v, err := cell(col, i)
		if err != nil {
			return cty.NilVal, fmt.Errorf("column %q: %w", r.names[j], err)
		}
		attrs[r.names[j]] = v
	}
	r.ctx.Variables[rowRoot] = cty.ObjectVal(attrs)
	v, diags := r.program.expr.Value(r.ctx)
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("%s", message(diags))
	}
	v, err := convert.Convert(v, r.program.compiled.Type.Type)
	if err != nil {
		return cty.NilVal, fmt.Errorf("wrong type of value: %w", err)
	}
	return v, nil
}
