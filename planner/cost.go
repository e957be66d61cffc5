package planner

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

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

// estimateCalls says how many requests to models an instance will make, how
// many tokens they and the answers have, and what they cost. Where the rows are
// not there yet, all that is known is that it will ask.
func (b *builder) estimateCalls(n *node) {
	if len(n.calls) == 0 || b.Store == nil || n.bound == nil {
		return
	}
	mean := b.meanAnswer(n)
	var all []*foreseen
	for _, c := range n.calls {
		f := b.foresee(n, c, mean)
		if f == nil {
			n.Estimate.CostUnknown = true
			return
		}
		all = append(all, f)
	}
	readAnswers(all)
	addCalls(&n.Estimate, all)
	n.Estimate.CallsAtMost = *n.Estimate.Calls > 0 && b.mayBeKept(n)
}

// mayBeKept says whether answers to some of the requests may be kept already:
// which ones is known only when the stage has made them.
func (b *builder) mayBeKept(n *node) bool {
	return !b.replaced(n) && b.Store.HasResponses() && slices.ContainsFunc(n.calls, func(c *pluginv1.ModelCalls) bool {
		return n.inputs[c.Model].node.model.Info.Cache
	})
}

// foreseen is what requests to one model with one prompt will take.
type foreseen struct {
	calls float64
	// input of a request, in tokens, and output of an answer; nil: not known.
	input  float64
	output *float64
	// counted: input was counted for each request, not estimated.
	counted bool
	// atMost: answers may be shorter.
	atMost bool
	// reads: requests hold answers to others.
	reads bool
	price *plan.Price
}

// foresee is nil where nothing can be said.
func (b *builder) foresee(n *node, c *pluginv1.ModelCalls, mean *float64) *foreseen {
	perRow, rows, ok := b.tokensOf(n, c)
	if !ok {
		return nil
	}
	info := n.inputs[c.Model].node.model.Info
	f := &foreseen{calls: float64(rows) * c.PerRow, input: perRow, reads: c.ReadsAnswers, price: info.Price}
	f.counted = rows <= sampledRows && tokens.For(info.Tokenizer).Exact() && !c.ReadsAnswers
	bound := func(tokens float64) {
		if f.output == nil || tokens < *f.output {
			f.output, f.atMost = &tokens, true
		}
	}
	if mean != nil {
		f.output = mean
	}
	if c.OutputTokens != nil {
		bound(float64(*c.OutputTokens))
	}
	if c.LongestAnswer != "" && f.output == nil { // near it, however it is laid out
		longest := float64(tokens.For(info.Tokenizer).Text(c.LongestAnswer))
		f.output = &longest
	}
	if info.MaxTokens > 0 {
		bound(float64(info.MaxTokens))
	}
	return f
}

// meanAnswer is how many tokens the answers had when the instance last asked
// for some; nil: it has not.
func (b *builder) meanAnswer(n *node) *float64 {
	if n.prior == nil || n.prior.ActionKey == "" {
		return nil
	}
	entry, err := b.Store.Actions.Get(n.prior.ActionKey)
	if err != nil || entry == nil || entry.Spend == nil || entry.Spend.Calls == 0 {
		return nil
	}
	mean := float64(entry.Spend.OutputTokens) / float64(entry.Spend.Calls)
	return &mean
}

// readAnswers adds the answers to the requests that hold them.
func readAnswers(all []*foreseen) {
	sum, calls := 0.0, 0.0
	for _, f := range all {
		if !f.reads && f.output != nil {
			sum += f.calls * *f.output
			calls += f.calls
		}
	}
	for _, f := range all {
		if f.reads && calls > 0 {
			f.input += sum / calls
		}
	}
}

// addCalls adds requests to an estimate.
func addCalls(e *plan.Estimate, all []*foreseen) {
	var calls, input, output int64
	var cost float64
	outputKnown, priced := true, false
	for _, f := range all {
		in, out := int64(math.Round(f.calls*f.input)), int64(0)
		if f.output != nil {
			out = int64(math.Round(f.calls * *f.output))
		}
		calls, input, output = calls+int64(math.Round(f.calls)), input+in, output+out
		outputKnown = outputKnown && f.output != nil
		e.OutputAtMost = e.OutputAtMost || f.atMost
		e.InputEstimated = e.InputEstimated || !f.counted
		known := f.price.Cost(in, 0, out)
		if known == nil || f.output == nil && !f.price.Free() {
			e.CostUnknown = true
		}
		if known != nil {
			cost += *known
			priced = true
		}
	}
	e.Calls, e.InputTokens = &calls, &input
	if outputKnown {
		e.OutputTokens = &output
	} else {
		e.OutputAtMost = false
	}
	if priced {
		e.Money = &cost
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
	more, ok := b.textTokens(n, c.Texts, counter)
	texts := b.sample(m, row)
	if !ok || len(texts) == 0 {
		return 0, 0, false
	}
	var sum float64
	examples := -1.0 // not looked at yet
	for _, text := range texts {
		request, drawing := asked(text, row.Prompt != "")
		if c.ReadsAnswers {
			request, drawing = lastOnly(request), nil
		}
		if c.Added != "" && !slices.ContainsFunc(request.Messages, func(m llm.Message) bool { return m.Role == llm.System }) {
			// What is added becomes a message of its own; its text is below.
			request.Messages = append(request.Messages, llm.Message{Role: llm.System})
		}
		sum += float64(counter.Request(request))
		if drawing != nil && examples < 0 {
			if examples, ok = b.exampleTokens(n, c.Prompt+".examples", drawing, counter); !ok {
				return 0, 0, false
			}
		}
		if drawing != nil {
			sum += examples
		}
	}
	return sum/float64(len(texts)) + more + float64(counter.Text(c.Added)), rows, true
}

// textTokens is how many tokens the texts of row arguments have on average.
func (b *builder) textTokens(n *node, keys []string, counter *tokens.Counter) (float64, bool) {
	mean := 0.0
	for _, key := range keys {
		row := n.bound.Rows[key]
		if row == nil || len(row.Expr.Refs) > 0 || len(row.Expr.Secrets) > 0 || n.inputs[row.Of].manifest() == nil {
			return 0, false
		}
		texts := b.sample(n.inputs[row.Of].manifest(), row)
		var sum int64
		for _, text := range texts {
			sum += counter.Text(text)
		}
		mean += float64(sum) / float64(max(len(texts), 1))
	}
	return mean, true
}

// lastOnly is a request with the last message of the user alone.
func lastOnly(r *llm.Request) *llm.Request {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == llm.User {
			return &llm.Request{Messages: r.Messages[i : i+1]}
		}
	}
	return r
}

