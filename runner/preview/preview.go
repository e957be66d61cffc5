// Package preview shows what a prompt makes of a row, without asking a model
// and without spending anything.
package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// Use is a place where a prompt is used.
type Use struct {
	// Node is the stage, Argument the key of the argument that takes the
	// prompt.
	Node     *plan.Node
	Argument string
	row      *plan.RowArg
	rowsOf   *plan.Input
}

// Uses lists the uses of a prompt, by its address, in the plan's order.
func Uses(p *plan.Plan, prompt string) []Use {
	var uses []Use
	for _, n := range p.Nodes {
		if n.Body == nil {
			continue
		}
		bound, diags := n.Body.Bind(nil)
		if diags.HasErrors() {
			continue
		}
		for key, row := range bound.Rows {
			if row.Prompt == prompt {
				uses = append(uses, Use{Node: n, Argument: key, row: row, rowsOf: bound.Inputs[row.Of]})
			}
		}
	}
	return uses
}

// Request is the request that the prompt gives for a row of its dataset,
// counted from 0. The dataset must have been made.
func (u Use) Request(ctx context.Context, s *store.Store, st *state.State, row int64) (*llm.Request, error) {
	if len(u.row.Expr.Refs) > 0 || len(u.row.Expr.Secrets) > 0 {
		return nil, errors.New("the prompt waits for values of other stages, or holds a secret, so that it can only be rendered in an apply")
	}
	shards, rows, err := u.dataset(s, st)
	if err != nil {
		return nil, err
	}
	if row < 0 || row >= rows {
		return nil, fmt.Errorf("there is no row %d: %s has rows 0 to %d", row, u.rowsOf.Address, rows-1)
	}
	rec, err := rowAt(ctx, shards, u.row.Expr.Columns, row)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	return u.render(ctx, rec)
}

// dataset finds the files of the dataset whose rows the prompt is over.
func (u Use) dataset(s *store.Store, st *state.State) ([]data.Shard, int64, error) {
	inst := st.Instances[u.rowsOf.Address]
	if inst == nil {
		return nil, 0, fmt.Errorf("%s was not made yet: run quern apply -target=%s", u.rowsOf.Address, u.rowsOf.Address)
	}
	a, err := artifact.Get(s.Blobs, inst.Outputs[u.rowsOf.Port])
	if err != nil {
		return nil, 0, err
	}
	shards, err := a.Dataset.Files(s.Blobs, u.row.Expr.Columns)
	return shards, a.Dataset.Rows, err
}

// rowAt reads one row. Shards before it are passed over without being opened.
func rowAt(ctx context.Context, shards []data.Shard, columns []string, row int64) (arrow.RecordBatch, error) {
	for len(shards) > 0 && row >= shards[0].Rows {
		row -= shards[0].Rows
		shards = shards[1:]
	}
	if len(columns) == 0 {
		return array.NewRecordBatch(data.Schema{}.Arrow(), nil, 1), nil
	}
	for rec, err := range data.Read(ctx, shards[:1], columns, 1024) {
		if err != nil {
			return nil, err
		}
		if row < rec.NumRows() {
			return rec.NewSlice(row, row+1), nil
		}
		row -= rec.NumRows()
	}
	return nil, errors.New("the shard has fewer rows than its manifest says")
}

func (u Use) render(ctx context.Context, rec arrow.RecordBatch) (*llm.Request, error) {
	schema, err := data.FromArrow(rec.Schema())
	if err != nil {
		return nil, err
	}
	program, err := u.row.Expr.Program(schema, nil)
	if err != nil {
		return nil, err
	}
	values, failed, err := program.Eval(ctx, rec)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	if len(failed) > 0 {
		return nil, errors.New(failed[0].Message)
	}
	text, ok := values.(*array.String)
	if !ok || text.Len() != 1 || text.IsNull(0) {
		return nil, errors.New("the prompt gives nothing for this row")
	}
	req := &llm.Request{}
	if err := json.Unmarshal([]byte(text.Value(0)), req); err != nil {
		return nil, fmt.Errorf("the prompt gives no request for this row: %w", err)
	}
	return req, nil
}
