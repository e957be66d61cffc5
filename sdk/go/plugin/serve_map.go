package plugin

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type mappable interface {
	Type
	serveMap(context.Context, *pluginv1.MapRequest, mapStream, *hostConn) error
}

type mapStream interface {
	Recv() (*pluginv1.MapRequest, error)
	Send(*pluginv1.MapResponse) error
}

type mapper[A any] struct {
	core[A]
	work func(ctx context.Context, args *A, b *Batch) error
}

// flat reports whether rows produce any number of rows.
func (m *mapper[A]) flat() bool { return m.mode == pluginv1.Mode_MODE_FLAT_MAP }

func (m *mapper[A]) prepare(ctx context.Context, in *pluginv1.Instance) *pluginv1.Prepared {
	prepared := m.core.prepare(ctx, in)
	if rows := m.batchRows(); rows > 0 {
		prepared.BatchRows, prepared.OpenRequests = int64(rows), int64(m.concurrency())
	}
	return prepared
}

// mapping is a mapper that works on one stream.
type mapping[A any] struct {
	*mapper[A]
	args   *A
	name   string
	schema data.Schema
	arrow  *arrow.Schema
	host   *hostConn
	// inputs are the inputs other than the one whose rows are sent.
	inputs map[string]*pluginv1.Artifact
	// rows is the maximum number of rows in a batch; 0 means no limit.
	rows int
	// slots limits the number of batches in progress.
	slots    chan struct{}
	finished *finished
}

// finished counts the rows of a call that are done and reports them: failed
// rows at once, the others now and then.
type finished struct {
	throttle
	rows, failed atomic.Int64
	send         func(rows, failed int64, failure string)
}

// one counts a row; err is why it failed.
func (f *finished) one(err error) {
	f.rows.Add(1)
	failure := ""
	if err != nil {
		f.failed.Add(1)
		failure = legible(err.Error())
	}
	f.do(err != nil, func() { f.send(f.rows.Load(), f.failed.Load(), failure) })
}

// serveMap answers the batches in order. While it works on some, it receives
// the next and sends the last. It returns an error of the stage, to be sent as
// a diagnostic.
func (m *mapper[A]) serveMap(ctx context.Context, start *pluginv1.MapRequest, stream mapStream, host *hostConn) error {
	in := start.GetStart()
	args, prepared, err := m.ready(ctx, in)
	if err != nil {
		return err
	}
	schema := madeColumns(prepared)
	concurrency := m.concurrency()
	out := &sender[pluginv1.MapResponse]{stream: stream}
	done := &finished{send: func(rows, failed int64, failure string) {
		// A stream that is broken shows at the next answer.
		_ = out.send(&pluginv1.MapResponse{Finished: rows, Failed: failed, Failure: failure})
	}}
	defer done.close()
	w := &mapping[A]{
		mapper: m, args: args, name: addressName(in.Address), schema: schema, arrow: schema.Arrow(),
		host: host, inputs: start.GetInputs(), rows: m.batchRows(), slots: make(chan struct{}, concurrency),
		finished: done,
	}
	return inOrder(ctx, concurrency, stream.Recv, w.batch, sendAll(out.send))
}

// madeColumns returns the columns that the plugin fills.
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

func (m *mapper[A]) concurrency() int {
	if c, ok := m.impl.(Concurrent); ok {
		return max(1, c.Concurrency())
	}
	return 1
}

func (m *mapper[A]) batchRows() int {
	if b, ok := m.impl.(Batched); ok {
		return max(1, b.BatchRows())
	}
	return 0
}

// batch works on the rows of one request, split into batches.
func (w *mapping[A]) batch(ctx context.Context, req *pluginv1.MapRequest) ([]*pluginv1.MapResponse, error) {
	rec, err := requestRows(req.GetRows())
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	size := max(1, int(rec.NumRows()))
	if w.rows > 0 {
		size = min(size, w.rows)
	}
	parts := make([]part, 0, 1)
	for from := 0; from == 0 || from < int(rec.NumRows()); from += size {
		parts = append(parts, part{from: from, to: min(from+size, int(rec.NumRows()))})
	}
	defer func() {
		for _, p := range parts {
			if p.made != nil {
				p.made.Release()
			}
		}
	}()
	g, ctx := parallel.WithContext(ctx)
	for i := range parts {
		g.Go(func() error {
			select {
			case w.slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-w.slots }()
			return w.part(ctx, rec, req.GetTokens(), &parts[i])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return w.answer(parts)
}

// part is a range of a request's rows and their results.
type part struct {
	from, to int
	made     arrow.RecordBatch
	counts   []int64 // of a FlatMapper: rows of made by the row that they came of
	errors   []RowError
}

// tokens returns the tokens of the part's rows.
func (p *part) tokens(all []*pluginv1.RowToken) map[int][]byte {
	out := map[int][]byte{}
	for _, t := range all {
		if row := int(t.GetRow()); row >= p.from && row < p.to {
			out[row-p.from] = t.GetToken()
		}
	}
	return out
}

// part works on one batch.
func (w *mapping[A]) part(ctx context.Context, rec arrow.RecordBatch, tokens []*pluginv1.RowToken, p *part) error {
	rows := rec.NewSlice(int64(p.from), int64(p.to))
	defer rows.Release()
	out, err := newOutColumns(w.schema)
	if err != nil {
		return err
	}
	b := &Batch{N: p.to - p.from, name: w.name, in: rows, out: out, host: w.host, inputs: w.inputs, tokens: p.tokens(tokens), finished: w.finished}
	if !w.flat() {
		b.made = b.N
	}
	defer func() {
		for _, c := range out {
			c.release()
		}
	}()
	if err := w.work(ctx, w.args, b); err != nil {
		return err
	}
	if w.flat() {
		b.complete()
	}
	if b.err != nil {
		return w.fault(b.err)
	}
	p.made, p.counts, p.errors = b.record(w.arrow), b.counts, b.errors
	return nil
}

// answer combines the parts.
func (w *mapping[A]) answer(parts []part) ([]*pluginv1.MapResponse, error) {
	all := make([]arrow.RecordBatch, len(parts))
	var errs []RowError
	var counts []int64
	for i, p := range parts {
		all[i] = p.made
		counts = append(counts, p.counts...)
		for _, e := range p.errors {
			e.Row += p.from
			errs = append(errs, e)
		}
	}
	if w.flat() && counts == nil {
		counts = []int64{}
	}
	made, err := data.Concat(w.arrow, all)
	if err != nil {
		return nil, err
	}
	defer made.Release()
	answer, err := answerOf(made, counts, errs)
	if err != nil {
		return nil, w.fault(err)
	}
	return answer, nil
}

// inOrder receives requests until io.EOF, works on several at a time, and sends
// the responses in the order of the requests.
func inOrder[Q, R any](ctx context.Context, concurrency int, recv func() (Q, error),
	work func(context.Context, Q) (R, error), send func(R) error,
) error {
	g, ctx := parallel.WithContext(ctx)
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

// receive receives until an error, which it passes on. Its goroutine may be
// blocked until gRPC ends the stream, when the call's handler returns, so
// nothing waits for it.
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
