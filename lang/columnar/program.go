// Package columnar evaluates compiled row expressions over Arrow record batches.
// Package expr compiles them, and knows no rows.
package columnar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Program is a row expression that is ready to run over record batches. It may
// be used by several goroutines at once.
//
// There are two evaluators: hcl's own, which evaluates rows one by one, and
// closures over the columns, which are about twenty times faster but support only
// common operations. The first defines what is correct; the second returns the
// same results or passes the row to the first.
type Program struct {
	compiled *expr.Compiled
	expr     hclsyntax.Expression
	// columns are the columns of the row that it reads, and late those that
	// contain the late names that it reads.
	columns, late data.Schema
	// column is set if the expression is just a column.
	column string
	// out is the result's Arrow type.
	out arrow.DataType
	// vars are the values of everything that it refers to except the row.
	vars map[string]cty.Value
	// root is the expression as closures, or nil if it has none. paths are the
	// columns and fields that they read.
	root  *node
	paths []path
	// functions are the functions of plugins that it calls, and calls those of their
	// calls that are made for whole batches.
	functions map[string]*expr.Foreign
	calls     []*foreignCall
}

// RowError says why a row has no result.
type RowError struct {
	// Row is the row's index in the batch.
	Row     int    `json:"row"`
	Message string `json:"message"`
}

// New prepares a row expression for rows with the given columns, which must
// include those in Columns with the types they had when it was compiled. vars are
// as in expr.Compiled.Eval.
func New(c *expr.Compiled, in data.Schema, vars map[string]cty.Value) (*Program, error) {
	return NewLate(c, in, nil, vars)
}

// NewLate is like New, but for a late expression: late are the names in Late with
// the column types that their values have. In batches they are fields of the
// namespace data.LateNames.
func NewLate(c *expr.Compiled, in, late data.Schema, vars map[string]cty.Value) (*Program, error) {
	e, err := c.Syntax()
	if err != nil {
		return nil, err
	}
	return newProgram(c, e, in, late, vars)
}

func newProgram(c *expr.Compiled, e hclsyntax.Expression, in, late data.Schema, vars map[string]cty.Value) (p *Program, err error) {
	p = &Program{compiled: c, vars: unmarked(vars)}
	if e, err = p.lift(e, in, late, vars); err != nil {
		return nil, err
	}
	p.expr = eval.KeepTexts(e)
	for _, name := range c.Columns {
		column, _, ok := in.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("row expression %s: the rows have no column %q", c.Text, name)
		}
		p.columns = append(p.columns, column)
	}
	if err := p.addLate(late); err != nil {
		return nil, err
	}
	p.out, err = data.ArrowType(c.ColumnType)
	if err != nil {
		return nil, fmt.Errorf("row expression %s: %w", c.Text, err)
	}
	if name, ok := c.Column(); ok {
		t := p.columns[0].Type
		if t == c.ColumnType {
			p.column = name
			return p, nil
		}
		// The same values in another column type are converted.
		if had, err := data.ArrowType(t); err != nil || !expr.ValueType(had).Equals(expr.ValueType(p.out)) {
			return nil, fmt.Errorf("row expression %s: column %q has type %s, not %s", c.Text, name, t, c.ColumnType)
		}
	}
	v := &vectorizer{schema: p.columns, late: c.Late, lateColumns: p.late, vars: p.context(), made: map[hclsyntax.Expression]*node{}}
	p.root, p.paths = v.expr(e), v.paths
	return p, nil
}

// unmarked drops the marks of secrets: whatever is computed from rows is data.
func unmarked(vars map[string]cty.Value) map[string]cty.Value {
	plain := make(map[string]cty.Value, len(vars))
	for name, v := range vars {
		plain[name], _ = v.UnmarkDeep()
	}
	return plain
}

