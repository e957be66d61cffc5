package modelhost

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Late is a row expression that needs what the stage computes for a row.
type Late struct {
	Expr *expr.Compiled
	// Vars are the values that it still needs, which are secrets.
	Vars map[string]cty.Value
}

// Evaluate computes a late row expression for a batch of rows.
func (h *Host) Evaluate(ctx context.Context, req *pluginv1.HostServiceEvaluateRequest) (*pluginv1.HostServiceEvaluateResponse, error) {
	late, ok := h.Late[req.GetArgument()]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "the stage has no late row expression at %q", req.GetArgument())
	}
	rec, err := data.DecodeBatch(req.GetRows())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the rows for %q cannot be read: %v", req.GetArgument(), err)
	}
	defer rec.Release()
	program, err := h.programs.get(req.GetArgument(), late, rec.Schema())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the rows for %q: %v", req.GetArgument(), err)
	}
	values, failed, err := program.Eval(ctx, rec)
	if err != nil {
		return nil, fmt.Errorf("evaluate %q: %w", req.GetArgument(), err)
	}
	defer values.Release()
	resp := &pluginv1.HostServiceEvaluateResponse{}
	if resp.Rows, err = encodeColumn(values); err != nil {
		return nil, err
	}
	for _, f := range failed {
		resp.Errors = append(resp.Errors, &pluginv1.RowError{Row: int64(f.Row), Message: f.Message})
	}
	return resp, nil
}

func encodeColumn(values arrow.Array) ([]byte, error) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "value", Type: values.DataType(), Nullable: true}}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{values}, int64(values.Len()))
	defer rec.Release()
	return data.EncodeBatch(rec)
}

// programs are compiled late expressions, each for the columns of the last
// batch, which usually are the same for all batches of a stage.
type programs struct {
	mu    sync.Mutex
	byKey map[string]*program
}

type program struct {
	*columnar.Program
	schema *arrow.Schema
}

func (p *programs) get(key string, late Late, schema *arrow.Schema) (*columnar.Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have := p.byKey[key]; have != nil && have.schema.Equal(schema) {
		return have.Program, nil
	}
	columns, err := data.Columns.Schema(schema)
	if err != nil {
		return nil, err
	}
	names, err := data.LateNames.Schema(schema)
	if err != nil {
		return nil, err
	}
	ready, err := columnar.NewLate(late.Expr, columns, names, late.Vars)
	if err != nil {
		return nil, err
	}
	if p.byKey == nil {
		p.byKey = map[string]*program{}
	}
	p.byKey[key] = &program{ready, schema}
	return ready, nil
}
