package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type mappable interface {
	Type
	serveMap(context.Context, *pluginv1.Instance, mapStream) error
}

type mapStream interface {
	Recv() (*pluginv1.MapRequest, error)
	Send(*pluginv1.MapResponse) error
}

type mapper[A any] struct {
	core[A]
	impl MapperImpl[A]
}

// mapping is a mapper at work on one stream.
type mapping[A any] struct {
	impl   MapperImpl[A]
	args   *A
	name   string
	schema data.Schema
	arrow  *arrow.Schema
}

// serveMap answers the batches in their order. While batches are worked on,
// the next is received and the last one sent. An error of the stage is
// returned, to be sent as a diagnostic.
func (m *mapper[A]) serveMap(ctx context.Context, in *pluginv1.Instance, stream mapStream) error {
	args, prepared, err := m.ready(ctx, in)
	if err != nil {
		return err
	}
	schema := madeColumns(prepared)
	w := &mapping[A]{impl: m.impl, args: args, name: addressName(in.Address), schema: schema, arrow: schema.Arrow()}
	concurrency := 1
	if c, ok := m.impl.(Concurrent); ok {
		concurrency = max(1, c.Concurrency())
	}
	return inOrder(ctx, concurrency, stream.Recv, w.batch, stream.Send)
}

// madeColumns are the columns that the plugin makes.
func madeColumns(p *pluginv1.Prepared) data.Schema {
	var made []*pluginv1.Column
	for _, out := range p.Outputs {
		for _, c := range out.Columns {
			if c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_UNSPECIFIED {
				made = append(made, c)
			}
		}
	}
	return data.FromProto(made)
}

// batch works on one batch.
func (w *mapping[A]) batch(ctx context.Context, req *pluginv1.MapRequest) (*pluginv1.MapResponse, error) {
	rec, err := data.DecodeBatch(req.GetRows())
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	out, err := newOutColumns(w.schema)
	if err != nil {
		return nil, err
	}
	b := &Batch{N: int(rec.NumRows()), name: w.name, in: rec, out: out}
	defer func() {
		for _, c := range out {
			c.release()
		}
	}()
	if err := w.impl.Map(ctx, w.args, b); err != nil {
		return nil, err
	}
	if b.err != nil {
		return nil, fmt.Errorf("the plugin is faulty\n%w", b.err)
	}
	made := b.record(w.arrow)
	defer made.Release()
	rows, err := data.EncodeBatch(made)
	if err != nil {
		return nil, err
	}
	return &pluginv1.MapResponse{Rows: rows, Errors: protoRowErrors(b.errors)}, nil
}

// inOrder receives requests until io.EOF, works on some at a time and sends
// the answers in the order of the requests.
func inOrder[Q, R any](ctx context.Context, concurrency int, recv func() (Q, error),
	work func(context.Context, Q) (R, error), send func(R) error,
) error {
	g, ctx := errgroup.WithContext(ctx)
	requests := receive(ctx, recv)
	pending := make(chan chan R, concurrency)
	slots := make(chan struct{}, concurrency)
	g.Go(func() error {
		defer close(pending)
		for {
			var req received[Q]
			select {
			case req = <-requests:
			case <-ctx.Done():
				return ctx.Err()
			}
			if errors.Is(req.err, io.EOF) {
				return nil
			}
			if req.err != nil {
				return req.err
			}
			answer := make(chan R, 1)
			select {
			case pending <- answer:
			case <-ctx.Done():
				return ctx.Err()
			}
			slots <- struct{}{}
			g.Go(func() error {
				defer func() { <-slots }()
				r, err := work(ctx, req.message)
				if err == nil {
					answer <- r
				}
				return err
			})
		}
	})
	g.Go(func() error {
		for answer := range pending {
			select {
			case r := <-answer:
				if err := send(r); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

type received[Q any] struct {
	message Q
	err     error
}

// receive receives until an error, which it passes on. Its goroutine ends with
// the stream, which gRPC ends when the call's handler returns; until then it
// may be blocked, and is not waited for.
func receive[Q any](ctx context.Context, recv func() (Q, error)) <-chan received[Q] {
	out := make(chan received[Q])
	go func() {
		for {
			message, err := recv()
			select {
			case out <- received[Q]{message, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}
