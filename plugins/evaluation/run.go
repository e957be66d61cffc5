package evaluation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// run is an evaluation in progress.
type run struct {
	*plugin.Run[args]
	in    *plugin.DatasetInput
	panel *subjects.Panel
	rows  int64 // finished rows
	total int64
	// calls tracks calls of judges that are in flight.
	calls subjects.Calls
	pace  *subjects.Pace
	// tables contains the values of each subject.
	tables   []*table
	clusters []string // by row; set if the argument is
}

// table contains the values of one subject, in the order of rows and, within a
// row, of draws. NaN means missing.
type table struct {
	metrics         [][]float64 // by measure
	passed, overall []float64
	cost, latency   []float64
	tokens          []float64
	errors          int64
	failure         string // the first failure
	// ungraded says, by measure, which answers lack a grade, and anyUngraded
	// says which lack a grade of any measure.
	ungraded    [][]bool
	anyUngraded []bool
	missing     []lost // missing grades, by measure
	// metricErrors counts, by measure, the answers without a value of their
	// own, and anyErrors those that lack one of any measure. broken counts the
	// answers for which the metric itself failed.
	metricErrors []int64
	anyErrors    int64
	broken       []lost
	// cutOff counts the answers that end at the token limit, and refused those
	// that the model or a filter declined.
	cutOff, refused int64
}

// lost counts values that are missing because of a failure.
type lost struct {
	n     int64
	first string // why the first one is missing
}

func (l *lost) add(why string) {
	if l.n++; l.n == 1 {
		l.first = why
	}
}

func newRun(ctx context.Context, r *plugin.Run[args]) (*run, error) {
	panel, err := subjects.NewPanel(ctx, r, r.Args.subjects)
	if err != nil {
		return nil, err
	}
	panel.Repeats = r.Args.Repeats
	e := &run{Run: r, in: r.Dataset(r.Args.Dataset), panel: panel, calls: subjects.NewCalls()}
	e.total = e.in.Rows
	e.pace = subjects.NewPace(e.steps(), func(rows int64) { e.Progress(rows, e.total, "rows", "") })
	panel.Answered = func() { e.pace.Step(1) }
	panel.Failed = e.failed
	for range r.Args.subjects {
		n := len(r.Args.measures)
		e.tables = append(e.tables, &table{
			metrics: make([][]float64, n), ungraded: make([][]bool, n), missing: make([]lost, n),
			metricErrors: make([]int64, n), broken: make([]lost, n),
		})
	}
	return e, nil
}

// prepareJudges prepares what judges need before grading starts.
func (e *run) prepareJudges(ctx context.Context) error {
	for i := range e.Args.Judges {
		j := &e.Args.Judges[i]
		err := j.makeSteps(ctx, e.Host())
		if llm.IsPending(err) {
			j.waits = err
			continue
		}
		if err != nil {
			return plugin.ArgumentErrorf("judge."+j.Name, "The judge derived no steps from its rubric\n%w", err)
		}
	}
	return nil
}

// failed reports a missing answer or grade. A column without a value for the
// row is not a failure.
func (e *run) failed(row int64, err error) error {
	return e.FailRow(row, prompting.MayPass(err), err)
}

// steps returns how many model answers and judge grades a row takes.
func (e *run) steps() int {
	n := e.panel.Asks()
	for i := range e.Args.Judges {
		graded := len(e.Args.subjects)
		if e.baseline(&e.Args.Judges[i]) >= 0 {
			graded--
		}
		n += graded * e.Args.Repeats
	}
	return n
}

// baseline returns the position of the subject that a judge compares the others
// with, or -1 if there is none.
func (e *run) baseline(j *judge) int {
	return slices.IndexFunc(e.Args.subjects, func(s subjects.Subject) bool { return j.Baseline != "" && s.Name == j.Baseline })
}