// asked is the request that the text of a row argument comes to, and how
// examples are drawn for it; nil: none are.
func asked(text string, isRequest bool) (*llm.Request, *llm.Drawing) {
	plain := &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}
	var fields map[string]json.RawMessage
	if !isRequest || json.Unmarshal([]byte(text), &fields) != nil {
		return plain, nil
	}
	var drawing *llm.Drawing
	if raw, ok := fields["examples"]; ok {
		drawing = llm.NewDrawing()
		if json.Unmarshal(raw, drawing) != nil {
			return plain, nil
		}
		delete(fields, "examples")
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return plain, nil
	}
	request, err := llm.DecodeRequest(rest)
	if err != nil {
		return plain, nil
	}
	return request, drawing
}

// poolRead is up to how many examples are looked at one by one. Of more, those
// that are drawn are taken to be as long as the others.
const poolRead = 4096

// exampleTokens is how many tokens the examples have that are drawn for a row:
// the two messages that each is shown as.
func (b *builder) exampleTokens(n *node, key string, d *llm.Drawing, counter *tokens.Counter) (float64, bool) {
	of := n.inputs[key]
	user, assistant := n.bound.Rows[key+".user"], n.bound.Rows[key+".assistant"]
	if of == nil || user == nil || assistant == nil || of.manifest() == nil {
		return 0, false
	}
	m := of.manifest()
	most := int(min(m.Rows, poolRead))
	order := d.Order(most)
	all := 0.0
	for role, row := range map[string]*plan.RowArg{llm.User: user, llm.Assistant: assistant} {
		var texts []string
		if order != nil && m.Rows <= poolRead {
			all := b.sampleOf(m, row, most)
			for _, i := range order[:min(d.Count, most)] {
				if i < len(all) {
					texts = append(texts, all[i])
				}
			}
		} else {
			texts = b.sample(m, row)
		}
		if len(texts) == 0 {
			return 0, m.Rows == 0
		}
		var sum int64
		for _, text := range texts {
			sum += counter.Message(llm.Message{Role: role, Content: text})
		}
		all += float64(sum) / float64(len(texts)) * float64(min(d.Count, int(m.Rows)))
	}
	return all, true
}

// sampledShards is from how many shards rows are taken at most.
const sampledShards = 8

// sample evaluates a row expression for some rows, which lie evenly all over
// the dataset: it may be sorted. What can't be read is left out: the estimate
// is not the place to complain.
func (b *builder) sample(m *dataset.Manifest, row *plan.RowArg) []string {
	return b.sampleOf(m, row, sampledRows)
}

// sampleOf takes about so many rows; all, in order, where there are no more.
func (b *builder) sampleOf(m *dataset.Manifest, row *plan.RowArg, rows int) []string {
	if len(row.Expr.Columns) == 0 {
		return constantText(row)
	}
	shards, err := m.Files(b.Store.Blobs, row.Expr.Columns)
	if err != nil || len(shards) == 0 {
		return nil
	}
	step := (len(shards) + sampledShards - 1) / sampledShards
	each := max(rows/min(len(shards), sampledShards), 1)
	var texts []string
	for i := 0; i < len(shards); i += step {
		every := (m.Shards[i].Rows + int64(each) - 1) / int64(each)
		texts = append(texts, b.someRows(shards[i], row, int(max(every, 1)))...)
	}
	return texts
}

// constantText is what a row expression gives that reads no column.
func constantText(row *plan.RowArg) []string {
	v, diags := row.Expr.Eval(nil)
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return nil
	}
	return []string{v.AsString()}
}

// someRows evaluates a row expression for the first of every so many rows.
func (b *builder) someRows(shard data.Shard, row *plan.RowArg, every int) []string {
	var texts []string
	for rec, err := range data.Read(b.ctx, []data.Shard{shard}, row.Expr.Columns, every) {
		if err != nil {
			return texts
		}
		one := rec.NewSlice(0, min(1, rec.NumRows()))
		texts = append(texts, b.texts(one, row)...)
		one.Release()
	}
	return texts
}

func (b *builder) texts(rec arrow.RecordBatch, row *plan.RowArg) []string {
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
				texts = append(texts, strings.Clone(column.Value(i)))
			}
		}
	}
	return texts
}
