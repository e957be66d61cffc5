package columnar

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Functions of plugins run in other processes, so a program calls them for whole
// batches, before it evaluates the rows: first it evaluates the arguments of a call
// as programs of their own, then it calls the function for all rows at once. The call
// in the expression then only looks up the row's result. A row whose call failed
// fails only if the expression needs the result.
//
// Calls whose arguments depend on the variable of a `for` remain calls for single
// values.

// foreignCall is a call of a function of a plugin for all rows of a batch.
type foreignCall struct {
	*hclsyntax.FunctionCallExpr
	// index is the position in Program.calls and batchCalls.
	index int
	fn    *expr.Foreign
	args  []*Program
	out   arrow.DataType
}

// lifter replaces calls of functions of plugins.
type lifter struct {
	program *Program
	in      data.Schema
	vars    map[string]cty.Value
	late    data.Schema
	locals  []string // variables of the loops around the present part
	err     error
}

// lift returns the expression with foreignCalls in it, which it adds to the program.
func (p *Program) lift(e hclsyntax.Expression, in, late data.Schema, vars map[string]cty.Value) (hclsyntax.Expression, error) {
	foreign, err := p.compiled.Foreign()
	if len(foreign) == 0 || err != nil {
		return e, err
	}
	p.functions = foreign
	l := &lifter{program: p, in: in, late: late, vars: vars}
	return l.expr(e), l.err
}

func (l *lifter) expr(e hclsyntax.Expression) hclsyntax.Expression {
	if call, ok := e.(*hclsyntax.FunctionCallExpr); ok && l.liftable(call) {
		return l.call(call)
	}
	enter := func(e *hclsyntax.ForExpr) { l.locals = append(l.locals, e.KeyVar, e.ValVar) }
	exit := func() { l.locals = l.locals[:len(l.locals)-2] }
	return eval.MapChildren(e, l.expr, enter, exit)
}

// liftable reports whether the arguments of a call can be evaluated for all rows, and
// differ by row.
func (l *lifter) liftable(call *hclsyntax.FunctionCallExpr) bool {
	f := l.program.functions[call.Name]
	if f == nil || call.ExpandFinal || len(call.Args) < len(f.Parameters) || f.Variadic == nil && len(call.Args) > len(f.Parameters) {
		return false
	}
	byRow := false
	for _, t := range config.Variables(call) {
		root := t.RootName()
		if slices.Contains(l.locals, root) {
			return false
		}
		_, late := l.program.compiled.Late[root]
		byRow = byRow || late || root == expr.RowName
	}
	return byRow && !hasItem(call)
}

// hasItem reports whether an expression contains the item of a splat around it.
func hasItem(e hclsyntax.Expression) bool {
	found := false
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		_, item := n.(*hclsyntax.AnonSymbolExpr)
		found = found || item
		return nil
	})
	return found
}

func (l *lifter) call(e *hclsyntax.FunctionCallExpr) hclsyntax.Expression {
	call := &foreignCall{FunctionCallExpr: e, fn: l.program.functions[e.Name]}
	for i, arg := range e.Args {
		program, err := l.argument(arg, call.fn.Parameter(i).Type)
		if err != nil {
			l.fail(err)
			return e
		}
		call.args = append(call.args, program)
	}
	var err error
	if call.out, err = data.ArrowType(call.fn.Result); err != nil {
		l.fail(err)
		return e
	}
	call.index = len(l.program.calls)
	l.program.calls = append(l.program.calls, call)
	return call
}

func (l *lifter) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// argument returns the program that computes an argument as a column of a type.
func (l *lifter) argument(e hclsyntax.Expression, columnType string) (*Program, error) {
	t, err := data.ArrowType(columnType)
	if err != nil {
		return nil, err
	}
	c := *l.program.compiled
	c.ColumnType, c.Type = columnType, value.Type{Type: expr.ValueType(t)}
	return newProgram(&c, e, l.in, l.late, l.vars)
}

