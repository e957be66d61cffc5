package estimate

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/dataset"
)

// sampledRows is how many rows of a dataset prompts are filled in for, to tell
// the tokens of all: enough that the mean is within a few hundredths, few
// enough to cost nothing.
const sampledRows = 256

// estimateCalls says how many requests to models an instance will make, how
// many tokens they and the answers have, and what they cost. Where the rows are
// not there yet, it tells them from the sources that they come from.
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
		if f.calls < 0 {
			n.Estimate.CostUnknown = true
			return
		}
		all = append(all, f)
	}
	readAnswers(all)
	addCalls(&n.Estimate, all)
	n.Estimate.CallsAtMost = *n.Estimate.Calls > 0 && e.mayBeKept(n)
}

// mayBeKept says whether answers to some of the requests may be kept already:
// which ones is known only when the stage has made them.
func (e *Estimator) mayBeKept(n *decide.Instance) bool {
	return !n.Replaced && e.Store.HasResponses() && slices.ContainsFunc(n.Calls, func(c *pluginv1.ModelCalls) bool {
		return n.Inputs[c.Model].From.Model.Info.Cache
	})
}

// foreseen is what requests to one model with one prompt will take.
type foreseen struct {
	calls float64 // -1: not known
	// until is the stage that has to run before what is not known can be told;
	// empty: nothing is unknown, or nothing would tell it.
	until string
	// input of a request, in tokens, and output of an answer; nil: not known.
	input, output *float64
	// counted: input was counted for each request, not estimated.
	counted bool
	// atMost: answers may be shorter.
	atMost bool
	// reads: requests hold answers to others.
	reads bool
	price *plan.Price
}

func (e *Estimator) foresee(n *decide.Instance, c *pluginv1.ModelCalls, last *llm.Spend) *foreseen {
	model, row := n.Inputs[c.Model], n.Bound.Rows[c.Prompt]
	if row == nil || n.Bound.Undecided[c.Prompt] != nil || model == nil || model.From.Model == nil {
		return &foreseen{calls: -1}
	}
	info := model.From.Model.Info
	f := &foreseen{calls: -1, reads: c.ReadsAnswers, price: info.Price}
	in := e.rowsAsked(n, row.Of)
	if f.until = in.until; in.until != "" {
		return f
	}
	in.note(&n.Estimate)
	f.calls = in.asked * c.PerRow
	f.input, f.until = e.tokensOf(n, c, in)
	if f.input == nil && last != nil {
		mean := float64(last.InputTokens) / float64(last.Calls)
		f.input, f.until = &mean, ""
	}
	f.counted = in.counted && tokens.For(info.Tokenizer).Exact() && !c.ReadsAnswers
	f.foreseeAnswer(c, info, last)
	return f
}

// foreseeAnswer says how long answers are, or at most.
func (f *foreseen) foreseeAnswer(c *pluginv1.ModelCalls, info plan.ModelInfo, last *llm.Spend) {
	bound := func(tokens float64) {
		if f.output == nil || tokens < *f.output {
			f.output, f.atMost = &tokens, true
		}
	}
	if last != nil {
		mean := float64(last.OutputTokens) / float64(last.Calls)
		f.output = &mean
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
}

// lastSpend is what the instance's calls came to when it last made some; nil: it
// has not.
func (e *Estimator) lastSpend(n *decide.Instance) *llm.Spend {
	entry := e.lastEntry(n)
	if entry == nil || entry.Spend == nil || entry.Spend.Calls == 0 {
		return nil
	}
	return entry.Spend
}

// lastEntry is the result that the state has of an instance; nil: none.
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
		if f.reads && calls > 0 && f.input != nil {
			*f.input += sum / calls
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
		calls, input, output = calls+int64(math.Round(f.calls)), input+in, output+out
		inputKnown, outputKnown = inputKnown && f.input != nil, outputKnown && f.output != nil
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
		e.Money = &cost
	}
}

// sum is what all calls come to of what each has on average; 0 if that is not
// known.
func (f *foreseen) sum(each *float64) int64 {
	if each == nil {
		return 0
	}
	return int64(math.Round(f.calls * *each))
}

