package linear

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// CheckSample reports texts that are all empty and, if the sample is the whole
// dataset, what Run would refuse.
func (trainer) CheckSample(ctx context.Context, c *plugin.SampleCheck[args]) error {
	s := c.Sample(c.Args.Dataset)
	if s == nil || s.Rows.NumRows() == 0 {
		return nil // Run explains that a dataset is empty
	}
	text, ok := data.Arguments.Find(s.Rows, "text").(*array.String)
	target, ok2 := data.Arguments.Find(s.Rows, "target").(*array.String)
	if !ok || !ok2 {
		return nil // Run says so
	}
	if allEmpty(text) {
		c.Warnf("text", "All texts are empty\nA classifier learns nothing from empty texts. Check the expression, and the rows that it reads.")
	}
	if !s.Complete || slices.ContainsFunc(settings, func(name string) bool { return !c.Known(name) }) {
		return nil
	}
	o := c.Args.options()
	found, err := look(ctx, sampled(text, target), o)
	if err != nil {
		return err
	}
	if err := found.check(o); err != nil {
		return err
	}
	if id := likeID(found.singles, found.rows, len(found.classes), ""); id != "" {
		c.Warnf("target", onlyOnce, id)
	}
	return nil
}

// onlyOnce is the warning about a target that looks like an ID.
const onlyOnce = "Most labels occur only once\n%s A model cannot learn a class from a single row."

func allEmpty(texts *array.String) bool {
	for i := range texts.Len() {
		if texts.IsValid(i) && strings.TrimSpace(texts.Value(i)) != "" {
			return false
		}
	}
	return true
}

// sampled yields the rows of a sample that have a label, in their order.
func sampled(text, target *array.String) Rows {
	schema := arrow.NewSchema([]arrow.Field{{Name: "text", Type: text.DataType()}, {Name: "target", Type: target.DataType()}}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{text, target}, int64(text.Len()))
	return func(context.Context, *rand.PCG) iter.Seq2[Example, error] {
		return func(yield func(Example, error) bool) {
			if err := sendExamples(rec, yield); err != nil && !errors.Is(err, errStopped) {
				yield(Example{}, err)
			}
		}
	}
}
