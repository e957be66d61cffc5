package prompting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Pool holds the examples that a prompt draws from. Its methods may be called
// by any number of goroutines; what they need is read and embedded once.
type Pool struct {
	host *plugin.Host
	// model gives embeddings.
	model    plugin.Model
	examples []example

	mu sync.Mutex
	// vectors are the examples' embeddings, of length 1; nil: not asked for
	// yet.
	vectors [][]float32
}

type example struct{ user, assistant string }

// Keys of what a prompt brings along for the argument key that takes it.
func datasetKey(key string) string { return key + ".examples" }

// ByKey is the key of the row argument that tells which examples are near.
func ByKey(key string) string { return datasetKey(key) + ".by" }

// Dataset is the dataset that a prompt's examples are drawn from.
func Dataset(p plugin.Prompt) plugin.Dataset { return plugin.Dataset{Key: datasetKey(p.Key)} }

// NewPool reads the examples of a prompt. In is nil where it draws none.
func NewPool(ctx context.Context, host *plugin.Host, prompt plugin.Prompt, in *plugin.DatasetInput) (*Pool, error) {
	p := &Pool{host: host, model: plugin.Model{Key: datasetKey(prompt.Key) + ".model"}}
	if in == nil {
		return p, nil
	}
	for rec, err := range in.Batches(ctx, in.Key+".user", in.Key+".assistant") {
		if err != nil {
			return nil, fmt.Errorf("read the examples: %w", err)
		}
		user, ok := rec.Column(0).(*array.String)
		assistant, ok2 := rec.Column(1).(*array.String)
		if !ok || !ok2 {
			return nil, fmt.Errorf("the examples are %s and %s, and have to be strings", rec.Column(0).DataType(), rec.Column(1).DataType())
		}
		for i := range int(rec.NumRows()) {
			if user.IsValid(i) && assistant.IsValid(i) {
				p.examples = append(p.examples, example{user.Value(i), assistant.Value(i)})
			}
		}
	}
	return p, nil
}

// Fill puts examples before the last message of the user. By is what they are
// to be near to; empty: that message. An example that asks the very same is
// left out: it would give the answer away.
func (p *Pool) Fill(ctx context.Context, prompt *Prompt, by string) error {
	d := prompt.Drawing
	if d == nil || d.Count == 0 || len(p.examples) == 0 {
		return nil
	}
	at := lastUser(prompt.Request)
	if at < 0 {
		return errors.New("the prompt has no message of the user that examples could stand before")
	}
	question := prompt.Request.Messages[at].Content
	if by == "" {
		by = question
	}
	chosen, err := p.draw(ctx, d, question, by)
	if err != nil {
		return err
	}
	var shown []llm.Message
	for _, i := range chosen {
		e := p.examples[i]
		shown = append(shown, llm.Message{Role: llm.User, Content: e.user}, llm.Message{Role: llm.Assistant, Content: e.assistant})
	}
	prompt.Request.Messages = slices.Insert(prompt.Request.Messages, at, shown...)
	return nil
}

// draw returns the numbers of the examples in the order in which they are
// shown: the nearest last, next to the question.
func (p *Pool) draw(ctx context.Context, d *llm.Drawing, question, by string) ([]int, error) {
	order := d.Order(len(p.examples))
	if order == nil {
		var err error
		if order, err = p.nearest(ctx, by); err != nil {
			return nil, err
		}
	}
	var chosen []int
	for _, i := range order {
		if e := p.examples[i]; e.user == question || e.user == by {
			continue
		}
		if chosen = append(chosen, i); len(chosen) == d.Count {
			break
		}
	}
	if d.Select == llm.SelectNearest {
		slices.Reverse(chosen)
	}
	return chosen, nil
}

// nearest sorts the examples by their cosine similarity to a text.
func (p *Pool) nearest(ctx context.Context, text string) ([]int, error) {
	if err := p.embed(ctx); err != nil {
		return nil, err
	}
	asked, err := p.host.Embed(ctx, p.model, []string{text})
	if err != nil {
		return nil, err
	}
	return p.byCosine(normed(asked[0])), nil
}

// byCosine sorts the examples, whose embeddings are known, by their cosine with
// a vector of length 1.
func (p *Pool) byCosine(v []float32) []int {
	order, similarity := make([]int, len(p.vectors)), make([]float64, len(p.vectors))
	for i := range p.vectors {
		order[i], similarity[i] = i, dot(v, p.vectors[i])
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(similarity[b], similarity[a]) })
	return order
}

// At a time, this many texts are embedded by one request, and this many
// requests are made.
const (
	textsPerRequest = 64
	openRequests    = 16
)

// embed gets the examples' embeddings, once.
func (p *Pool) embed(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vectors != nil {
		return nil
	}
	vectors := make([][]float32, len(p.examples))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(openRequests)
	for from := 0; from < len(vectors); from += textsPerRequest {
		part := p.examples[from:min(from+textsPerRequest, len(vectors))]
		g.Go(func() error {
			texts := make([]string, len(part))
			for i, e := range part {
				texts[i] = e.user
			}
			made, err := p.host.Embed(ctx, p.model, texts)
			for i, v := range made {
				vectors[from+i] = normed(v)
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

// Similarity is the cosine of two embeddings.
func Similarity(a, b []float32) float64 { return dot(normed(a), normed(b)) }

func normed(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return v
	}
	scale := 1 / math.Sqrt(sum)
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) * scale)
	}
	return out
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range min(len(a), len(b)) {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
