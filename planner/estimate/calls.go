package estimate

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/dataset"
)

// sampledRows is the number of rows for which prompts are rendered to estimate
// the tokens of all rows: enough for a mean within a few percent, and few
// enough to cost nothing.
const sampledRows = 256

// estimateCalls estimates how many requests to models an instance will send,
// how many tokens they and the answers have, and what they cost. If the rows do
// not exist yet, it forecasts them from their sources.
func (e *Estimator) estimateCalls(n *decide.Instance) {
	if len(n.Calls) == 0 || e.Store == nil || n.Bound == nil {
		return
	}
	last := e.lastSpend(n)
	var all []*foreseen
	for _, c := range n.Calls {
		f := e.foresee(n, c, last)
		if f.until != "" && f.until != n.Address {
			addUnique(&n.Estimate.UnknownUntil, f.until)
		}
		if !f.known {
			n.Estimate.CostUnknown = true
			return
		}
		all = append(all, f)
	}
	readAnswers(all)
	addCalls(&n.Estimate, all)
	n.Estimate.CallsAtMost = *n.Estimate.Calls > 0 && e.mayBeKept(n)
	addRanges(&n.Estimate, all)
}

// mayBeKept reports whether some of the answers may be cached already. Which
// ones is known only when the stage runs.
func (e *Estimator) mayBeKept(n *decide.Instance) bool {
	return !n.Replaced && e.Store.HasResponses() && slices.ContainsFunc(n.Calls, func(c *pluginv1.ModelCalls) bool {
		return n.Inputs[c.Model].Port.Model.Cache
	})
}

// foreseen is the forecast of requests to one model with one prompt.
type foreseen struct {
	known bool // the number of calls
	// calls that the stage makes now, and all that it would make if nothing
	// existed.
	calls, all spread
	rows       spread // of the whole dataset
	// until is the stage that has to run before what is unknown is known. It is
	// empty if everything is known, or if no stage would change that.
	until string
	// input is the tokens of a request and output those of an answer, or nil if
	// unknown.
	input, output *spread
	// counted is set if input was counted for each request, not estimated.
	counted bool
	// capped is set if calls is the most that the stage makes, not what its rows need.
	capped bool
	// atMost is set if answers may be shorter.
	atMost bool
	// reads is set if requests contain answers to others.
	reads bool
	price *plan.Price
}

func (e *Estimator) foresee(n *decide.Instance, c *pluginv1.ModelCalls, last *llm.Spend) *foreseen {
	model, row := n.Inputs[c.Model], n.Bound.Rows[c.Prompt]
	if row == nil || n.Bound.Undecided[c.Prompt] != nil || model == nil || model.Port.Model == nil {
		return &foreseen{}
	}
	info := model.Port.Model
	f := &foreseen{reads: c.ReadsAnswers, price: info.Price}
	in := e.rowsAsked(n, row.Of)
	f.capped = c.Most > 0 && (in.until != "" || in.asked.mid*c.PerRow > float64(c.Most)) || in.atMost
	if c.Most > 0 && f.capped {
		f.known, f.calls = true, spread{0, float64(c.Most), float64(c.Most)}
		f.all = f.calls
	}
	if f.until = in.until; in.until != "" {
		return f
	}
	f.rows = in.all
	if !f.known {
		in.note(&n.Estimate)
		f.known, f.calls, f.all = true, in.asked.scaled(c.PerRow), in.all.scaled(c.PerRow)
	}
	texts, until := in.texts(row)
	f.input, f.until = e.tokensOf(n, c, in, texts, until)
	if f.input == nil && last != nil {
		mean := exactly(float64(last.InputTokens)/float64(last.Calls)).within(changedLow, changedHigh)
		f.input, f.until = &mean, ""
	}
	f.counted = in.counted && tokens.For(info.Tokenizer).Exact() && !c.ReadsAnswers
	f.foreseeAnswer(c, info, last, e.forecasts.unchanged(n.Node))
	f.allowForRepeats(c, info, in, texts)
	return f
}

// allowForRepeats widens the number of calls: equal requests are sent once, and a
// stage that rejects an answer asks again.
func (f *foreseen) allowForRepeats(c *pluginv1.ModelCalls, info *plan.ModelInfo, in *askedRows, texts []weighted) {
	if info.Cache && !f.capped {
		keys := make([]string, len(texts))
		for i, t := range texts {
			keys[i] = t.text
		}
		share := func(rows spread) float64 {
			return distinct(keys, rows.low, in.counted).low / max(rows.low, 1) / in.repeated()
		}
		f.calls.low *= share(in.asked)
		f.all.low *= share(in.all)
	}
	if c.LongestAnswer != "" {
		f.calls.high *= 1 + rejected
		f.all.high *= 1 + rejected
	}
}

