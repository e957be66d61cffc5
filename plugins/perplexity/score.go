package perplexity

import (
	"context"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// run is an evaluation in progress.
type run struct {
	*plugin.Run[args]
	in    *plugin.DatasetInput
	panel *subjects.Panel
	pool  *prompting.Pool // nil without a prompt
	calls subjects.Calls
	pace  *subjects.Pace
	// tables have the scores of each subject, by row.
	tables   []*table
	clusters []string // by row; nil unless the argument is set
	rows     int64
}

// table has the scores of one subject, in the order of the rows. NaN means that
// a row has none.
type table struct {
	likelihood    []float64
	tokens, bytes []int
	usage         struct{ cost, tokens, latency []float64 }
	errors        int64
	failure       string // the first one
}

// score is what a subject makes of a row.
type score struct {
	request       string
	tokens, bytes int
	likelihood    float64
	response      *llm.Response
	err           error
}

func newRun(ctx context.Context, r *plugin.Run[args]) (*run, error) {
	e := &run{Run: r, in: r.Dataset(r.Args.Dataset), calls: subjects.NewCalls()}
	all := make([]subjects.Subject, len(r.Args.names))
	for i, name := range r.Args.names {
		all[i].Name = name
		e.tables = append(e.tables, &table{})
	}
	var err error
	if e.panel, err = subjects.NewPanel(ctx, r, all); err != nil {
		return nil, err
	}
	if r.Args.Prompt.IsSet() {
		e.pool, err = prompting.NewPool(ctx, r.Host(), r.Args.Prompt, r.Dataset(prompting.Dataset(r.Args.Prompt)))
	}
	e.pace = subjects.NewPace(len(all), func(rows int64) { e.Progress(rows, e.in.Rows, "rows", "") })
	return e, err
}

// scoreAll scores all rows with all subjects.
func (e *run) scoreAll(ctx context.Context) error {
	if e.in.Rows == 0 {
		return plugin.ArgumentErrorf("dataset", "The dataset has no rows to evaluate")
	}
	if err := subjects.Pass(ctx, e.panel, e.in, true, e.chunk, e.keep); err != nil {
		return err
	}
	for i, t := range e.tables {
		if len(t.scored()) == 0 {
			reason := "No row has a text with at least two tokens."
			if t.failure != "" {
				reason = t.failure
			}
			return plugin.ArgumentErrorf("subjects."+e.Args.names[i], "The subject %q scored none of the rows\n%s", e.Args.names[i], reason)
		}
	}
	return nil
}

// chunk scores some rows, by subject and row.
func (e *run) chunk(ctx context.Context, c subjects.Chunk) ([][]*score, error) {
	n := int(c.Rec.NumRows())
	g, ctx := parallel.WithContext(ctx)
	texts := texts{
		text: subjects.Texts(c.Rec, e.Args.Text.Key), prompt: subjects.Texts(c.Rec, e.Args.Prompt.Key),
		target: subjects.Texts(c.Rec, e.Args.Target.Key), by: subjects.Texts(c.Rec, prompting.ByKey(e.Args.Prompt.Key)),
	}
	all := make([][]*score, len(e.Args.names))
	for s, name := range e.Args.names {
		all[s] = make([]*score, n)
		for i := range n {
			one := &score{}
			all[s][i] = one
			e.calls.Go(ctx, g, func() error {
				defer e.pace.Step(1)
				err := e.score(ctx, e.Args.Subjects[name], texts, i, one)
				if err != nil && prompting.OfRow(err) {
					one.err = err
					return e.FailRow(c.First+int64(i), prompting.MayPass(err), err)
				}
				return err
			})
		}
	}
	return all, g.Wait()
}

// texts are the texts of a chunk's rows.
type texts struct{ text, prompt, target, by *array.String }

// score scores one row.
func (e *run) score(ctx context.Context, model plugin.Model, t texts, i int, to *score) error {
	request, counted, err := e.request(ctx, t, i)
	if err != nil || request == nil {
		return err
	}
	encoded, err := request.Encode()
	if err != nil {
		return err
	}
	to.request = string(encoded)
	if to.response, err = e.Host().Chat(ctx, model, request, 0); err != nil {
		return err
	}
	tokens := to.response.PromptLogProbs
	to.response.PromptLogProbs = nil // many chunks are in memory at a time
	return to.count(tokens, counted)
}

// counted says which tokens of a request count: those that begin at from or
// later in a prompt, or those of a message.
type counted struct {
	from, length int // of the prompt, in bytes
	message      int // -1 for a prompt
	target       string
}

// request returns the request for a row, or nil if the row has no text.
func (e *run) request(ctx context.Context, t texts, i int) (*llm.Request, counted, error) {
	request := &llm.Request{}
	target, hasTarget := subjects.Text(t.target, i)
	if t.target != nil && (!hasTarget || target == "") {
		return nil, counted{}, nil
	}
	of := counted{message: -1, target: target}
	if t.prompt != nil {
		text, ok := subjects.Text(t.prompt, i)
		if !ok {
			return nil, of, nil
		}
		prompt, err := llm.DecodePrompt(text)
		if err != nil {
			return nil, of, &llm.CallError{Message: err.Error()}
		}
		by, _ := subjects.Text(t.by, i)
		if err := e.pool.Fill(ctx, prompt, by); err != nil {
			return nil, of, err
		}
		request.Messages = append(prompt.Request.Messages, llm.Message{Role: llm.Assistant, Content: target})
		of.message = len(request.Messages) - 1
	} else {
		text, ok := subjects.Text(t.text, i)
		if !ok || text+target == "" {
			return nil, of, nil
		}
		request.Prompt = text + target
		of.length = len(request.Prompt)
		if t.target != nil {
			of.from = len(text)
		}
	}
	request.PromptLogProbs, request.MaxTokens = true, new(int64)
	return request, of, nil
}

// count adds up the tokens that count.
func (s *score) count(tokens []llm.PromptLogProb, of counted) error {
	at := 0
	for _, t := range tokens {
		begin := at
		at += len(t.Token)
		counts := begin >= of.from
		if of.message >= 0 {
			counts = t.Message != nil && *t.Message == of.message
		}
		if !counts || t.LogProb == nil {
			continue
		}
		s.tokens++
		s.likelihood += *t.LogProb
		s.bytes += len(t.Token)
	}
	switch {
	case of.message >= 0:
		s.bytes = min(s.bytes, len(of.target)) // without the token that ends it
	case at != of.length:
		s.tokens = 0
		return &llm.CallError{Message: fmt.Sprintf("the plugin of the model is faulty: it returned tokens for %d of the %d bytes of the text", at, of.length)}
	}
	return nil
}

// keep adds a chunk to the tables, and writes its rows.
func (e *run) keep(c subjects.Chunk, all [][]*score) error {
	rows := subjects.NewRows(e.Args.rowsSchema())
	defer rows.Release()
	ids, clusters := subjects.Texts(c.Rec, e.Args.ID.Key), subjects.Texts(c.Rec, e.Args.Cluster.Key)
	for i := range int(c.Rec.NumRows()) {
		id, hasID := subjects.Text(ids, i)
		cluster, hasCluster := subjects.Text(clusters, i)
		if e.Args.Cluster.IsSet() {
			e.clusters = append(e.clusters, cluster)
		}
		for s, name := range e.Args.names {
			one := all[s][i]
			e.tables[s].add(one)
			values := map[string]any{"row": c.First + int64(i), "subject": name}
			if hasID {
				values["id"] = id
			}
			if hasCluster {
				values["cluster"] = cluster
			}
			one.describe(values)
			if err := rows.Add(values); err != nil {
				return err
			}
		}
	}
	e.rows += c.Rec.NumRows()
	rec := rows.Batch()
	defer rec.Release()
	return e.Write(rowsOutput, rec)
}

func (s *score) describe(values map[string]any) {
	if s.request != "" {
		values["request"] = s.request
	}
	if s.err != nil {
		values["error"] = s.err.Error()
	}
	if r := s.response; r != nil {
		values["input_tokens"], values["latency"] = r.Usage.Input, r.Latency
		if r.Cost != nil {
			values["cost"] = *r.Cost
		}
	}
	if s.tokens == 0 {
		return
	}
	values["scored_tokens"], values["scored_bytes"], values["log_likelihood"] = int64(s.tokens), int64(s.bytes), s.likelihood
	values[metricPerplexity] = math.Exp(-s.likelihood / float64(s.tokens))
	if s.bytes > 0 {
		values[metricBits] = -s.likelihood / math.Ln2 / float64(s.bytes)
	}
}

func (t *table) add(s *score) {
	likelihood, cost, tokens, latency := math.NaN(), math.NaN(), math.NaN(), math.NaN()
	if s.tokens > 0 {
		likelihood = s.likelihood
	}
	if s.err != nil {
		if t.errors++; t.errors == 1 {
			t.failure = s.err.Error()
		}
	}
	if r := s.response; r != nil {
		tokens, latency = float64(r.Usage.Input+r.Usage.Output), r.Latency
		if r.Cost != nil {
			cost = *r.Cost
		}
	}
	t.likelihood, t.tokens, t.bytes = append(t.likelihood, likelihood), append(t.tokens, s.tokens), append(t.bytes, s.bytes)
	t.usage.cost, t.usage.tokens, t.usage.latency = append(t.usage.cost, cost), append(t.usage.tokens, tokens), append(t.usage.latency, latency)
}

// scored returns the rows with a score.
func (t *table) scored() []int {
	var rows []int
	for i, v := range t.likelihood {
		if !math.IsNaN(v) {
			rows = append(rows, i)
		}
	}
	return rows
}