// tokensOf is how many tokens one request has on average. Where that cannot be
// told, until is the stage that has to run before.
func (e *Estimator) tokensOf(n *decide.Instance, c *pluginv1.ModelCalls, in *askedRows) (perRow *float64, until string) {
	row := n.Bound.Rows[c.Prompt]
	var mean float64
	if in.asked == 0 {
		return &mean, ""
	}
	counter := tokens.For(n.Inputs[c.Model].From.Model.Info.Tokenizer)
	more, until := e.textTokens(n, c.Texts, counter)
	if more < 0 {
		return nil, until
	}
	texts, until := in.texts(row)
	if len(texts) == 0 {
		return nil, until
	}
	var sum, weights float64
	examples := -1.0 // not looked at yet
	for _, t := range texts {
		request, drawing := requestOf(c, t.text, row.Prompt != "")
		weights += t.weight
		sum += t.weight * float64(counter.Request(request))
		if drawing != nil && examples < 0 {
			if examples, until = e.exampleTokens(n, c.Prompt+".examples", drawing, counter); examples < 0 {
				return nil, until
			}
		}
		if drawing != nil {
			sum += t.weight * examples
		}
	}
	mean = sum/weights + more + float64(counter.Text(c.Added))
	return &mean, ""
}

// requestOf is the request that the text of a prompt comes to, and how examples
// are drawn for it; nil: none are. What a stage adds is not in it.
func requestOf(c *pluginv1.ModelCalls, text string, isRequest bool) (*llm.Request, *llm.ExampleSelection) {
	request, drawing := asked(text, isRequest)
	if c.ReadsAnswers {
		request, drawing = lastOnly(request), nil
	}
	if c.Added != "" && !slices.ContainsFunc(request.Messages, func(m llm.Message) bool { return m.Role == llm.System }) {
		// What is added becomes a message of its own; its text is counted apart.
		request.Messages = append(request.Messages, llm.Message{Role: llm.System})
	}
	return request, drawing
}

// textTokens is how many tokens the texts of row arguments have on average; -1:
// that cannot be told before until has run.
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

// poolRead is up to how many examples are looked at one by one. Of more, those
// that are drawn are taken to be as long as the others.
const poolRead = 4096

// exampleTokens is how many tokens the examples have that are drawn for a row:
// the two messages that each is shown as; -1: that cannot be told before until
// has run.
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

// exampleTexts are texts of examples like those that are drawn, and how many
// examples there are.
func (e *Estimator) exampleTexts(of *module.Handle, row *plan.RowArg, d *llm.ExampleSelection) (texts []weighted, rows float64, until string) {
	m := of.Manifest()
	if m == nil {
		f := e.forecasts.forecast(of)
		if f.until != "" {
			return nil, 0, f.until
		}
		texts, until = f.texts(e.forecasts, of.From.Address, row, f.drawn(d))
		return texts, f.rows, until
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

// drawn are the rows of the sample that are drawn as examples; all of them if
// that cannot be known, because the sample is not the whole dataset or the
// choice depends on the row.
func (f *forecast) drawn(d *llm.ExampleSelection) []int {
	rows := everyRow(f)
	if !f.exact || f.rows != float64(len(rows)) || len(rows) > poolRead {
		return rows
	}
	if order := d.Order(len(rows)); order != nil {
		return order[:min(d.Count, len(order))]
	}
	return rows
}

// sampledShards is from how many shards rows are taken at most.
const sampledShards = 8

// sample evaluates a row expression for some rows, which lie evenly all over
// the dataset: it may be sorted. What can't be read is left out: the estimate
// is not the place to complain.
func (e *Estimator) sample(m *dataset.Manifest, row *plan.RowArg) []string {
	return e.sampleOf(m, row, sampledRows)
}

// sampleOf takes about so many rows; all, in order, where there are no more.
func (e *Estimator) sampleOf(m *dataset.Manifest, row *plan.RowArg, rows int) []string {
	if len(row.Expr.Columns) == 0 {
		return constantText(row)
	}
	shards, err := m.Files(e.Store.Blobs, row.Expr.Columns)
	if err != nil || len(shards) == 0 {
		return nil
	}
	step := (len(shards) + sampledShards - 1) / sampledShards
	each := max(rows/min(len(shards), sampledShards), 1)
	var texts []string
	for i := 0; i < len(shards); i += step {
		every := (m.Shards[i].Rows + int64(each) - 1) / int64(each)
		texts = append(texts, e.someRows(shards[i], row, int(max(every, 1)))...)
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
	program, err := row.Expr.Program(schema, nil)
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
