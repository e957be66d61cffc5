package rowwise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// stream is one Map call. Several batches may be in flight. A separate
// goroutine always receives answers, so that a send that waits for the plugin
// never waits forever.
type stream struct {
	client  pluginv1.PluginService_MapClient
	made    *arrow.Schema
	expands bool
	pace    *pace
	// finished receives the number of rows that the plugin has finished so far,
	// including rows in batches that it has not answered yet.
	finished func(rows int64)
	// failing receives the number of rows that failed permanently, and the last
	// error.
	failing func(rows int64, message string)
	// waits keeps what rows wait for.
	waits waits

	mu      sync.Mutex // orders sends and the queue of questions
	asked   chan *batch
	stopped chan struct{} // closed when no more answers are received
	err     error         // the reason; set before stopped is closed
	ended   bool          // the plugin ended the call properly; set before stopped is closed

	// The state of receive:
	open   *batch // the batch that is being answered, or nil
	partly wire.Gathering
}

// question is a set of rows in flight: one batch, or several if they are too
// large for one message.
type question struct {
	rows    int
	batches []*batch
}

// batch is the content of one message.
type batch struct {
	rows   int
	keys   []rowKey // of the rows
	sent   time.Time
	answer chan answer // buffered
}

type answer struct {
	rec    arrow.RecordBatch
	spans  spans // rows of rec by the row that was sent
	errors []*pluginv1.RowError
}

// mostAsked bounds the batches in flight. The slots of blocks are usually a
// tighter bound.
const mostAsked = 1024

// start starts receiving and sends the instance.
func (s *stream) start(in *pluginv1.Instance) error {
	s.asked, s.stopped = make(chan *batch, mostAsked), make(chan struct{})
	go s.receive()
	if err := s.client.Send(&pluginv1.MapRequest{Event: &pluginv1.MapRequest_Start{Start: in}}); err != nil {
		return s.sendError(err)
	}
	return nil
}