// foreseeAnswer forecasts the length of answers, or a bound on it.
func (f *foreseen) foreseeAnswer(c *pluginv1.ModelCalls, info *plan.ModelInfo, last *llm.Spend, unchanged bool) {
	bound := func(tokens float64) {
		switch {
		case f.output == nil:
			f.output, f.atMost = &spread{min(1, tokens), tokens, tokens}, true
		case tokens < f.output.mid:
			f.atMost = true
			fallthrough
		default:
			cut := f.output.atMost(tokens)
			f.output = &cut
		}
	}
	if last != nil {
		before := asBefore(last, f.calls.mid)
		if !unchanged {
			before = before.within(changedLow, changedHigh)
		}
		f.output = &before
	}
	if c.OutputTokens != nil {
		bound(float64(*c.OutputTokens))
	}
	if c.LongestAnswer != "" && f.output == nil { // about right, whatever its layout
		longest := restricted(float64(tokens.For(info.Tokenizer).Text(c.LongestAnswer)))
		f.output = &longest
	}
	if info.MaxTokens > 0 {
		bound(float64(info.MaxTokens))
	}
}

// lastSpend returns the total of the instance's calls when it last made any, or
// nil if it never has.
func (e *Estimator) lastSpend(n *decide.Instance) *llm.Spend {
	entry := e.lastEntry(n)
	if entry == nil || entry.Spend == nil || entry.Spend.Calls == 0 {
		return nil
	}
	return entry.Spend
}

// lastEntry returns the result of an instance in the state, or nil if there is
// none.
func (e *Estimator) lastEntry(n *decide.Instance) *action.Entry {
	if n.Prior == nil || n.Prior.ActionKey == "" {
		return nil
	}
	entry, err := e.Store.Actions.Get(n.Prior.ActionKey)
	if err != nil {
		return nil
	}
	return entry
}

