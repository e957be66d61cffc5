package subjects

import (
	"context"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Rows are processed in chunks, many at a time, and the results are used in
// order. A slow answer holds up later chunks only once the maximum number of
// answers is waiting for it.
const (
	// rowsPerChunk is used if models are asked. Otherwise plainRows is used:
	// then nothing waits, and a chunk costs more than its rows.
	rowsPerChunk = 256
	plainRows    = 2048
	// openAnswers limits the number of answers in memory. leastChunks and
	// mostChunks limit the number of chunks.
	openAnswers = 16384
	leastChunks = 8
	mostChunks  = 32
)

// Chunk contains consecutive rows. First is the position of the first one in
// the dataset.
type Chunk struct {
	Rec   arrow.RecordBatch
	First int64
}

// window returns the number of chunks that are open at the same time, and the
// number of rows in each.
func (p *Panel) window(asks bool) (chunks int, rows int64) {
	if !asks {
		return leastChunks, plainRows
	}
	held := rowsPerChunk * max(len(p.subjects), 1) * p.Repeats
	return min(max(openAnswers/held, leastChunks), mostChunks), rowsPerChunk
}

// Pass processes rows in chunks. It calls work for many chunks at the same
// time, and take with each result, one after the other in the order of the
// rows. asks says whether work waits for models. The rows of a chunk are
// released when take returns.
func Pass[T any](ctx context.Context, p *Panel, in *plugin.DatasetInput, asks bool, work func(context.Context, Chunk) (T, error), take func(Chunk, T) error) error {
	type open struct {
		Chunk
		made chan T
	}
	chunks, rows := p.window(asks)
	g, ctx := parallel.WithContext(ctx)
	slots, order := make(chan struct{}, chunks), make(chan *open, chunks)
	begin := func(c *open) error {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			c.Rec.Release()
			return context.Cause(ctx)
		}
		order <- c // has room for as many as there are slots
		g.Go(func() error {
			made, err := work(ctx, c.Chunk)
			if err == nil {
				c.made <- made
			}
			return err
		})
		return nil
	}
	g.Go(func() error {
		defer close(order)
		first := int64(0)
		for rec, err := range in.Batches(ctx) {
			if err != nil {
				return err
			}
			for from := int64(0); from < rec.NumRows(); from += rows {
				part := rec.NewSlice(from, min(from+rows, rec.NumRows()))
				if err := begin(&open{Chunk{part, first}, make(chan T, 1)}); err != nil {
					return err
				}
				first += part.NumRows()
			}
		}
		return nil
	})
	g.Go(func() error {
		for c := range order {
			select {
			case made := <-c.made:
				if err := take(c.Chunk, made); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			c.Rec.Release()
			<-slots
		}
		return nil
	})
	return g.Wait()
}

// Pace reports the number of finished rows. Each row takes several steps:
// answers that arrive one by one count as they arrive.
type Pace struct {
	perRow int64
	tell   func(rows int64)

	mu          sync.Mutex
	steps, told int64
}

// NewPace returns a Pace for rows that take perRow steps, at least 1.
func NewPace(perRow int, tell func(rows int64)) *Pace {
	return &Pace{perRow: int64(max(perRow, 1)), tell: tell}
}

// Step records finished steps.
func (p *Pace) Step(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps += n
	if rows := p.steps / p.perRow; rows > p.told {
		p.told = rows
		p.tell(rows)
	}
}
