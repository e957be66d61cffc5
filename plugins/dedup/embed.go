package dedup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	// textsPerRequest is the number of texts that a model embeds in one request, and
	// openRequests the number of requests of a shard that may wait for it.
	textsPerRequest = 96
	openRequests    = 32
	// embeddedRows is the number of rows whose embeddings are in memory.
	embeddedRows = textsPerRequest * openRequests
)

// sample is the text whose embedding identifies a model.
const sample = "The quick brown fox jumps over the lazy dog."

// identifyModel makes the files of shards those of the model. They are kept for the next
// run of the same stage, whose model may be another one.
func (s *scan) identifyModel(ctx context.Context) error {
	if !s.run.Args.Model.IsSet() || s.in.Rows == 0 {
		return nil
	}
	s.kind = ""
	made, err := s.run.Host().Embed(ctx, s.run.Args.Model, []string{sample})
	var refused *llm.CallError
	switch {
	case errors.As(err, &refused):
		if refused.Pending {
			s.waiting.Store(refused)
		}
		return nil
	case err != nil:
		return err
	}
	var vector []byte
	for _, x := range made[0] {
		vector = binary.LittleEndian.AppendUint32(vector, math.Float32bits(x))
	}
	s.kind = fmt.Sprintf("values-%016x", xxh3.Hash(vector))
	return nil
}

// embed returns the embeddings of texts as a list for each row. It is null for texts
// that are empty, or that the last run knew.
func (r *reader) embed(ctx context.Context, texts *array.String) (*array.List, error) {
	rows := map[string][]int{} // of each text, from the shard's first one
	var asked []string
	for i := range texts.Len() {
		if text := texts.Value(i); texts.IsValid(i) && text != "" {
			if _, known := r.places[digestOf(xxh3.HashString128(text))]; known {
				continue
			}
			if rows[text] == nil {
				asked = append(asked, text)
			}
			rows[text] = append(rows[text], r.row+i)
		}
	}
	vectors := make([][]float32, len(asked))
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(openRequests)
	for from := 0; from < len(asked); from += textsPerRequest {
		part := asked[from:min(from+textsPerRequest, len(asked))]
		g.Go(func() error {
			made, err := prompting.Embed(ctx, r.run.Host(), r.run.Args.Model, part, func(i int, refused *llm.CallError) error {
				return r.fail(rows[part[i]], refused)
			})
			copy(vectors[from:], made)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	made := make(map[string][]float32, len(asked))
	for k, text := range asked {
		made[text] = vectors[k]
	}
	return listOf(texts, made), nil
}

// fail returns the error of a text that has no embedding, unless the model only has
// not answered yet.
func (r *reader) fail(rows []int, refused *llm.CallError) error {
	if refused.Pending { // other requests can be in the same batch
		r.waiting.Store(refused)
		return nil
	}
	return plugin.ArgumentErrorf("text", "The text of row %d cannot be embedded\n%w\nTo continue without such texts, compute their embeddings with transform \"embed\", which can have failed rows, and compare them with embedding.", r.first+int64(rows[0]), refused)
}

func listOf(texts *array.String, made map[string][]float32) *array.List {
	b := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Float64)
	defer b.Release()
	components := b.ValueBuilder().(*array.Float64Builder)
	for i := range texts.Len() {
		vector := made[texts.Value(i)]
		b.Append(vector != nil && texts.IsValid(i))
		if texts.IsNull(i) {
			continue
		}
		for _, x := range vector {
			components.Append(float64(x))
		}
	}
	return b.NewListArray()
}
