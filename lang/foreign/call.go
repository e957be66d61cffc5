package foreign

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// caller calls one function.
type caller struct {
	set    *Set
	plugin string
	name   string
	of     *expr.Foreign

	mu     sync.Mutex
	cached map[string]single
}

// single is the result of a call with single values.
type single struct {
	value cty.Value
	err   error
}

// mostCached limits the results in memory.
const mostCached = 1 << 16

// call calls the function for the rows of a batch.
func (c *caller) call(ctx context.Context, args arrow.RecordBatch) (*expr.ForeignResults, error) {
	t, err := data.ArrowType(c.of.Result)
	if err != nil {
		return nil, err
	}
	out := &expr.ForeignResults{Failed: map[int]expr.ForeignError{}}
	parts := []arrow.Array{}
	defer func() {
		for _, part := range parts {
			part.Release()
		}
	}()
	for done := int64(0); done < args.NumRows(); {
		rest := args.NewSlice(done, args.NumRows())
		part, err := c.some(ctx, rest, t, int(done), out.Failed)
		rest.Release()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		done += int64(part.Len())
	}
	switch len(parts) {
	case 0:
		out.Values = array.MakeArrayOfNull(memory.DefaultAllocator, t, 0)
	case 1:
		parts[0].Retain()
		out.Values = parts[0]
	default:
		out.Values, err = array.Concatenate(parts, memory.DefaultAllocator)
	}
	return out, err
}

// some calls the function for as many rows as fit into messages, and returns their
// results. first is the index of the first row.
func (c *caller) some(ctx context.Context, args arrow.RecordBatch, t arrow.DataType, first int, failed map[int]expr.ForeignError) (arrow.Array, error) {
	pieces, err := wire.Cut(args, nil)
	if err != nil {
		return nil, err
	}
	piece := pieces[0]
	if piece.TooLarge() {
		failed[first] = expr.ForeignError{Argument: -1, Message: "the arguments take " + piece.Excess()}
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, 1), nil
	}
	plugin, err := c.set.plugins.Client(ctx, c.plugin)
	if err != nil {
		return nil, err
	}
	resp, err := plugin.Service().CallFunction(ctx, &pluginv1.CallFunctionRequest{Name: c.name, Arguments: piece.Rows})
	if err != nil {
		return nil, err
	}
	column, err := results(resp, t, int(piece.To-piece.From))
	if err != nil {
		return nil, fmt.Errorf("the plugin %q returned an invalid response: %w; report this to the plugin's author", c.plugin, err)
	}
	for _, e := range resp.Errors {
		argument := -1
		if e.Argument != nil {
			argument = int(*e.Argument)
		}
		if e.Call < int64(column.Len()) {
			failed[first+int(e.Call)] = expr.ForeignError{Argument: argument, Message: e.Message}
		}
	}
	return column, nil
}

// results returns the results in a response to a request for so many calls.
func results(resp *pluginv1.CallFunctionResponse, t arrow.DataType, calls int) (arrow.Array, error) {
	rec, err := data.DecodeBatch(resp.Results)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	if rec.NumCols() != 1 || rec.NumRows() < 1 || rec.NumRows() > int64(calls) {
		return nil, fmt.Errorf("it has %d columns and %d rows for %d calls", rec.NumCols(), rec.NumRows(), calls)
	}
	column := rec.Column(0)
	if name, err := data.TypeName(column.DataType()); err != nil || !sameType(name, t) {
		return nil, fmt.Errorf("its results are %s, not %s", column.DataType(), t)
	}
	column.Retain()
	return column, nil
}

func sameType(name string, t arrow.DataType) bool {
	want, err := data.TypeName(t)
	return err == nil && want == name
}

// value returns the function for single values.
func (c *caller) value() function.Function {
	spec := &function.Spec{
		Type: func([]cty.Value) (cty.Type, error) { return valueType(c.of.Result) },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return c.single(args) },
	}
	for _, p := range c.of.Parameters {
		spec.Params = append(spec.Params, parameter(p))
	}
	if c.of.Variadic != nil {
		p := parameter(*c.of.Variadic)
		spec.VarParam = &p
	}
	return function.New(spec)
}

