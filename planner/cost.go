package planner

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/llm/tokens"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/dataset"
)

// sampledRows is how many rows of a dataset prompts are filled in for, to tell
// the tokens of all: enough that the mean is within a few hundredths, few
// enough to cost nothing.
const sampledRows = 256

// estimateCalls says how many tokens the requests to models have that an
// instance will make, and what they cost. Where the rows are not there yet,
// nothing is known.
func (b *builder) estimateCalls(n *node) {
	if len(n.calls) == 0 || b.Store == nil || n.bound == nil {
		return
	}
	var input, output int64
	var cost float64
	outputKnown, costKnown := true, true
	for _, c := range n.calls {
		perRow, rows, ok := b.tokensOf(n, c)
		model := n.inputs[c.Model]
		if !ok || model == nil || model.node.model == nil {
			return
		}
		calls := float64(rows) * c.PerRow
		in := int64(math.Round(perRow * calls))
		out := int64(math.Round(float64(c.GetOutputTokens()) * calls))
		input, output = input+in, output+out
		outputKnown = outputKnown && c.OutputTokens != nil
		price := model.node.model.Info.Price
		if price == nil || price.Input == nil || (c.OutputTokens != nil && price.Output == nil) {
			costKnown = false
			continue
		}
		if known := price.Cost(in, 0, out); known != nil {
			cost += *known
		}
	}
	n.Estimate.InputTokens = &input
	if outputKnown {
		n.Estimate.OutputTokens = &output
	}
	if costKnown {
		n.Estimate.Money = &cost
	}
}

// tokensOf is how many tokens one request has on average, and for how many
// rows requests are made.
func (b *builder) tokensOf(n *node, c *pluginv1.ModelCalls) (perRow float64, rows int64, ok bool) {
	row := n.bound.Rows[c.Prompt]
	model := n.inputs[c.Model]
	if row == nil || model == nil || model.node.model == nil || len(row.Expr.Refs) > 0 || len(row.Expr.Secrets) > 0 {
		return 0, 0, false
	}
	m := n.inputs[row.Of].manifest()
	if m == nil {
		return 0, 0, false
	}
	rows = m.Rows
	if n.Estimate.NewRows != nil {
		rows = *n.Estimate.NewRows
	}
	if rows == 0 {
		return 0, 0, true
	}
	counter := tokens.For(model.node.model.Info.Tokenizer)
	var sum, counted int64
	for _, text := range b.sample(m, row) {
		sum += requestTokens(counter, text, row.Prompt != "")
		counted++
	}
	if counted == 0 {
		return 0, 0, false
	}
	return float64(sum)/float64(counted) + float64(counter.Text(c.Added)), rows, true
}

func requestTokens(counter *tokens.Counter, text string, isRequest bool) int64 {
	request := &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}
	if isRequest {
		if decoded, err := llm.DecodeRequest([]byte(text)); err == nil {
			request = decoded
		}
	}
	return counter.Request(request)
}

// sample evaluates a row expression for some rows, taken from shards all over
// the dataset. What can't be read is left out: the estimate is not the place
// to complain.
func (b *builder) sample(m *dataset.Manifest, row *plan.RowArg) []string {
	shards, err := m.Files(b.Store.Blobs, row.Expr.Columns)
	if err != nil || len(shards) == 0 {
		return nil
	}
	step := max(1, len(shards)/8)
	each := sampledRows / min(len(shards), 8)
	var texts []string
	for i := 0; i < len(shards); i += step {
		texts = append(texts, b.firstRows(shards[i], row, each)...)
	}
	return texts
}

func (b *builder) firstRows(shard data.Shard, row *plan.RowArg, rows int) []string {
	if len(row.Expr.Columns) == 0 {
		return nil
	}
	for rec, err := range data.Read(b.ctx, []data.Shard{shard}, row.Expr.Columns, rows) {
		if err != nil {
			return nil
		}
		schema, err := data.FromArrow(rec.Schema())
		if err != nil {
			return nil
		}
		program, err := row.Expr.Program(schema, nil)
		if err != nil {
			return nil
		}
		values, _, err := program.Eval(b.ctx, rec)
		if err != nil {
			return nil
		}
		defer values.Release()
		var texts []string
		if column, ok := values.(*array.String); ok {
			for i := range column.Len() {
				if !column.IsNull(i) {
					texts = append(texts, column.Value(i))
				}
			}
		}
		return texts
	}
	return nil
}
