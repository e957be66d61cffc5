package prompting

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Pool contains the examples that a prompt draws from. Its methods can be
// called concurrently. The examples are read and embedded only once.
type Pool struct {
	host *plugin.Host
	// model computes embeddings.
	model    plugin.Model
	examples []llm.Example

	mu sync.Mutex
	// vectors contains the examples' embeddings, normalized to length 1. It is
	// nil until they are needed.
	vectors [][]float32
}

// datasetKey returns the key of the dataset of examples for a prompt argument.
func datasetKey(key string) string { return key + ".examples" }

// ByKey returns the key of the row argument by which the nearest examples are
// found.
func ByKey(key string) string { return datasetKey(key) + ".by" }

// Dataset returns the dataset that a prompt's examples are drawn from.
func Dataset(p plugin.Prompt) plugin.Dataset { return plugin.Dataset{Key: datasetKey(p.Key)} }

// NewPool reads the examples of a prompt. in is nil if the prompt draws none.
func NewPool(ctx context.Context, host *plugin.Host, prompt plugin.Prompt, in *plugin.DatasetInput) (*Pool, error) {
	p := &Pool{host: host, model: plugin.Model{Key: datasetKey(prompt.Key) + ".model"}}
	if in == nil {
		return p, nil
	}
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(in.Key+".user", in.Key+".assistant")) {
		if err != nil {
			return nil, fmt.Errorf("read the examples: %w", err)
		}
		user, ok := rec.Column(0).(*array.String)
		assistant, ok2 := rec.Column(1).(*array.String)
		if !ok || !ok2 {
			return nil, fmt.Errorf("the examples have the types %s and %s, but must be strings", rec.Column(0).DataType(), rec.Column(1).DataType())
		}
		for i := range int(rec.NumRows()) {
			if user.IsValid(i) && assistant.IsValid(i) {
				p.examples = append(p.examples, llm.Example{User: user.Value(i), Assistant: assistant.Value(i)})
			}
		}
	}
	return p, nil
}

// Fill inserts the prompt's examples into its request. by is the text whose
// nearest examples are used. If it is empty, the question is used.
func (p *Pool) Fill(ctx context.Context, prompt *llm.Prompt, by string) error {
	return prompt.InsertExamples(p.examples, by, func(text string) ([]int, error) { return p.nearest(ctx, text) })
}

// nearest returns the examples sorted by the cosine similarity to a text.
func (p *Pool) nearest(ctx context.Context, text string) ([]int, error) {
	if err := p.embed(ctx); err != nil {
		return nil, err
	}
	asked, err := p.host.Embed(ctx, p.model, []string{text})
	if err != nil {
		return nil, err
	}
	return llm.RankBySimilarity(p.vectors, llm.Normalize(asked[0])), nil
}

// The number of texts per request for embeddings, and the number of concurrent
// requests.
const (
	textsPerRequest = 64
	openRequests    = 16
)

// embed computes the examples' embeddings once.
func (p *Pool) embed(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vectors != nil {
		return nil
	}
	vectors := make([][]float32, len(p.examples))
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(openRequests)
	for from := 0; from < len(vectors); from += textsPerRequest {
		part := p.examples[from:min(from+textsPerRequest, len(vectors))]
		g.Go(func() error {
			texts := make([]string, len(part))
			for i, e := range part {
				texts[i] = e.User
			}
			made, err := p.host.Embed(ctx, p.model, texts)
			for i, v := range made {
				vectors[from+i] = llm.Normalize(v)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("embed the examples: %w", err)
	}
	p.vectors = vectors
	return nil
}