// context returns a new context for hcl's evaluator, without a row.
func (p *Program) context() *hcl.EvalContext {
	ctx := &hcl.EvalContext{Variables: make(map[string]cty.Value, len(p.vars)+1), Functions: expr.Functions()}
	for name, v := range p.vars {
		ctx.Variables[name] = v
	}
	if len(p.functions) > 0 {
		ctx.Functions = maps.Clone(ctx.Functions)
		for name, f := range p.functions {
			ctx.Functions[name] = f.Value
		}
	}
	return ctx
}

// Eval evaluates the expression for each row of a batch, which must contain the
// columns that it reads. The array has one value per row
// and must be released by the caller. A row for which the expression fails is null
// and has a RowError; errors are in the order of rows. The returned error is for
// problems with the batch as a whole, and for a context that is done.
//
// If the expression is just a column, Eval returns that column itself.
func (p *Program) Eval(ctx context.Context, rec arrow.RecordBatch) (arrow.Array, []RowError, error) {
	if err := p.checkBatch(rec); err != nil {
		return nil, nil, err
	}
	if p.column != "" {
		col, err := find(rec, data.Columns, p.column)
		if err != nil {
			return nil, nil, err
		}
		col.Retain()
		return col, nil, nil
	}
	return p.run(ctx, rec, p.root)
}

// checkBatch compares a batch with the types that the program was compiled for.
func (p *Program) checkBatch(rec arrow.RecordBatch) error {
	if err := checkColumns(rec, data.Columns, p.columns); err != nil {
		return err
	}
	return checkColumns(rec, data.LateNames, p.late)
}

func checkColumns(rec arrow.RecordBatch, in data.Namespace, columns data.Schema) error {
	for _, c := range columns {
		col, err := find(rec, in, c.Name)
		if err != nil {
			return err
		}
		if t, err := data.TypeName(col.DataType()); err != nil || t != c.Type {
			return fmt.Errorf("%q in the batch has type %s, not %s", c.Name, col.DataType(), c.Type)
		}
	}
	return nil
}

func find(rec arrow.RecordBatch, in data.Namespace, name string) (arrow.Array, error) {
	if col := in.Find(rec, name); col != nil {
		return col, nil
	}
	return nil, fmt.Errorf("the batch has no %q", name)
}

// rowReader evaluates with hcl's own evaluator, row by row.
type rowReader struct {
	program *Program
	ctx     *hcl.EvalContext
	// columns of the row, and what is late.
	columns, late []arrow.Array
	calls         rowCalls
}

func (p *Program) reader(rec arrow.RecordBatch) (*rowReader, error) {
	r := &rowReader{program: p, ctx: p.context()}
	for _, c := range p.columns {
		col, err := find(rec, data.Columns, c.Name)
		if err != nil {
			return nil, err
		}
		r.columns = append(r.columns, col)
	}
	for _, c := range p.late {
		col, err := find(rec, data.LateNames, c.Name)
		if err != nil {
			return nil, err
		}
		r.late = append(r.late, col)
	}
	return r, nil
}

// value returns the expression's value for a row, converted to the expression's
// type.
func (r *rowReader) value(i int) (cty.Value, error) {
	attrs := make(map[string]cty.Value, len(r.columns))
	for j, col := range r.columns {
		v, err := cell(col, i)
		if err != nil {
			return cty.NilVal, fmt.Errorf("column %q: %w", r.program.columns[j].Name, err)
		}
		attrs[r.program.columns[j].Name] = v
	}
	r.ctx.Variables[expr.RowName] = cty.ObjectVal(attrs)
	for j, c := range r.program.late {
		v, err := lateCell(r.late[j], i, r.program.compiled.Late[c.Name].Type)
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s: %w", c.Name, err)
		}
		r.ctx.Variables[c.Name] = v
	}
	if len(r.calls.calls) > 0 {
		r.calls.row = i
		r.ctx.Variables[callsName] = cty.CapsuleVal(rowCallsType, &r.calls)
	}
	v, diags := r.program.expr.Value(r.ctx)
	if diags.HasErrors() {
		return cty.NilVal, errors.New(message(r.program.compiled, r.quiet(diags)))
	}
	v, err := convert.Convert(v, r.program.compiled.Type.Type)
	if err != nil {
		return cty.NilVal, r.program.quiet(fmt.Errorf("wrong type of value: %w", err))
	}
	return v, nil
}