// answerAll gets and measures all answers.
func (e *run) answerAll(ctx context.Context) error {
	if e.total == 0 {
		return plugin.ArgumentErrorf("dataset", "The dataset has no rows to evaluate")
	}
	asks := e.steps() > 0 || len(e.Args.Similar) > 0
	return subjects.Pass(ctx, e.panel, e.in, asks, e.answer, func(_ subjects.Chunk, c *chunk) error {
		if err := c.keep(); err != nil {
			return err
		}
		if e.steps() == 0 {
			e.pace.Step(int64(c.n))
		}
		return nil
	})
}

// given is the answer of a subject to a row, with its measurements.
type given struct {
	*subjects.Answer

	values       []float64 // by measure; NaN: missing
	outside      []bool    // by measure: the metric does not apply to the row
	null         []bool    // by measure: the expression is null
	ungraded     []string  // by measure: why there is no grade
	failed       []string  // by measure: why there is no value although there is an answer
	missing      []string  // why values that should exist are missing
	explanations []string
	passed       *bool
	overall      float64
}

func (a *given) text() string {
	if a.Response == nil {
		return ""
	}
	return a.Response.Text
}

// chunk contains some rows with the answers of all subjects:
// answers[s][draw][row].
type chunk struct {
	*run
	rec     arrow.RecordBatch
	first   int64 // position of its first row in the dataset
	n       int
	answers [][][]*given
	found   []found // by measure
}

// found is what a chunk finds out about a measure.
type found struct {
	condition bool
	failure   string // the first failure
	values    int
}

// answer gets and measures the answers to some rows. Several chunks are
// processed at the same time.
func (e *run) answer(ctx context.Context, rows subjects.Chunk) (*chunk, error) {
	c := &chunk{run: e, rec: rows.Rec, first: rows.First, n: int(rows.Rec.NumRows()), found: make([]found, len(e.Args.measures))}
	all, err := e.panel.Answers(ctx, rows)
	if err != nil {
		return nil, err
	}
	for _, draws := range all {
		of := make([][]*given, len(draws))
		for d, rows := range draws {
			of[d] = make([]*given, len(rows))
			for i, a := range rows {
				of[d][i] = &given{Answer: a}
			}
		}
		c.answers = append(c.answers, of)
	}
	return c, c.measure(ctx)
}

// keep adds a chunk to the results. Chunks are added in the order of their
// rows.
func (c *chunk) keep() error {
	for m, what := range c.Args.measures {
		f := c.found[m]
		what.condition = what.condition || f.condition
		what.values += f.values
		if what.failure == "" {
			what.failure = f.failure
		}
	}
	for _, draws := range c.answers {
		for _, rows := range draws {
			for _, a := range rows {
				a.settle(c.Args.measures)
			}
		}
	}
	c.fill()
	c.rows += int64(c.n)
	return c.write()
}

