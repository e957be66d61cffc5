package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/grpc/codes"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// BatchStream is a Map or Predict call: it sends batches of rows and receives
// the answers in order. One goroutine can send while another receives, so that
// several batches are in progress: gRPC holds back a sender that is some
// megabytes ahead. If a stream is not received to its end, cancel its context.
type BatchStream struct {
	plugin *Plugin
	want   data.Schema
	send   func(rows []byte, tokens []*pluginv1.RowToken) error
	close  func() error
	recv   func() (*pluginv1.MapResponse, error)
	// flat means that a row produces any number of rows.
	flat bool

	mu   sync.Mutex
	sent []int64 // rows of the batches that are not answered yet
}

// Answer is the answer to a batch.
type Answer struct {
	// Rows has as many rows as the batch or, for a FlatMapper, as many as the
	// sum of Counts, and the requested columns. The receiver releases it.
	Rows arrow.RecordBatch
	// Counts is the number of Rows for each row of the batch, for a FlatMapper;
	// otherwise nil.
	Counts []int64
	// Errors are the rows that failed or are pending, numbered within the batch.
	// Their values are ignored.
	Errors []*pluginv1.RowError
}

// Map opens a Map call for an instance; made are the columns that the plugin
// fills.
func (p *Plugin) Map(ctx context.Context, in *pluginv1.Instance, made data.Schema) (*BatchStream, error) {
	return p.MapHosted(ctx, &pluginv1.MapRequest{Event: &pluginv1.MapRequest_Start{Start: in}}, made)
}

// MapHosted is Map for an instance that calls models or has other inputs: start
// has the instance, the address of a HostService (see Host), and the inputs.
func (p *Plugin) MapHosted(ctx context.Context, start *pluginv1.MapRequest, made data.Schema) (*BatchStream, error) {
	return p.mapRows(ctx, start, made, false)
}

// FlatMap is MapHosted for a type that produces any number of rows for each
// row.
func (p *Plugin) FlatMap(ctx context.Context, start *pluginv1.MapRequest, made data.Schema) (*BatchStream, error) {
	return p.mapRows(ctx, start, made, true)
}

func (p *Plugin) mapRows(ctx context.Context, start *pluginv1.MapRequest, made data.Schema, flat bool) (*BatchStream, error) {
	s, err := p.service.Map(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Send(start); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &BatchStream{
		plugin: p, want: made, close: s.CloseSend, flat: flat,
		send: func(rows []byte, tokens []*pluginv1.RowToken) error {
			return s.Send(&pluginv1.MapRequest{Event: &pluginv1.MapRequest_Rows{Rows: rows}, Tokens: tokens})
		},
		recv: func() (*pluginv1.MapResponse, error) {
			r, err := s.Recv()
			for err == nil && r.GetFinished() > 0 { // progress
				r, err = s.Recv()
			}
			return r, err
		},
	}, nil
}

// Predict opens a Predict call for a model that the plugin trained.
func (p *Plugin) Predict(ctx context.Context, model *pluginv1.Artifact) (*BatchStream, error) {
	s, err := p.service.Predict(ctx)
	if err != nil {
		return nil, err
	}
	start := &pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Start{Start: model}}
	if err := s.Send(start); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &BatchStream{
		plugin: p, want: data.FromProto(model.GetSignature().GetOutputs()), close: s.CloseSend,
		send: func(rows []byte, _ []*pluginv1.RowToken) error {
			return s.Send(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Rows{Rows: rows}})
		},
		recv: func() (*pluginv1.MapResponse, error) {
			r, err := s.Recv()
			return &pluginv1.MapResponse{Rows: r.GetRows(), Errors: r.GetErrors(), More: r.GetMore()}, err
		},
	}, nil
}

// Send sends a batch. io.EOF means that the call has ended; Recv returns the
// reason. The caller keeps its reference to rec.
func (s *BatchStream) Send(rec arrow.RecordBatch) error { return s.SendAgain(rec, nil) }

// SendAgain is Send for a batch with rows that were pending. tokens are those
// that a Map call answered them with.
func (s *BatchStream) SendAgain(rec arrow.RecordBatch, tokens []*pluginv1.RowToken) error {
	rows, err := data.EncodeBatch(rec)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.sent = append(s.sent, rec.NumRows())
	s.mu.Unlock()
	return s.send(rows, tokens)
}

// CloseSend says that no more batches follow.
func (s *BatchStream) CloseSend() error { return s.close() }

// Recv receives the answer to the oldest open batch, and io.EOF after the last
// one. A failure that the plugin reports is a *DiagnosticError; an answer that
// does not match its batch is a *CallError.
func (s *BatchStream) Recv() (*Answer, error) {
	answer := wire.Gathering{Flat: s.flat}
	defer answer.Release()
	for whole := false; !whole; {
		r, err := s.recv()
		if errors.Is(err, io.EOF) {
			return nil, s.end()
		}
		if err != nil {
			return nil, err
		}
		if err := Failure(s.plugin.Name(), r.GetDiagnostics()); err != nil {
			return nil, err
		}
		if answer.Rows = s.oldest(); answer.Rows < 0 {
			return nil, s.wrong("it answered a batch that was not sent")
		}
		if whole, err = answer.Add(r); err != nil {
			return nil, s.wrong("%s", err)
		}
	}
	return s.answer(&answer)
}

// oldest returns the number of rows in the oldest open batch, or -1.
func (s *BatchStream) oldest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == 0 {
		return -1
	}
	return s.sent[0]
}

// answer returns a complete answer if it has the requested columns.
func (s *BatchStream) answer(g *wire.Gathering) (*Answer, error) {
	s.mu.Lock()
	s.sent = s.sent[1:]
	s.mu.Unlock()
	rec, err := g.Record()
	if err != nil {
		return nil, s.wrong("%s", err)
	}
	got, err := data.FromArrow(rec.Schema())
	if err == nil && !got.Equal(s.want) {
		err = fmt.Errorf("it declared the columns %v, but sent %v", s.want, got)
	}
	if err != nil {
		rec.Release()
		return nil, s.wrong("%s", err)
	}
	return &Answer{Rows: rec, Counts: g.Counts, Errors: g.Errors}, nil
}

// end returns io.EOF if all batches were answered.
func (s *BatchStream) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) > 0 {
		return s.wrong("it ended the call with %d batches unanswered", len(s.sent))
	}
	return io.EOF
}

// wrong is an answer that the protocol does not allow.
func (s *BatchStream) wrong(format string, args ...any) error {
	lines := s.plugin.Stderr()
	return &CallError{
		Plugin: s.plugin.Name(), Code: codes.Internal, Stderr: lines,
		Message: "it sent an invalid answer: " + fmt.Sprintf(format, args...) + quote(lines),
	}
}