func addUnique(list *[]string, text string) {
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

// readAnswers adds the answers to the requests that contain them.
func readAnswers(all []*foreseen) {
	var sum spread
	calls := 0.0
	for _, f := range all {
		if !f.reads && f.output != nil {
			sum = sum.plus(f.output.scaled(f.calls.mid))
			calls += f.calls.mid
		}
	}
	for _, f := range all {
		if f.reads && calls > 0 && f.input != nil {
			*f.input = f.input.plus(sum.scaled(1 / calls))
		}
	}
}

// addCalls adds requests to an estimate.
func addCalls(e *plan.Estimate, all []*foreseen) {
	var calls, input, output int64
	var cost float64
	inputKnown, outputKnown, priced := true, true, false
	for _, f := range all {
		in, out := f.sum(f.input), f.sum(f.output)
		calls, input, output = calls+int64(math.Round(f.calls.mid)), input+in, output+out
		inputKnown, outputKnown = inputKnown && f.input != nil, outputKnown && f.output != nil
		e.CallsCapped = e.CallsCapped || f.capped
		e.OutputAtMost = e.OutputAtMost || f.atMost
		e.InputEstimated = e.InputEstimated || !f.counted
		known := f.price.Cost(in, 0, out)
		if known == nil || (f.input == nil || f.output == nil) && !f.price.Free() {
			e.CostUnknown = true
		}
		if known != nil {
			cost += *known
			priced = true
		}
	}
	e.Calls = &calls
	if inputKnown {
		e.InputTokens = &input
	} else {
		e.InputEstimated, outputKnown = false, false
	}
	if outputKnown {
		e.OutputTokens = &output
	} else {
		e.OutputAtMost = false
	}
	if priced {
		if e.Money != nil { // paid for something else
			cost += *e.Money
		}
		e.Money = &cost
	}
}

// addRanges adds the ranges of an estimate, and what the stage would take if
// nothing existed.
func addRanges(e *plan.Estimate, all []*foreseen) {
	var now, scratch amount.Amounts
	for _, f := range all {
		now = now.Plus(f.amounts(f.calls))
		scratch = scratch.Plus(f.amounts(f.all))
		if f.rows.high > 0 {
			scratch.Rows = f.rows.rangeOf(true)
		}
	}
	if e.CostUnknown {
		now.Money, scratch.Money = atLeast(now.Money), atLeast(scratch.Money)
	}
	if e.CallsAtMost {
		now = now.Each((*amount.Range).FromZero)
	}
	now.Rows = scratch.Rows
	if e.Range != nil { // paid for something else
		now, scratch = now.Plus(*e.Range), scratch.Plus(*e.Range)
	}
	e.Range, e.Whole = &now, &scratch
}

// atLeast returns what is known of a figure of which a part is not included.
func atLeast(r *amount.Range) *amount.Range {
	if r == nil {
		return nil
	}
	return &amount.Range{Low: r.Low}
}

// amounts returns what so many calls take.
func (f *foreseen) amounts(calls spread) amount.Amounts {
	orAnything := func(s *spread) spread {
		if s == nil {
			return anything
		}
		return *s
	}
	each, answer := orAnything(f.input), orAnything(f.output)
	input, output := calls.times(each), calls.times(answer)
	a := amount.Amounts{
		Calls: calls.rangeOf(true), InputTokens: input.rangeOf(f.input != nil), OutputTokens: output.rangeOf(f.output != nil),
	}
	if cost, ok := costOf(f.price, input, output, each.high); ok {
		a.Money = cost.rangeOf(f.input != nil && f.output != nil || f.price.Free())
	}
	return a
}

// sum multiplies an average per call by the number of calls. It is 0 if either
// is unknown.
func (f *foreseen) sum(each *spread) int64 {
	if each == nil {
		return 0
	}
	return int64(math.Round(f.calls.mid * each.mid))
}

// tokensOf estimates the average number of tokens in a request. If that is not
// possible, until is the stage that has to run first.
func (e *Estimator) tokensOf(n *decide.Instance, c *pluginv1.ModelCalls, in *askedRows, texts []weighted, unknown string) (perRow *spread, until string) {
	row := n.Bound.Rows[c.Prompt]
	if in.asked.mid == 0 && in.all.mid == 0 {
		return &spread{}, ""
	}
	counter := tokens.For(n.Inputs[c.Model].Port.Model.Tokenizer)
	more, until := e.textTokens(n, c.Texts, counter)
	if more < 0 {
		return nil, until
	}
	if len(texts) == 0 {
		return nil, unknown
	}
	values, weights := make([]float64, len(texts)), make([]float64, len(texts))
	examples := -1.0 // not computed yet
	for i, t := range texts {
		request, drawing := requestOf(c, t.text, row.Prompt != "")
		values[i], weights[i] = float64(counter.Request(request)), t.weight
		if drawing != nil && examples < 0 {
			if examples, until = e.exampleTokens(n, c.Prompt+".examples", drawing, counter); examples < 0 {
				return nil, until
			}
		}
		if drawing != nil {
			values[i] += examples
		}
	}
	mean := meanOf(values, weights, in.asked.mid)
	mean = billed(mean.plus(exactly(more+float64(counter.Text(c.Added)))), counter.Exact())
	return &mean, ""
}

// requestOf returns the request that a prompt's text represents, without what a
// stage adds, and how its examples are drawn, or nil if it has none.
func requestOf(c *pluginv1.ModelCalls, text string, isRequest bool) (*llm.Request, *llm.ExampleSelection) {
	request, drawing := asked(text, isRequest)
	if c.ReadsAnswers {
		request, drawing = lastOnly(request), nil
	}
	if c.Added != "" && !slices.ContainsFunc(request.Messages, func(m llm.Message) bool { return m.Role == llm.System }) {
		// The addition becomes a message of its own; its text is counted
		// separately.
		request.Messages = append(request.Messages, llm.Message{Role: llm.System})
	}
	return request, drawing
}

// textTokens returns the average number of tokens in the texts of row
// arguments, or -1 if that is unknown before until has run.
func (e *Estimator) textTokens(n *decide.Instance, keys []string, counter *tokens.Counter) (mean float64, until string) {
	for _, key := range keys {
		row := n.Bound.Rows[key]
		if row == nil {
			return -1, ""
		}
		in := e.rowsAsked(n, row.Of)
		if in.until != "" {
			return -1, in.until
		}
		texts, until := in.texts(row)
		if texts == nil && until != "" {
			return -1, until
		}
		var sum, weights float64
		for _, t := range texts {
			sum += t.weight * float64(counter.Text(t.text))
			weights += t.weight
		}
		if weights > 0 {
			mean += sum / weights
		}
	}
	return mean, ""
}

// lastOnly returns a request with only the last message of the user.
func lastOnly(r *llm.Request) *llm.Request {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == llm.User {
			return &llm.Request{Messages: r.Messages[i : i+1]}
		}
	}
	return r
}

