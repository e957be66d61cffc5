package evaluation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// run is an evaluation at work.
type run struct {
	*plugin.Run[args]
	in *plugin.DatasetInput
	// drawn are the examples of the subjects' prompts.
	drawn []*prompting.Pool
	// raw are the columns that the metrics read, as against arguments.
	raw []string

	rows  int64 // that are done
	total int64
	// tables are the values of each subject.
	tables   []*table
	clusters []string // by row; where the argument is given
}

// table holds the values of one subject, in the order of rows and, within a
// row, of draws. NaN is missing.
type table struct {
	metrics         [][]float64 // by measure
	passed, overall []float64
	cost, latency   []float64
	tokens          []float64
	errors          int64
	failure         string // the first
}

func newRun(r *plugin.Run[args]) *run {
	e := &run{Run: r, in: r.Dataset(r.Args.Dataset), drawn: make([]*prompting.Pool, len(r.Args.subjects))}
	e.total = e.in.Rows
	features := map[string]bool{}
	for _, s := range r.Args.subjects {
		e.tables = append(e.tables, &table{metrics: make([][]float64, len(r.Args.measures))})
		for _, input := range s.inputs {
			features[s.Model.Key+"."+input] = true
		}
	}
	for _, c := range e.in.Schema {
		if typ, _ := r.RowArgument(c.Name); (typ == "" || c.Name == "id" || c.Name == "cluster") && !features[c.Name] && !strings.HasPrefix(c.Name, "subjects.") {
			e.raw = append(e.raw, c.Name)
		}
	}
	return e
}

// steps gets what judges need before all grading.
func (e *run) steps(ctx context.Context) error {
	for i := range e.Args.Judges {
		j := &e.Args.Judges[i]
		if err := j.makeSteps(ctx, e.Host()); err != nil {
			return plugin.ArgumentErrorf("judge."+j.Name, "The judge made no steps of its rubric\n%w", err)
		}
	}
	return nil
}

// rowsAtOnce is how many rows are worked on at the same time, and openCalls how
// many calls for them: what bounds them is the models' own limits.
const (
	rowsAtOnce = 2048
	openCalls  = 1024
)

