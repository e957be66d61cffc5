package decontaminate

import (
	"context"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// read reads the items of all sets, and what the common text says about them.
func (a *args) read(ctx context.Context, b *plugin.Batch) (*index, error) {
	var items []item
	for _, s := range a.Against {
		var err error
		if items, err = s.read(ctx, b.Dataset(s.Dataset), items); err != nil {
			return nil, fmt.Errorf("read the items of %q: %w", s.Name, err)
		}
	}
	frequent := map[uint64]bool{}
	for _, c := range a.Common {
		if err := c.read(ctx, b.Dataset(c.Dataset), items, a.NGram, frequent); err != nil {
			return nil, fmt.Errorf("read the common text: %w", err)
		}
	}
	return newIndex(a.NGram, a.Most, items, frequent), nil
}

// read appends the items of a set.
func (s against) read(ctx context.Context, in *plugin.DatasetInput, items []item) ([]item, error) {
	keys := []string{s.Question.Key}
	answered, named := s.Answer.Key != "", s.ID.Key != ""
	if answered {
		keys = append(keys, s.Answer.Key)
	}
	if named {
		keys = append(keys, s.ID.Key)
	}
	row := 0
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(keys...)) {
		if err != nil {
			return nil, err
		}
		columns := make([]*array.String, len(keys))
		for k := range keys {
			columns[k] = rec.Column(k).(*array.String)
		}
		for i := range int(rec.NumRows()) {
			it := item{set: s.Name, id: strconv.Itoa(row), answered: answered}
			row++
			if columns[0].IsValid(i) {
				it.question.tokens = hashesOf(columns[0].Value(i))
			}
			if answered && columns[1].IsValid(i) {
				it.answer.tokens = hashesOf(columns[1].Value(i))
			}
			if id := columns[len(columns)-1]; named && id.IsValid(i) {
				it.id = id.Value(i)
			}
			items = append(items, it)
		}
	}
	return items, nil
}

func hashesOf(text string) []uint64 {
	tokens := tokenize(text)
	out := make([]uint64, len(tokens))
	for i, t := range tokens {
		out[i] = t.hash
	}
	return out
}

// read adds the n-grams of items that many rows of the common text contain. It
// keeps a count for each n-gram of the items, and none for other text.
func (c common) read(ctx context.Context, in *plugin.DatasetInput, items []item, n int, frequent map[uint64]bool) error {
	counts := map[uint64]int{}
	for i := range items {
		for _, tokens := range [][]uint64{items[i].question.tokens, items[i].answer.tokens} {
			for _, h := range gramsOf(tokens, n) {
				counts[h] = 0
			}
		}
	}
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(c.Text.Key)) {
		if err != nil {
			return err
		}
		texts := rec.Column(0).(*array.String)
		for i := range texts.Len() {
			if texts.IsNull(i) {
				continue
			}
			seen := map[uint64]bool{}
			for _, h := range grams(tokenize(texts.Value(i)), n) {
				if count, ok := counts[h]; ok && !seen[h] {
					seen[h] = true
					counts[h] = count + 1
				}
			}
		}
	}
	for h, count := range counts {
		if count >= c.Rows {
			frequent[h] = true
		}
	}
	return nil
}