// asked returns the request that the text of a row argument represents, and how
// its examples are drawn, or nil if it has none.
func asked(text string, isRequest bool) (*llm.Request, *llm.ExampleSelection) {
	plain := &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}
	var fields map[string]json.RawMessage
	if !isRequest || json.Unmarshal([]byte(text), &fields) != nil {
		return plain, nil
	}
	var drawing *llm.ExampleSelection
	if raw, ok := fields["examples"]; ok {
		drawing = llm.NewExampleSelection()
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

// poolRead bounds the examples that are read individually. If there are more,
// those that are drawn are assumed to be as long as the others.
const poolRead = 4096

// exampleTokens returns the number of tokens in the examples that are drawn for
// a row, each of which is shown as two messages. It is -1 if that is unknown
// before until has run.
func (e *Estimator) exampleTokens(n *decide.Instance, key string, d *llm.ExampleSelection, counter *tokens.Counter) (all float64, until string) {
	of := n.Inputs[key]
	user, assistant := n.Bound.Rows[key+".user"], n.Bound.Rows[key+".assistant"]
	if of == nil || user == nil || assistant == nil {
		return -1, ""
	}
	for role, row := range map[string]*plan.RowArg{llm.User: user, llm.Assistant: assistant} {
		texts, rows, until := e.exampleTexts(of, row, d)
		if until != "" || len(texts) == 0 && rows > 0 {
			return -1, until
		}
		var sum, weights float64
		for _, t := range texts {
			sum += t.weight * float64(counter.Message(llm.Message{Role: role, Content: t.text}))
			weights += t.weight
		}
		if weights > 0 {
			all += sum / weights * min(float64(d.Count), rows)
		}
	}
	return all, ""
}

// exampleTexts returns the texts of examples like those that are drawn, and the
// number of examples.
func (e *Estimator) exampleTexts(of *module.Handle, row *plan.RowArg, d *llm.ExampleSelection) (texts []weighted, rows float64, until string) {
	m := of.Manifest()
	if m == nil {
		f := e.forecasts.forecast(of)
		if f.until != "" {
			return nil, 0, f.until
		}
		texts, until = f.sample().texts(e.forecasts, of.From.Address, row, f.drawn(d))
		return texts, f.rows.mid, until
	}
	most := int(min(m.Rows, poolRead))
	order := d.Order(most)
	if order == nil || m.Rows > poolRead {
		return equally(e.sample(m, row)), float64(m.Rows), ""
	}
	all := e.sampleOf(m, row, most)
	for _, i := range order[:min(d.Count, most)] {
		if i < len(all) {
			texts = append(texts, weighted{all[i], 1})
		}
	}
	return texts, float64(m.Rows), ""
}

// drawn returns the rows of the sample that are drawn as examples, or all of
// them if that is unknown because the sample is not the whole dataset or the
// choice depends on the row.
func (f *forecast) drawn(d *llm.ExampleSelection) []int {
	rows := f.sample().every()
	if !f.exact || f.rows.mid != float64(len(rows)) || len(rows) > poolRead {
		return rows
	}
	if order := d.Order(len(rows)); order != nil {
		return order[:min(d.Count, len(order))]
	}
	return rows
}

// sampledShards bounds the shards from which rows are taken.
const sampledShards = 8

// sample evaluates a row expression for some rows, evenly spaced over the
// dataset, because it may be sorted. It skips what it cannot read: an estimate
// does not report errors.
func (e *Estimator) sample(m *dataset.Manifest, row *plan.RowArg) []string {
	return e.sampleOf(m, row, sampledRows)
}

// sampleOf evaluates it for about that many rows, or for all rows, in order, if
// there are no more.
func (e *Estimator) sampleOf(m *dataset.Manifest, row *plan.RowArg, rows int) []string {
	if len(row.Expr.Columns) == 0 {
		return constantText(row)
	}
	each := max(rows/max(min(len(m.Shards), sampledShards), 1), 1)
	var texts []string
	for _, s := range someShards(m) {
		shard, err := s.Files(e.Store.Blobs, row.Expr.Columns)
		if err != nil {
			return nil
		}
		every := (s.Rows + int64(each) - 1) / int64(each)
		texts = append(texts, e.someRows(shard, row, int(max(every, 1)))...)
	}
	return texts
}

// someShards returns shards that are evenly spaced over a dataset. The files of the
// others need not be verified.
func someShards(m *dataset.Manifest) []dataset.Shard {
	var some []dataset.Shard
	step := (len(m.Shards) + sampledShards - 1) / sampledShards
	for i := 0; i < len(m.Shards); i += step {
		some = append(some, m.Shards[i])
	}
	return some
}

// constantText returns the text of a row expression that reads no column.
func constantText(row *plan.RowArg) []string {
	v, diags := row.Expr.Eval(nil)
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return nil
	}
	return []string{v.AsString()}
}

// someRows evaluates a row expression for every nth row of a shard.
func (e *Estimator) someRows(shard data.Shard, row *plan.RowArg, every int) []string {
	var texts []string
	for rec, err := range data.Read(e.Context, []data.Shard{shard}, row.Expr.Columns, every) {
		if err != nil {
			return texts
		}
		one := rec.NewSlice(0, min(1, rec.NumRows()))
		texts = append(texts, e.texts(one, row)...)
		one.Release()
	}
	return texts
}

func (e *Estimator) texts(rec arrow.RecordBatch, row *plan.RowArg) []string {
	schema, err := data.FromArrow(rec.Schema())
	if err != nil {
		return nil
	}
	program, err := columnar.New(row.Expr, schema, nil)
	if err != nil {
		return nil
	}
	values, _, err := program.Eval(e.Context, rec)
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