// answerAll gets and measures all answers.
func (e *run) answerAll(ctx context.Context) error {
	if e.total == 0 {
		return plugin.ArgumentErrorf("dataset", "There are no rows to evaluate on")
	}
	for rec, err := range e.in.Batches(ctx) {
		if err != nil {
			return err
		}
		for from := int64(0); from < rec.NumRows(); from += rowsAtOnce {
			part := rec.NewSlice(from, min(from+rowsAtOnce, rec.NumRows()))
			err := e.chunk(ctx, part)
			part.Release()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// given is an answer of a subject to a row.
type given struct {
	request  []byte
	question string
	// response is nil where err says why there is none.
	response *llm.Response
	err      error
	// free is set for what costs nothing since no model was called.
	free bool

	values       []float64 // by measure; NaN: missing
	outside      []bool    // by measure: it is not about the row
	missing      []string  // why, of those that should be there
	explanations []string
	passed       *bool
	overall      float64
}

func (a *given) text() string {
	if a.response == nil {
		return ""
	}
	return a.response.Text
}

// chunk is some rows with the answers of all subjects: answers[s][draw][row].
type chunk struct {
	*run
	rec     arrow.RecordBatch
	n       int
	answers [][][]*given
}

func (e *run) chunk(ctx context.Context, rec arrow.RecordBatch) error {
	c := &chunk{run: e, rec: rec, n: int(rec.NumRows())}
	for range e.Args.subjects {
		draws := make([][]*given, e.Args.Repeats)
		for d := range draws {
			draws[d] = make([]*given, c.n)
		}
		c.answers = append(c.answers, draws)
	}
	if err := c.ask(ctx); err != nil {
		return err
	}
	if err := c.measure(ctx); err != nil {
		return err
	}
	c.keep()
	if err := c.write(); err != nil {
		return err
	}
	e.rows += int64(c.n)
	e.Progress(e.rows, e.total, "rows", "")
	return nil
}

// ask gets the answers of all subjects.
func (c *chunk) ask(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(openCalls)
	for i := range c.Args.subjects {
		s := &c.Args.subjects[i]
		var err error
		switch {
		case s.asked():
			c.chat(ctx, g, i, s)
		case s.Model.Given():
			err = c.predict(ctx, i, s)
		default:
			err = c.column(i, s)
		}
		if err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	return g.Wait()
}

// strings is a column of the rows; nil: there is none.
func (c *chunk) strings(key string) *array.String {
	at := c.rec.Schema().FieldIndices(key)
	if key == "" || len(at) == 0 {
		return nil
	}
	a, _ := c.rec.Column(at[0]).(*array.String)
	return a
}

func stringAt(a *array.String, i int) (string, bool) {
	if a == nil || a.IsNull(i) {
		return "", false
	}
	return a.Value(i), true
}

// chat asks a model by a prompt, for each row and draw.
func (c *chunk) chat(ctx context.Context, g *errgroup.Group, at int, s *subject) {
	prompts, by := c.strings(s.Prompt.Key), c.strings(prompting.ByKey(s.Prompt.Key))
	host := c.Host()
	for i := range c.n {
		text, ok := stringAt(prompts, i)
		near, _ := stringAt(by, i)
		answers := make([]*given, c.Args.Repeats)
		for d := range answers {
			answers[d] = &given{}
			c.answers[at][d][i] = answers[d]
		}
		g.Go(func() error {
			request, err := c.request(ctx, at, text, ok, near)
			if err != nil {
				for _, a := range answers {
					a.err = err
				}
				return hostError(err)
			}
			encoded, err := request.Encode()
			if err != nil {
				return err
			}
			for d, a := range answers {
				a.request, a.question = encoded, lastUser(request)
				a.response, a.err = host.Chat(ctx, s.Model, request, d)
				if a.err != nil && !prompting.OfRow(a.err) {
					return a.err
				}
			}
			return nil
		})
	}
}

// badPrompt is the error of a prompt that can't be asked for a row.
type badPrompt struct{ error }

// hostError passes on errors of the run.
func hostError(err error) error {
	var bad *badPrompt
	if errors.As(err, &bad) || prompting.OfRow(err) {
		return nil
	}
	return err
}

func (c *chunk) request(ctx context.Context, at int, text string, ok bool, by string) (*llm.Request, error) {
	if !ok {
		return nil, &badPrompt{errors.New("the prompt has no value for this row")}
	}
	p, err := prompting.Read(text)
	if err != nil {
		return nil, &badPrompt{err}
	}
	return p.Request, c.drawn[at].Fill(ctx, p, by)
}

func lastUser(r *llm.Request) string {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == llm.User {
			return r.Messages[i].Content
		}
	}
	return ""
}

// answered sets a row's answer that is not drawn, and so the same each time.
func (c *chunk) answered(at, i int, text string, ok bool, err error) {
	if !ok && err == nil {
		err = errors.New("there is no answer")
	}
	for d := range c.answers[at] {
		a := &given{err: err, free: true}
		if err == nil {
			a.response = &llm.Response{Text: text}
		}
		c.answers[at][d][i] = a
	}
}

func (c *chunk) column(at int, s *subject) error {
	values := c.strings(s.Key)
	if values == nil {
		return fmt.Errorf("subject %q is no column of strings", s.name)
	}
	for i := range c.n {
		text, ok := stringAt(values, i)
		c.answered(at, i, text, ok, nil)
	}
	return nil
}

// predict applies a trained model.
func (c *chunk) predict(ctx context.Context, at int, s *subject) error {
	model := c.Model(s.Model)
	columns := make([]arrow.Array, len(s.inputs))
	for i, input := range s.inputs {
		found := c.rec.Schema().FieldIndices(s.Model.Key + "." + input)
		if len(found) == 0 {
			return fmt.Errorf("the rows have no column for the input %q of subject %q", input, s.name)
		}
		columns[i] = c.rec.Column(found[0])
	}
	in := array.NewRecordBatch(model.Signature.Inputs.Arrow(), columns, c.rec.NumRows())
	defer in.Release()
	out, failed, err := model.Predict(ctx, in)
	if err != nil {
		return err
	}
	defer out.Release()
	_, place, _ := model.Signature.Outputs.Lookup(s.label)
	labels, ok := out.Column(place).(*array.String)
	if !ok {
		return fmt.Errorf("subject %q predicts %s, and has to predict strings", s.name, out.Column(place).DataType())
	}
	errs := map[int]error{}
	for _, f := range failed {
		errs[f.Row] = errors.New(f.Message)
	}
	for i := range c.n {
		text, ok := stringAt(labels, i)
		c.answered(at, i, strings.Clone(text), ok, errs[i])
	}
	return nil
}

// keep adds the values to the tables.
func (c *chunk) keep() {
	if c.Args.Cluster.Given() {
		names := c.strings(c.Args.Cluster.Key)
		for i := range c.n {
			name, ok := stringAt(names, i)
			if !ok {
				// A row without a cluster is one of its own.
				name = fmt.Sprintf("\x00%d", c.rows+int64(i))
			}
			c.clusters = append(c.clusters, strings.Clone(name))
		}
	}
	for s, t := range c.tables {
		for i := range c.n {
			for d := range c.Args.Repeats {
				t.add(c.answers[s][d][i])
			}
		}
	}
}

func (t *table) add(a *given) {
	for m, v := range a.values {
		t.metrics[m] = append(t.metrics[m], v)
	}
	passed := math.NaN()
	if a.passed != nil {
		passed = number(*a.passed)
	}
	t.passed, t.overall = append(t.passed, passed), append(t.overall, a.overall)
	cost, latency, tokens := math.NaN(), math.NaN(), math.NaN()
	if r := a.response; r != nil && !a.free {
		latency, tokens = r.Latency, float64(r.Usage.Input+r.Usage.Output)
		if r.Cost != nil {
			cost = *r.Cost
		}
	}
	t.cost, t.latency, t.tokens = append(t.cost, cost), append(t.latency, latency), append(t.tokens, tokens)
	if a.err != nil {
		if t.errors++; t.errors == 1 {
			t.failure = a.err.Error()
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// check refuses an evaluation that says nothing: a subject that never answered,
// or a metric that never had a value.
func (e *run) check() error {
	for i, t := range e.tables {
		s := e.Args.subjects[i]
		if t.errors == e.rows*int64(e.Args.Repeats) {
			return plugin.ArgumentErrorf("subjects."+s.name, "The subject %q answered no row\n%s", s.name, t.failure)
		}
	}
	for _, m := range e.Args.measures {
		if m.values == 0 {
			why := m.failure
			if why == "" {
				why = "It is null for all answers."
			}
			return plugin.ArgumentErrorf(m.key, "The metric %q has no value for any answer\n%s", m.name, why)
		}
	}
	return nil
}