// fill adds the values to the tables.
func (c *chunk) fill() {
	if c.Args.Cluster.IsSet() {
		names := subjects.Texts(c.rec, c.Args.Cluster.Key)
		for i := range c.n {
			name, ok := subjects.Text(names, i)
			if !ok {
				// A row without a cluster is its own cluster.
				name = fmt.Sprintf("\x00%d", c.first+int64(i))
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
	ungraded, fails := false, false
	for m, v := range a.values {
		t.metrics[m] = append(t.metrics[m], v)
		if a.fails(m) {
			fails = true
			t.metricErrors[m]++
		}
		why := a.ungraded[m]
		t.ungraded[m] = append(t.ungraded[m], why != "")
		switch {
		case why != "":
			ungraded = true
			t.missing[m].add(why)
		case a.failed[m] != "":
			t.broken[m].add(a.failed[m])
		}
	}
	t.anyUngraded = append(t.anyUngraded, ungraded)
	if fails {
		t.anyErrors++
	}
	passed := math.NaN()
	if a.passed != nil {
		passed = number(*a.passed)
	}
	t.passed, t.overall = append(t.passed, passed), append(t.overall, a.overall)
	cost, latency, tokens := math.NaN(), math.NaN(), math.NaN()
	if r := a.Response; r != nil && !a.Free {
		tokens = float64(r.Usage.Input + r.Usage.Output)
		if r.Latency > 0 { // an answer of a batch has none
			latency = r.Latency
		}
		if r.Cost != nil {
			cost = *r.Cost
		}
	}
	t.cost, t.latency, t.tokens = append(t.cost, cost), append(t.latency, latency), append(t.tokens, tokens)
	if r := a.Response; r != nil && a.Err == nil && !a.Free {
		if r.FinishReason == llm.FinishLength {
			t.cutOff++
		}
		if r.Refused() {
			t.refused++
		}
	}
	if a.Err != nil {
		if t.errors++; t.errors == 1 {
			t.failure = a.Err.Error()
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// check refuses an evaluation without information: a subject that never
// answered, or a metric that never had a value.
func (e *run) check() error {
	for i, t := range e.tables {
		s := e.Args.subjects[i]
		if t.errors == e.rows*int64(e.Args.Repeats) {
			return plugin.ArgumentErrorf("subjects."+s.Name, "The subject %q answered none of the rows\n%s", s.Name, t.failure)
		}
	}
	for _, m := range e.Args.measures {
		if m.values == 0 && m.failure != "" {
			return plugin.ArgumentErrorf(m.key, "The metric %q has no value for any answer\n%s", m.name, m.failure)
		}
	}
	return nil
}

// notes warns about everything that readers of the figures should know: answers
// that failed or were cut off, missing grades, and metrics without values.
func (e *run) notes() (notes []string, err error) {
	warn := func(argument, note, detail string) {
		notes = append(notes, note)
		err = errors.Join(err, e.Warnf(argument, "%s\n%s", note, detail))
	}
	for i, t := range e.tables {
		s := e.Args.subjects[i]
		answers := int64(len(t.passed))
		if t.errors > 0 {
			warn(s.Key, figures.Missing(t.errors, answers, "answer", "answers", fmt.Sprintf("of subject %q failed", s.Name)),
				"They count as wrong. The first: "+t.failure)
		}
		if t.cutOff > 0 {
			warn(s.Key, figures.Missing(t.cutOff, answers, "answer", "answers", fmt.Sprintf("of subject %q were cut off", s.Name)),
				"They ended at the token limit, and count as they are. Raise max_tokens if they should be whole.")
		}
		for m, what := range e.Args.measures {
			if lost := t.missing[m]; lost.n > 0 {
				graded := lost.n
				for k, v := range t.metrics[m] {
					if !math.IsNaN(v) && !t.ungraded[m][k] {
						graded++
					}
				}
				warn(what.key, figures.Missing(lost.n, graded, "grade", "grades", fmt.Sprintf("of %q are missing for subject %q", what.name, s.Name)),
					"Those answers have not passed, and their grade counts as 0. The first: "+lost.first)
			}
			if note, detail := t.lacks(m, what, s.Name); note != "" {
				warn(what.expression.Key, note, detail)
			}
		}
	}
	for _, m := range e.Args.measures {
		if m.values == 0 {
			warn(m.key, fmt.Sprintf("The metric %q is null for all answers", m.name), "Its figures are null, and a gate on them does not pass.")
		}
	}
	return notes, err
}

// lacks says that answers have no value of a metric that is a row expression,
// and how they count. Failed answers make all conditions false; notes says so
// once for all of them.
func (t *table) lacks(m int, what *measure, subject string) (note, detail string) {
	n := t.broken[m].n
	if !what.condition {
		n = t.metricErrors[m] // includes failed answers
	}
	if n == 0 || what.graded() {
		return "", ""
	}
	first := t.broken[m].first
	if t.broken[m].n == 0 {
		first = t.failure
	}
	counts := "They are left out of its mean and of differences. Set error_score in a metric block to say what a failure is worth."
	if worth := what.worth(true); !math.IsNaN(worth) {
		counts = fmt.Sprintf("They count as %g.", worth)
	}
	return figures.Missing(n, int64(len(t.passed)), "value", "values", fmt.Sprintf("of %q are missing for subject %q", what.name, subject)),
		counts + " The first: " + first
}
