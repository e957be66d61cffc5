package provider

import (
	"context"
	"iter"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Batching contains the argument of providers with a batch API.
type Batching struct {
	Batch bool `quern:"batch,operational" default:"false" doc:"Whether to collect the requests of a stage and submit them as batches, which take up to a day and cost half. Until a batch is done, its rows are pending, and a later apply continues. Answers are the same as without batches, and cached in the same way."`
}

// Declare sets what quern needs to know about a batched model.
func (b *Batching) Declare(info *plugin.ModelInfo, limits plugin.BatchLimits) {
	if b.Batch {
		info.Batch = &limits
	}
}

// Check reports arguments that do not go together with batches.
func (b *Batching) Check(report func(argument, format string, args ...any), l *Limits) {
	if b.Batch && !l.Cache {
		report("cache", "Batches need the cache\nThe answers of a batch arrive while nothing waits for them, so they have to be cached. Remove cache = false, or batch = true.")
	}
}

// Of returns the price of batches: half of a table's price. A price of the
// configuration is not in a table, and means what it says.
func (b *Batching) Of(table *llm.Price) *llm.Price {
	if !b.Batch || table == nil {
		return table
	}
	half := func(p *float64) *float64 {
		if p == nil {
			return nil
		}
		h := *p / 2
		return &h
	}
	return &llm.Price{Input: half(table.Input), Output: half(table.Output), CachedInput: half(table.CachedInput), Source: strings.TrimSpace(table.Source + ", at half price for batches")}
}

// Answers reads the answers of a batch, one from each line of what the calls
// return. A call that cannot be opened, and a line that cannot be read, end it.
func Answers(ctx context.Context, open []func() (*Call, error), read func(*Call, []byte) (plugin.BatchAnswer, error)) iter.Seq2[plugin.BatchAnswer, error] {
	return func(yield func(plugin.BatchAnswer, error) bool) {
		for _, open := range open {
			call, err := open()
			if err != nil {
				yield(plugin.BatchAnswer{}, err)
				return
			}
			for line, err := range call.Lines(ctx) {
				var answer plugin.BatchAnswer
				if err == nil {
					answer, err = read(call, line)
				}
				if !yield(answer, err) || err != nil {
					return
				}
			}
		}
	}
}