// batchCall is what a call returned for the rows of a batch.
type batchCall struct {
	results slot
	// at are the indexes of the rows' results, or nil if they are those of the rows.
	at     []int
	failed map[int]expr.ForeignError // by row
}

// find returns the index of a row's result.
func (c *batchCall) find(row int) (int, outcome) {
	if _, failed := c.failed[row]; failed {
		return 0, fails
	}
	if c.at != nil {
		row = c.at[row]
	}
	return row, c.results.state(row)
}

// call makes the program's calls for a batch. The caller releases the results.
func (p *Program) call(ctx context.Context, rec arrow.RecordBatch) (calls []batchCall, release func(), err error) {
	release = func() {
		for _, c := range calls {
			c.results.any.Release()
		}
	}
	for _, call := range p.calls {
		made, err := call.make(ctx, rec)
		if err != nil {
			release()
			return nil, nil, err
		}
		calls = append(calls, made)
	}
	return calls, release, nil
}

func (c *foreignCall) make(ctx context.Context, rec arrow.RecordBatch) (batchCall, error) {
	out := batchCall{failed: map[int]expr.ForeignError{}}
	columns := make([]arrow.Array, 0, len(c.args))
	defer func() {
		for _, column := range columns {
			column.Release()
		}
	}()
	for i, arg := range c.args {
		column, failed, err := arg.Eval(ctx, rec)
		if err != nil {
			return out, err
		}
		columns = append(columns, column)
		c.checkArgument(i, column, failed, out.failed)
	}
	args, err := c.good(columns, int(rec.NumRows()), &out)
	if err != nil {
		return out, err
	}
	defer args.Release()
	results, err := c.fn.Call(ctx, args)
	if err != nil {
		return out, fmt.Errorf("call %s(): %w", c.Name, err)
	}
	out.results = newSlot(results.Values, nil)
	for row := range int(rec.NumRows()) {
		if e, ok := results.Failed[out.position(row)]; ok {
			out.failed[row] = e
		}
	}
	return out, nil
}

// position returns the index of the row's result, or -1 if there is none.
func (c *batchCall) position(row int) int {
	if c.at == nil {
		return row
	}
	return c.at[row]
}

// checkArgument records the rows that cannot be sent because of an argument. The first
// argument at fault counts.
func (c *foreignCall) checkArgument(i int, column arrow.Array, errs []RowError, failed map[int]expr.ForeignError) {
	note := func(row int, message string) {
		if _, ok := failed[row]; !ok {
			failed[row] = expr.ForeignError{Argument: i, Message: message}
		}
	}
	for _, e := range errs {
		note(e.Row, e.Message)
	}
	if c.fn.Parameter(i).Nullable || column.NullN() == 0 {
		return
	}
	for row := range column.Len() {
		if column.IsNull(row) {
			note(row, "argument must not be null")
		}
	}
}