// quiet returns an error about a result without quoting a result that contains
// a secret.
func (p *Program) quiet(err error) error {
	if err == nil || len(p.compiled.Secrets) == 0 {
		return err
	}
	return errors.New(secret.Reason(p.compiled.Secrets))
}

// quiet removes from errors what could reveal a secret.
func (r *rowReader) quiet(diags hcl.Diagnostics) hcl.Diagnostics {
	names := r.program.compiled.Secrets
	if len(names) == 0 {
		return diags
	}
	_, again := r.program.expr.Value(&hcl.EvalContext{Variables: secret.UnknownVariables(r.ctx.Variables), Functions: r.ctx.Functions})
	return secret.Hide(diags, again, names)
}

// message returns the first error as text, for a row. It names the part of the
// canonical text that the error is about.
func message(c *expr.Compiled, diags hcl.Diagnostics) string {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := ""
		if r := d.Subject; r != nil && r.End.Byte <= len(c.Text) && r.CanSliceBytes([]byte(c.Text)) {
			at = string(r.SliceBytes([]byte(c.Text)))
		}
		if at != "" && len(at) <= 60 {
			at = " at " + at
		} else {
			at = ""
		}
		if d.Summary == "Operation failed" && strings.Contains(d.Detail, "must not be null") {
			return "Null value" + at + ": operators do not accept null. Replace it with coalesce(), or test for it first: row.x == null ? … : …"
		}
		return d.Summary + at + ": " + d.Detail
	}
	return ""
}

// run fills a column. If root is nil, hcl's evaluator does all the work.
func (p *Program) run(ctx context.Context, rec arrow.RecordBatch, root *node) (arrow.Array, []RowError, error) {
	rows, err := p.reader(rec)
	if err != nil {
		return nil, nil, err
	}
	frame, err := bind(rec, p.paths)
	if err != nil {
		return nil, nil, err
	}
	calls, release, err := p.call(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	frame.calls, rows.calls.calls = calls, calls
	b := array.NewBuilder(memory.DefaultAllocator, p.out)
	defer b.Release()
	b.Reserve(int(rec.NumRows()))
	step := p.appender(b, root)
	var failed []RowError
	for i := range int(rec.NumRows()) {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		frame.buf = frame.buf[:0]
		switch step(frame, i) {
		case some:
		case null:
			b.AppendNull()
		default:
			v, err := rows.value(i)
			if err == nil {
				err = p.quiet(appendValue(b, v))
			}
			if err != nil {
				b.AppendNull()
				failed = append(failed, RowError{Row: i, Message: err.Error()})
			}
		}
	}
	return b.NewArray(), failed, nil
}

// appender appends a row's value if the outcome is some, and nothing otherwise.
func (p *Program) appender(b array.Builder, root *node) func(*frame, int) outcome {
	if root == nil {
		return func(*frame, int) outcome { return unsure }
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		if root.form == textForm {
			return appending(root.text, b.Append)
		}
	case *array.Int64Builder:
		if root.form == integerForm {
			return appending(root.integer, b.Append)
		}
	case *array.Float64Builder:
		if root.form == realForm {
			return appending(root.real, b.Append)
		}
	case *array.BooleanBuilder:
		if root.form == boolForm {
			return appending(root.truth, b.Append)
		}
	}
	get := root.asValue()
	return func(f *frame, i int) outcome {
		v, o := get(f, i)
		if o != some {
			return o
		}
		v, err := convert.Convert(v, p.compiled.Type.Type)
		if err != nil || appendValue(b, v) != nil {
			return unsure
		}
		return some
	}
}

func appending[T any](get func(*frame, int) (T, outcome), add func(T)) func(*frame, int) outcome {
	return func(f *frame, i int) outcome {
		v, o := get(f, i)
		if o == some {
			add(v)
		}
		return o
	}
}