// ask sends rows with their tokens. It is safe for concurrent use. Answers come
// in the order of the calls.
func (s *stream) ask(rec arrow.RecordBatch, keys []rowKey) (*question, error) {
	tokens := s.waits.tokens(keys)
	pieces, err := wire.CutNoted(rec, nil, sizes(tokens))
	if err != nil {
		return nil, err
	}
	q := &question{int(rec.NumRows()), make([]*batch, len(pieces))}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range pieces {
		b := &batch{rows: int(p.To - p.From), keys: keys[p.From:p.To], sent: time.Now(), answer: make(chan answer, 1)}
		q.batches[i] = b
		if p.TooLarge() {
			b.answer <- s.refusal(p)
			continue
		}
		if err := s.send(b, p.Rows, within(tokens, p.From, p.To)); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (s *stream) send(b *batch, rows []byte, tokens []*pluginv1.RowToken) error {
	select {
	case s.asked <- b:
	case <-s.stopped:
		return s.err
	}
	if err := s.client.Send(&pluginv1.MapRequest{Event: &pluginv1.MapRequest_Rows{Rows: rows}, Tokens: tokens}); err != nil {
		return s.sendError(err)
	}
	return nil
}

// refusal is the answer for a row that is too large to send.
func (s *stream) refusal(p wire.Piece) answer {
	a := answer{errors: []*pluginv1.RowError{{Message: "what the plugin needs of it takes " + p.Excess()}}}
	if s.expands {
		a.rec, a.spans = wire.Nulls(s.made, 0), spans{0}
		return a
	}
	a.rec = wire.Nulls(s.made, 1)
	return a
}

// wait returns the answer to a question.
func (s *stream) wait(ctx context.Context, q *question) (answer, error) {
	if len(q.batches) == 1 {
		return s.waitFor(ctx, q.batches[0])
	}
	var all answer
	var parts []arrow.RecordBatch
	row := int64(0)
	for _, b := range q.batches {
		a, err := s.waitFor(ctx, b)
		if err != nil {
			return answer{}, err
		}
		for _, e := range a.errors {
			e.Row += row
		}
		parts, row = append(parts, a.rec), row+int64(b.rows)
		all.spans, all.errors = all.spans.join(a.spans), append(all.errors, a.errors...)
	}
	var err error
	if all.rec, err = data.Concat(s.made, parts); err != nil {
		return answer{}, fmt.Errorf("assemble its answers: %w", err)
	}
	return all, nil
}

func (s *stream) waitFor(ctx context.Context, b *batch) (answer, error) {
	select {
	case a := <-b.answer:
		return a, nil
	default:
	}
	select {
	case a := <-b.answer:
		return a, nil
	case <-s.stopped:
		select {
		case a := <-b.answer:
			return a, nil
		default:
			return answer{}, s.err
		}
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

// receive receives answers until the plugin ends the stream or violates the
// protocol.
func (s *stream) receive() {
	defer close(s.stopped)
	for {
		resp, err := s.client.Recv()
		if err == nil {
			err = s.take(resp)
		}
		if err != nil {
			s.err = err
			if errors.Is(err, io.EOF) {
				s.ended = true
				s.err = errors.New("it ended the stream before it had answered all batches")
			}
			return
		}
	}
}

func (s *stream) take(resp *pluginv1.MapResponse) error {
	if err := firstError(resp.GetDiagnostics()); err != nil {
		return err
	}
	if n := resp.GetFinished(); n > 0 {
		s.finished(n)
		if failed := resp.GetFailed(); failed > 0 {
			s.failing(failed, message(resp.GetFailure()))
		}
		return nil
	}
	if s.open == nil {
		select {
		case s.open = <-s.asked:
		default:
			return errors.New("it sent an answer without a request")
		}
		s.partly = wire.Gathering{Rows: int64(s.open.rows), Flat: s.expands}
	}
	whole, err := s.partly.Add(resp)
	if err != nil {
		return &Faulty{err.Error()}
	}
	if err := s.waits.take(s.open.keys, resp.GetErrors()); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	return s.answer()
}

// answer answers the open batch.
func (s *stream) answer() error {
	b, a := s.open, answer{errors: s.partly.Errors}
	rec, err := s.partly.Record()
	if err != nil {
		return fmt.Errorf("assemble its answer: %w", err)
	}
	if a.rec, err = data.Conform(rec, s.made); err != nil {
		return &Faulty{fmt.Sprintf("its answer has different columns than it declared: %s", err)}
	}
	if s.expands {
		a.spans = spans{}.add(s.partly.Counts)
		s.pace.made(b.rows, recordBytes(a.rec))
	}
	s.open, s.partly = nil, wire.Gathering{}
	s.pace.answered(b.rows, b.sent, time.Now())
	b.answer <- a
	return nil
}

// sendError returns the reason for a send that failed, which gRPC reports only
// to the receiver.
func (s *stream) sendError(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	<-s.stopped
	return s.err
}

// close tells the plugin that no more rows will come and waits for it to end
// the call.
func (s *stream) close() error {
	s.mu.Lock()
	err := s.client.CloseSend()
	s.mu.Unlock()
	<-s.stopped
	if s.ended && len(s.asked) == 0 && s.open == nil {
		return err
	}
	return s.err
}

// firstError returns the first diagnostic that is an error, as an error.
func firstError(diags []*pluginv1.Diagnostic) error {
	for _, d := range diags {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_WARNING {
			return &PluginError{Summary: d.GetSummary(), Detail: d.GetDetail(), Argument: d.GetArgument()}
		}
	}
	return nil
}

// Faulty is the error for a plugin that violates the protocol.
type Faulty struct{ What string }

func (e *Faulty) Error() string { return e.What }

// PluginError is an error that a plugin itself reported.
type PluginError struct{ Summary, Detail, Argument string }

func (e *PluginError) Error() string {
	if e.Detail == "" {
		return e.Summary
	}
	return e.Summary + ": " + e.Detail
}