// good returns the arguments of the rows that have not failed.
func (c *foreignCall) good(columns []arrow.Array, rows int, out *batchCall) (arrow.RecordBatch, error) {
	fields := make([]arrow.Field, len(columns))
	for i, column := range columns {
		fields[i] = arrow.Field{Name: c.fn.Parameter(i).Name, Type: column.DataType(), Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	if len(out.failed) == 0 {
		return array.NewRecordBatch(schema, columns, int64(rows)), nil
	}
	out.at = make([]int, rows)
	var runs [][2]int
	n := 0
	for row := range rows {
		if _, failed := out.failed[row]; failed {
			out.at[row] = -1
			continue
		}
		if last := len(runs) - 1; last >= 0 && runs[last][1] == row {
			runs[last][1]++
		} else {
			runs = append(runs, [2]int{row, row + 1})
		}
		out.at[row] = n
		n++
	}
	kept := make([]arrow.Array, len(columns))
	for i, column := range columns {
		var err error
		if kept[i], err = selected(column, runs); err != nil {
			return nil, err
		}
		defer kept[i].Release()
	}
	return array.NewRecordBatch(schema, kept, int64(n)), nil
}

// selected returns the rows of a column in some ranges.
func selected(column arrow.Array, ranges [][2]int) (arrow.Array, error) {
	if len(ranges) == 0 {
		return array.NewSlice(column, 0, 0), nil
	}
	parts := make([]arrow.Array, len(ranges))
	for i, r := range ranges {
		parts[i] = array.NewSlice(column, int64(r[0]), int64(r[1]))
		defer parts[i].Release()
	}
	return array.Concatenate(parts, memory.DefaultAllocator)
}

// callsName is the variable that contains the calls of the row for hcl's evaluator. It
// is not a name that a user can write.
const callsName = "(calls)"

// rowCalls are the calls of a batch, and the present row.
type rowCalls struct {
	calls []batchCall
	row   int
}

var rowCallsType = cty.Capsule("calls", reflect.TypeFor[rowCalls]())

// Value returns the result for the present row.
func (c *foreignCall) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	for ; ctx != nil; ctx = ctx.Parent() {
		v, ok := ctx.Variables[callsName]
		if ok && !v.IsKnown() {
			return cty.UnknownVal(expr.ValueType(c.out)), nil // secrets are being hidden
		}
		if ok {
			return c.valueOf(v.EncapsulatedValue().(*rowCalls))
		}
	}
	return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(c.Range().Ptr(), "Error in function call", "%s() was not called.", c.Name)}
}

func (c *foreignCall) valueOf(of *rowCalls) (cty.Value, hcl.Diagnostics) {
	made := &of.calls[c.index]
	if e, failed := made.failed[of.row]; failed {
		if e.Argument >= 0 && e.Argument < len(c.Args) {
			return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(c.Args[e.Argument].Range().Ptr(), "Invalid function argument",
				"Invalid value for %q parameter of %s(): %s.", c.fn.Parameter(e.Argument).Name, c.Name, e.Message)}
		}
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(c.Range().Ptr(), "Error in function call", "Call to function %q failed: %s.", c.Name, e.Message)}
	}
	v, err := cell(made.results.any, made.position(of.row))
	if err != nil {
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(c.Range().Ptr(), "Error in function call", "%s.", err)}
	}
	return v, nil
}

// foreign reads the results of a call.
func (v *vectorizer) foreign(c *foreignCall) *node {
	k := c.index
	n := &node{typ: expr.ValueType(c.out)}
	switch c.out.(type) {
	case *arrow.StringType:
		n.form, n.text = textForm, resultOf(k, func(s *slot, i int) (string, outcome) { return s.str.Value(i), some })
	case *arrow.Int64Type:
		n.form, n.integer = integerForm, resultOf(k, func(s *slot, i int) (int64, outcome) { return s.i64.Value(i), some })
	case *arrow.Float64Type:
		n.form, n.real = realForm, resultOf(k, func(s *slot, i int) (float64, outcome) { return s.real(i) })
	case *arrow.BooleanType:
		n.form, n.truth = boolForm, resultOf(k, func(s *slot, i int) (bool, outcome) { return s.bit.Value(i), some })
	default:
		n.form, n.value = valueForm, resultOf(k, func(s *slot, i int) (cty.Value, outcome) {
			val, err := cell(s.any, i)
			if err != nil {
				return cty.NilVal, unsure
			}
			return val, some
		})
	}
	return n
}

func resultOf[T any](k int, get func(*slot, int) (T, outcome)) func(*frame, int) (T, outcome) {
	return func(f *frame, i int) (T, outcome) {
		c := &f.calls[k]
		at, o := c.find(i)
		if o != some {
			var none T
			return none, o
		}
		return get(&c.results, at)
	}
}

// Cell returns a value of a column as expressions see it; see expr.ValueType.
func Cell(column arrow.Array, row int) (cty.Value, error) { return cell(column, row) }

// Append adds a value to a column or, if there is an error, nothing.
func Append(b array.Builder, v cty.Value) error { return appendValue(b, v) }
