package evaluation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugin/output"
)

// measure computes all metrics for the chunk's answers.
func (c *chunk) measure(ctx context.Context) error {
	for _, draws := range c.answers {
		for _, rows := range draws {
			for _, a := range rows {
				a.values = make([]float64, len(c.Args.measures))
				a.explanations = make([]string, len(c.Args.measures))
				a.outside = make([]bool, len(c.Args.measures))
				a.null = make([]bool, len(c.Args.measures))
				a.ungraded = make([]string, len(c.Args.measures))
				a.failed = make([]string, len(c.Args.measures))
				for m := range a.values {
					a.values[m] = math.NaN()
				}
			}
		}
	}
	for m, what := range c.Args.measures {
		var err error
		switch {
		case what.judge != nil:
			err = c.judge(ctx, m, what.judge)
		case what.similar != nil:
			err = c.compare(ctx, m, what.similar)
		default:
			err = c.expression(ctx, m, what.expression)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f with the answers of each subject and draw.
func (c *chunk) each(f func(rows []*given) error) error {
	for _, draws := range c.answers {
		for _, rows := range draws {
			if err := f(rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// late evaluates a row expression over the rows and their answers. The caller
// releases the values.
func (c *chunk) late(ctx context.Context, l plugin.LateColumn, rows []*given) (arrow.Array, []plugin.RowError, error) {
	responses := make([]*llm.Response, len(rows))
	for i, a := range rows {
		responses[i] = a.Response
	}
	outputs := output.Array(responses)
	defer outputs.Release()
	return c.Host().Evaluate(ctx, l, c.rec, map[string]arrow.Array{"output": outputs})
}

// expression computes a metric that is a row expression.
func (c *chunk) expression(ctx context.Context, m int, l plugin.LateColumn) error {
	return c.each(func(rows []*given) error {
		values, failed, err := c.late(ctx, l, rows)
		if err != nil {
			return err
		}
		defer values.Release()
		at, err := numbersOf(values)
		if err != nil {
			return plugin.ArgumentErrorf(l.Key, "A metric must be a condition or a number\n%w", err)
		}
		if _, ok := values.(*array.Boolean); ok {
			c.found[m].condition = true
		}
		why := map[int]string{}
		for _, f := range failed {
			why[f.Row] = f.Message
		}
		for i, a := range rows {
			switch message, bad := why[i]; {
			case a.Response == nil:
			case bad:
				c.miss(a, m, message)
			case values.IsNull(i):
				a.null[m] = true
			case math.IsNaN(at(i)):
				c.miss(a, m, "it is not a finite number")
			default:
				a.values[m] = at(i)
				c.found[m].values++
			}
		}
		return nil
	})
}

// miss records why a value is missing although there is an answer.
func (c *chunk) miss(a *given, m int, why string) {
	a.failed[m] = why
	a.missing = append(a.missing, c.Args.measures[m].name+": "+why)
	if c.found[m].failure == "" {
		c.found[m].failure = why
	}
}

// ungrade records why a grade is missing.
func (c *chunk) ungrade(a *given, m int, why string) {
	c.miss(a, m, why)
	a.ungraded[m] = why
}

// numbersOf returns a reader for conditions or numbers.
func numbersOf(values arrow.Array) (func(int) float64, error) {
	switch v := values.(type) {
	case *array.Boolean:
		return func(i int) float64 { return number(v.Value(i)) }, nil
	case *array.Int64:
		return func(i int) float64 { return float64(v.Value(i)) }, nil
	case *array.Float64:
		return func(i int) float64 {
			if f := v.Value(i); !math.IsInf(f, 0) {
				return f
			}
			return math.NaN()
		}, nil
	}
	if values.NullN() == values.Len() {
		return func(int) float64 { return math.NaN() }, nil
	}
	return nil, fmt.Errorf("It is %s", values.DataType())
}

// texts returns the texts that a judge looks at: the text of each answer, or
// what a row expression extracts from it. A text is false if there is none.
func (c *chunk) texts(ctx context.Context, l plugin.LateColumn, m int, rows []*given) (func(int) (string, bool), func(), error) {
	if !l.IsSet() {
		return func(i int) (string, bool) { return rows[i].text(), rows[i].Response != nil }, func() {}, nil
	}
	values, failed, err := c.late(ctx, l, rows)
	if err != nil {
		return nil, nil, err
	}
	text, ok := values.(*array.String)
	if !ok && values.NullN() < values.Len() {
		defer values.Release()
		return nil, nil, plugin.ArgumentErrorf(l.Key, "The graded value must be a string\nThis is %s.", values.DataType())
	}
	for _, f := range failed {
		if rows[f.Row].Response != nil {
			c.miss(rows[f.Row], m, f.Message)
		}
	}
	return func(i int) (string, bool) { return subjects.Text(text, i) }, values.Release, nil
}

// judge grades all answers. An answer that failed, or that has nothing to
// grade, has the grade 0.
func (c *chunk) judge(ctx context.Context, m int, j *judge) error {
	material := j.material(c.rec)
	baseline := c.baseline(j)
	for s, draws := range c.answers {
		if s == baseline {
			continue
		}
		for d, rows := range draws {
			var others []*given
			if baseline >= 0 {
				others = c.answers[baseline][d]
			}
			if err := c.judgeDraw(ctx, m, j, material, rows, others); err != nil {
				return err
			}
		}
	}
	return nil
}

// judgeDraw grades the answers of one subject in one draw. A pairwise judge
// compares them with others.
func (c *chunk) judgeDraw(ctx context.Context, m int, j *judge, material material, rows, others []*given) error {
	texts, release, err := c.texts(ctx, j.Answer, m, rows)
	if err != nil {
		return err
	}
	defer release()
	verdicts, errs := make([]verdict, len(rows)), make([]error, len(rows))
	g, gctx := parallel.WithContext(ctx)
	for i, a := range rows {
		text, ok := texts(i)
		a.outside[m] = !material.suffices(i)
		if a.outside[m] || !ok { // without a text, the grade is 0
			c.pace.Step(1)
			continue
		}
		look := material.graded(i, a.Question, text)
		if others != nil {
			look.other = others[i].text()
		}
		c.calls.Go(gctx, g, func() error {
			defer c.pace.Step(1)
			verdicts[i], errs[i] = j.grade(gctx, a.Asked.Through(c.Host()), look)
			if errs[i] == nil {
				return nil
			}
			if !prompting.OfRow(errs[i]) {
				return errs[i]
			}
			return c.failed(c.first+int64(i), errs[i])
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, a := range rows {
		if !a.outside[m] {
			c.grade(a, m, verdicts[i], errs[i])
		}
	}
	return nil
}

// grade records the verdict on an answer, or why there is none.
func (c *chunk) grade(a *given, m int, v verdict, err error) {
	if err != nil {
		c.ungrade(a, m, err.Error())
		return
	}
	a.values[m], a.explanations[m] = v.grade, v.explanation
	if !math.IsNaN(v.grade) {
		c.found[m].values++
	}
}

// textsPerRequest is the number of texts that one request embeds.
const textsPerRequest = 64

// compare computes the similarity between answers and the expected texts.
func (c *chunk) compare(ctx context.Context, m int, what *similar) error {
	expected := subjects.Texts(c.rec, what.Expected.Key)
	return c.each(func(rows []*given) error {
		texts, release, err := c.texts(ctx, what.Answer, m, rows)
		if err != nil {
			return err
		}
		defer release()
		var at []int
		var all []string
		for i, a := range rows {
			right, known := subjects.Text(expected, i)
			if !known {
				rows[i].outside[m] = true // there is nothing to compare with
				continue
			}
			text, ok := texts(i)
			if !ok || text == "" {
				a.values[m] = 0
				continue
			}
			at, all = append(at, i), append(all, text, right)
		}
		vectors, refused, err := c.embed(ctx, what.Model, all)
		if err != nil {
			return err
		}
		for k, i := range at {
			a, b := vectors[2*k], vectors[2*k+1]
			if a == nil || b == nil {
				why := cmp.Or(refused[2*k], refused[2*k+1], errNoEmbedding)
				c.ungrade(rows[i], m, why.Error())
				if err := c.failed(c.first+int64(i), why); err != nil {
					return err
				}
				continue
			}
			rows[i].values[m] = llm.CosineSimilarity(a, b)
			c.found[m].values++
		}
		return nil
	})
}

var errNoEmbedding = errors.New("the model returned no embedding")

// embed returns the embeddings of texts. For a text that the model refused, the
// embedding is nil and an error is set.
func (c *chunk) embed(ctx context.Context, model plugin.Model, texts []string) ([][]float32, []error, error) {
	out, refused := make([][]float32, len(texts)), make([]error, len(texts))
	g, ctx := parallel.WithContext(ctx)
	for from := 0; from < len(texts); from += textsPerRequest {
		to := min(from+textsPerRequest, len(texts))
		c.calls.Go(ctx, g, func() error {
			made, err := c.Host().Embed(ctx, model, texts[from:to])
			if err != nil && !prompting.OfRow(err) {
				return err
			}
			copy(out[from:to], made)
			for i := from; err != nil && i < to; i++ {
				refused[i] = err
			}
			return nil
		})
	}
	return out, refused, g.Wait()
}

// settle determines the values of an answer that count: the value of a failure
// if there is no value, and whether the answer passes. An answer does not pass
// if one of its metrics failed or if a grade is missing. If a judge found
// nothing to grade, it is unknown whether the answer passes.
func (a *given) settle(measures []*measure) {
	decided, failed, unknown := false, false, false
	sum, weights := 0.0, 0.0
	for m, what := range measures {
		if a.null[m] && what.condition { // the metric does not apply to the row
			a.outside[m] = true
		}
		if a.outside[m] {
			continue
		}
		failure := a.fails(m)
		if math.IsNaN(a.values[m]) && what.judge == nil {
			a.values[m] = what.worth(failure)
		}
		v := a.values[m]
		switch {
		case a.ungraded[m] != "":
			decided, failed = true, failed || what.decides()
			weights += what.weight
		case !what.decides():
		case failure:
			decided, failed = true, true
		case math.IsNaN(v) && what.judge != nil:
			decided, unknown = true, true
		default:
			decided = true
			failed = failed || !what.passes(v)
		}
		if !math.IsNaN(v) && what.counts() {
			sum += what.weight * v
			weights += what.weight
		}
	}
	a.overall = sum / weights // NaN if nothing counts
	if passed := !failed; failed || decided && !unknown {
		a.passed = &passed
	}
}

// fails reports whether a metric has no value of its own because the answer or
// the metric failed.
func (a *given) fails(m int) bool { return !a.outside[m] && (a.Response == nil || a.failed[m] != "") }

// worth returns the value that an answer gets if it has none. NaN means that it
// is left out.
func (m *measure) worth(failure bool) float64 {
	switch {
	case failure && m.errorScore != nil:
		return *m.errorScore
	case m.condition:
		return 0
	}
	return math.NaN()
}
