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
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/sdk/go/wire"
)

// stream is one Map call. Several batches may be under way; a goroutine of
// its own always takes answers, so that a send that waits for the plugin
// never waits for ever.
type stream struct {
	client  pluginv1.PluginService_MapClient
	made    *arrow.Schema
	expands bool
	pace    *pace
	// finished gets the number of rows that the plugin has finished so far, those of
	// batches that it has not answered yet too.
	finished func(rows int64)
	// failing gets the number of them that failed for good, and why the last did.
	failing func(rows int64, message string)

	mu      sync.Mutex // orders sends and the queue of what is asked
	asked   chan *question
	stopped chan struct{} // closed when no more answers are taken
	err     error         // why; set before stopped is closed
	ended   bool          // the plugin ended the call in good order; likewise

	// What receive has of an answer that comes in pieces.
	open   *question // nil: none
	pieces []arrow.RecordBatch
	sofar  answer
}

// question is a batch under way.
type question struct {
	rows   int
	sent   time.Time
	answer chan answer // buffered
}

type answer struct {
	rec    arrow.RecordBatch
	spans  spans // rows of rec by the row that was asked
	errors []*pluginv1.RowError
}

// mostAsked bounds the batches under way; slots of blocks bound them more
// tightly.
const mostAsked = 1024

// start starts to receive and sends the instance.
func (s *stream) start(in *pluginv1.Instance) error {
	s.asked, s.stopped = make(chan *question, mostAsked), make(chan struct{})
	go s.receive()
	if err := s.client.Send(&pluginv1.MapRequest{Event: &pluginv1.MapRequest_Start{Start: in}}); err != nil {
		return s.sendError(err)
	}
	return nil
}

// ask sends a batch. It may be called from several goroutines; answers come
// in the order of the calls.
func (s *stream) ask(rec arrow.RecordBatch) (*question, error) {
	b, err := data.EncodeBatch(rec)
	if err != nil {
		return nil, err
	}
	q := &question{rows: int(rec.NumRows()), sent: time.Now(), answer: make(chan answer, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.asked <- q:
	case <-s.stopped:
		return nil, s.err
	}
	if err := s.client.Send(&pluginv1.MapRequest{Event: &pluginv1.MapRequest_Rows{Rows: b}}); err != nil {
		return nil, s.sendError(err)
	}
	return q, nil
}

// wait returns the answer to a question.
func (s *stream) wait(ctx context.Context, q *question) (answer, error) {
	select {
	case a := <-q.answer:
		return a, nil
	default:
	}
	select {
	case a := <-q.answer:
		return a, nil
	case <-s.stopped:
		select {
		case a := <-q.answer:
			return a, nil
		default:
			return answer{}, s.err
		}
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

// receive takes answers until the plugin ends the stream or breaks it.
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
	}
	q := s.open
	rec, err := data.DecodeBatch(resp.GetRows())
	if err != nil {
		return &Faulty{fmt.Sprintf("its answer cannot be read: %s", err)}
	}
	rows := q.rows
	if s.expands {
		rows = len(resp.GetCounts())
		if err := wire.CheckCounts(resp.GetCounts(), int64(q.rows-len(s.sofar.spans)), rec.NumRows()); err != nil {
			return &Faulty{err.Error()}
		}
	} else if rec.NumRows() != int64(q.rows) {
		return &Faulty{fmt.Sprintf("it answered %d rows with %d rows", q.rows, rec.NumRows())}
	}
	conformed, err := data.Conform(rec, s.made)
	if err != nil {
		return &Faulty{fmt.Sprintf("its answer has different columns than it declared: %s", err)}
	}
	for _, e := range resp.GetErrors() {
		if e.GetRow() < 0 || e.GetRow() >= int64(rows) {
			return fmt.Errorf("it reported an error for row %d in a batch of %d rows", e.GetRow(), rows)
		}
	}
	if !s.expands {
		s.answer(answer{rec: conformed, errors: resp.GetErrors()})
		return nil
	}
	return s.piece(conformed, resp)
}

// answer answers the question that is open.
func (s *stream) answer(a answer) {
	q := s.open
	s.open = nil
	s.pace.answered(q.rows, q.sent, time.Now())
	q.answer <- a
}

// piece takes the next piece of an answer, which is whole when all rows of the
// question are counted.
func (s *stream) piece(rec arrow.RecordBatch, resp *pluginv1.MapResponse) error {
	a := &s.sofar
	for _, e := range resp.GetErrors() {
		e.Row += int64(len(a.spans))
	}
	a.spans, a.errors = a.spans.add(resp.GetCounts()), append(a.errors, resp.GetErrors()...)
	s.pieces = append(s.pieces, rec)
	if len(a.spans) < s.open.rows {
		return nil
	}
	var err error
	if a.rec, err = data.Concat(s.made, s.pieces); err != nil {
		return fmt.Errorf("assemble its answer: %w", err)
	}
	s.pace.made(s.open.rows, recordBytes(a.rec))
	whole := s.sofar
	s.pieces, s.sofar = nil, answer{}
	s.answer(whole)
	return nil
}

// sendError is the reason for a send that failed: gRPC tells it to the
// receiver alone.
func (s *stream) sendError(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	<-s.stopped
	return s.err
}

// close tells the plugin that no more rows come and waits for it to end the
// call.
func (s *stream) close() error {
	s.mu.Lock()
	err := s.client.CloseSend()
	s.mu.Unlock()
	<-s.stopped
	if s.ended && len(s.asked) == 0 {
		return err
	}
	return s.err
}

// firstError makes an error of the first diagnostic that is one.
func firstError(diags []*pluginv1.Diagnostic) error {
	for _, d := range diags {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_WARNING {
			return &PluginError{Summary: d.GetSummary(), Detail: d.GetDetail(), Argument: d.GetArgument()}
		}
	}
	return nil
}

// Faulty says that a plugin does not keep to the protocol.
type Faulty struct{ What string }

func (e *Faulty) Error() string { return e.What }

// PluginError is an error that a plugin reported of its own accord.
type PluginError struct{ Summary, Detail, Argument string }

func (e *PluginError) Error() string {
	if e.Detail == "" {
		return e.Summary
	}
	return e.Summary + ": " + e.Detail
}
