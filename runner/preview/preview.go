// Package preview renders a prompt for a row, without calling a model and
// without spending anything.
package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/responses"
	"github.com/quern-dev/quern/store/state"
)

// Use is a place where a prompt is used.
type Use struct {
	// Node is the stage, and Argument the key of the argument that takes the
	// prompt.
	Node     *plan.Node
	Argument string
	row      *plan.RowArg
	bound    *plan.Bound
}

// From is what previews are rendered from.
type From struct {
	Plan  *plan.Plan
	State *state.State
	Store *store.Store
	// Answers opens the cached answers of models. It returns nil, nil if there
	// are none yet.
	Answers func() (*responses.Cache, error)
}

// Uses lists the uses of a prompt, by its address, in the plan's order.
func Uses(p *plan.Plan, prompt string) []Use {
	var uses []Use
	for _, n := range p.Nodes {
		if n.Body == nil {
			continue
		}
		bound, diags := n.Body.Bind(unknown(n.Body))
		if diags.HasErrors() {
			continue
		}
		for key, row := range bound.Rows {
			if row.Prompt == prompt {
				uses = append(uses, Use{Node: n, Argument: key, row: row, bound: bound})
			}
		}
	}
	return uses
}

// unknown returns an unknown value for everything that a configuration waits
// for.
func unknown(b *plan.Body) map[string]cty.Value {
	vars := map[string]cty.Value{"var": cty.DynamicVal}
	refs, _ := b.Refs()
	for _, ref := range refs {
		vars[addr.KindOf(ref)] = cty.DynamicVal
	}
	return vars
}

// Request returns the request that the prompt renders for a row of its dataset,
// counted from 0, with "(sensitive value)" in place of everything that depends
// on a sensitive variable. The dataset must exist. If selecting the examples
// would cost money, Request returns the request without them, and an *Unknown
// error.
func (u Use) Request(ctx context.Context, f From, row int64) (*llm.Request, error) {
	text, err := u.textOf(ctx, f, u.row, row)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, errors.New("the prompt produces nothing for this row")
	}
	p, err := llm.DecodePrompt(*text)
	if err != nil {
		return nil, fmt.Errorf("the prompt produces no request for this row: %w", err)
	}
	err = u.fill(ctx, f, p, row)
	if unknown := (*Unknown)(nil); err != nil && !errors.As(err, &unknown) {
		return nil, err
	}
	return p.Request, err
}

var errWaits = errors.New("the prompt depends on values of other stages, so it can be rendered only during apply")

// textOf returns the value of a row expression for one row of its dataset, or
// nil if there is none.
func (u Use) textOf(ctx context.Context, f From, of *plan.RowArg, row int64) (*string, error) {
	if len(of.Expr.Refs) > 0 {
		return nil, errWaits
	}
	in := u.bound.Inputs[of.Of]
	m, err := f.dataset(in)
	if err != nil {
		return nil, err
	}
	switch {
	case m.Dataset.Rows == 0:
		return nil, fmt.Errorf("row %d does not exist: %s has no rows", row, in.Address)
	case row < 0, row >= m.Dataset.Rows:
		return nil, fmt.Errorf("row %d does not exist: %s has rows 0 to %d", row, in.Address, m.Dataset.Rows-1)
	}
	shards, err := m.Dataset.Files(f.Store.Blobs, of.Expr.Columns)
	if err != nil {
		return nil, err
	}
	rec, err := rowAt(ctx, shards, of.Expr.Columns, row)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	texts, err := evaluate(ctx, of, rec)
	if err != nil {
		return nil, err
	}
	return texts[0], nil
}

// dataset returns a dataset that a stage receives.
func (f From) dataset(in *plan.Input) (*artifact.Artifact, error) {
	inst := f.State.Instances[in.Address]
	if inst == nil {
		return nil, fmt.Errorf("%s has no result yet: run \"quern apply -target=%s\"", in.Address, in.Address)
	}
	return artifact.Get(f.Store.Blobs, inst.Outputs[in.Port])
}

// rowAt reads one row. It skips earlier shards without opening them.
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

// evaluate returns the values of a row expression that is a text, or nil if
// there is none.
func evaluate(ctx context.Context, row *plan.RowArg, rec arrow.RecordBatch) ([]*string, error) {
	schema, err := data.FromArrow(rec.Schema())
	if err != nil {
		return nil, err
	}
	program, err := columnar.NewRedacted(row.Expr, schema)
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
	if !ok {
		return nil, fmt.Errorf("the values are %s, not texts", values.DataType())
	}
	out := make([]*string, text.Len())
	for i := range out {
		if text.IsValid(i) {
			value := strings.Clone(text.Value(i))
			out[i] = &value
		}
	}
	return out, nil
}