func parameter(p expr.Parameter) function.Parameter {
	t, err := valueType(p.Type)
	if err != nil {
		t = cty.DynamicPseudoType
	}
	return function.Parameter{Name: p.Name, Type: t, AllowNull: p.Nullable}
}

func valueType(column string) (cty.Type, error) {
	t, err := data.ArrowType(column)
	if err != nil {
		return cty.NilType, err
	}
	return expr.ValueType(t), nil
}

// single calls the function for single values, unless their result is cached.
func (c *caller) single(args []cty.Value) (cty.Value, error) {
	rec, err := c.row(args)
	if err != nil {
		return cty.NilVal, err
	}
	defer rec.Release()
	key, err := data.EncodeBatch(rec)
	if err != nil {
		return cty.NilVal, err
	}
	c.mu.Lock()
	known, ok := c.cached[string(key)]
	c.mu.Unlock()
	if ok {
		return known.value, known.err
	}
	made, err := c.call(c.set.ctx, rec)
	if err != nil {
		return cty.NilVal, fmt.Errorf("the plugin %q could not call it: %w", c.plugin, err)
	}
	defer made.Values.Release()
	known = result(made, 0)
	c.cache(string(key), known)
	return known.value, known.err
}

func (c *caller) cache(key string, known single) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached == nil || len(c.cached) >= mostCached {
		c.cached = map[string]single{}
	}
	c.cached[key] = known
}

func (c *caller) isCached(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.cached[key]
	return ok
}

// prefetch caches the results for many sets of arguments. Those that do not fit are
// left out: calls with them fail.
func (c *caller) prefetch(all [][]cty.Value) error {
	var keys []string
	var rows []arrow.RecordBatch
	defer func() {
		for _, row := range rows {
			row.Release()
		}
	}()
	seen := map[string]bool{}
	for _, args := range all {
		row, err := c.row(args)
		if err != nil || len(keys) == mostCached/2 {
			continue
		}
		key, err := data.EncodeBatch(row)
		if err != nil || seen[string(key)] || c.isCached(string(key)) {
			row.Release()
			continue
		}
		seen[string(key)] = true
		keys, rows = append(keys, string(key)), append(rows, row)
	}
	if len(rows) < 2 {
		return nil
	}
	batch, err := data.Concat(rows[0].Schema(), rows)
	if err != nil {
		return err
	}
	defer batch.Release()
	made, err := c.call(c.set.ctx, batch)
	if err != nil {
		return err
	}
	defer made.Values.Release()
	for i, key := range keys {
		c.cache(key, result(made, i))
	}
	return nil
}

func result(made *expr.ForeignResults, row int) single {
	if e, failed := made.Failed[row]; failed {
		if e.Argument >= 0 {
			return single{err: function.NewArgErrorf(e.Argument, "%s", e.Message)}
		}
		return single{err: fmt.Errorf("%s", e.Message)}
	}
	v, err := columnar.Cell(made.Values, row)
	return single{v, err}
}

// row returns arguments as a batch of one row.
func (c *caller) row(args []cty.Value) (arrow.RecordBatch, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("it needs at least one argument")
	}
	fields, columns := make([]arrow.Field, len(args)), make([]arrow.Array, len(args))
	for i, v := range args {
		p := c.of.Parameter(i)
		t, err := data.ArrowType(p.Type)
		if err != nil {
			return nil, err
		}
		b := array.NewBuilder(memory.DefaultAllocator, t)
		if err := columnar.Append(b, v); err != nil {
			b.Release()
			return nil, function.NewArgError(i, err)
		}
		fields[i], columns[i] = arrow.Field{Name: p.Name, Type: t, Nullable: true}, b.NewArray()
		b.Release()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 1), nil
}
