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

// BatchStream is a call that answers batches of rows, in order: Map or Predict. One goroutine may send while another receives, so
// that several batches are under way: gRPC holds back a sender that is some
// megabytes ahead. A stream that is not received to its end is ended by its
// context.
type BatchStream struct {
	plugin *Plugin
	want   data.Schema
	send   func(rows []byte) error
	close  func() error
	recv   func() (*pluginv1.MapResponse, error)
	// flat: rows give any number of rows.
	flat bool

	mu   sync.Mutex
	sent []int64 // rows of the batches that are not answered yet
}

// Answer is what a batch was answered with.
type Answer struct {
	// Rows has as many rows as the batch that was sent, or of a FlatMapper as
	// many as Counts says, and the columns that were asked for; the receiver
	// releases it.
	Rows arrow.RecordBatch
	// Counts is how many of Rows came of each row that was sent, in order; of
	// another type than a FlatMapper nil.
	Counts []int64
	// Errors are the rows that failed; their values are of no account. The
	// numbers are within the batch.
	Errors []*pluginv1.RowError
}

// Map opens a Map call for an instance; made are the columns that the plugin
// makes itself.
func (p *Plugin) Map(ctx context.Context, in *pluginv1.Instance, made data.Schema) (*BatchStream, error) {
	return p.MapHosted(ctx, &pluginv1.MapRequest{Event: &pluginv1.MapRequest_Start{Start: in}}, made)
}

// MapHosted is Map for an instance that asks models or has inputs beside the
// rows: start holds the instance, the id of a HostService (see Host) and those
// inputs.
func (p *Plugin) MapHosted(ctx context.Context, start *pluginv1.MapRequest, made data.Schema) (*BatchStream, error) {
	return p.mapRows(ctx, start, made, false)
}

// FlatMap is MapHosted for a type that makes any number of rows of each.
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
		send: func(rows []byte) error {
			return s.Send(&pluginv1.MapRequest{Event: &pluginv1.MapRequest_Rows{Rows: rows}})
		},
		recv: func() (*pluginv1.MapResponse, error) {
			r, err := s.Recv()
			for err == nil && r.GetFinished() > 0 { // it tells how far it is
				r, err = s.Recv()
			}
			return r, err
		},
	}, nil
}

// Predict opens a Predict call for a model that the plugin made.
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
		send: func(rows []byte) error {
			return s.Send(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Rows{Rows: rows}})
		},
		recv: func() (*pluginv1.MapResponse, error) {
			r, err := s.Recv()
			return &pluginv1.MapResponse{Rows: r.GetRows(), Errors: r.GetErrors(), More: r.GetMore()}, err
		},
	}, nil
}

// Send sends a batch. io.EOF means that the call has ended; Recv says why. The
// caller keeps its reference to rec.
func (s *BatchStream) Send(rec arrow.RecordBatch) error {
	rows, err := data.EncodeBatch(rec)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.sent = append(s.sent, rec.NumRows())
	s.mu.Unlock()
	return s.send(rows)
}

// CloseSend says that no more batches come.
func (s *BatchStream) CloseSend() error { return s.close() }

// Recv receives the answer to the oldest batch that is not answered yet; after
// the last one it returns io.EOF. What the plugin reports is a
// *DiagnosticError, an answer that does not fit its batch a *CallError.
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

// oldest is how many rows the oldest batch has that is not answered yet; -1:
// there is none.
func (s *BatchStream) oldest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == 0 {
		return -1
	}
	return s.sent[0]
}

// answer takes a whole answer, if it has the columns that were asked for.
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
		err = fmt.Errorf("it was to make the columns %v and made %v", s.want, got)
	}
	if err != nil {
		rec.Release()
		return nil, s.wrong("%s", err)
	}
	return &Answer{Rows: rec, Counts: g.Counts, Errors: g.Errors}, nil
}

// end is io.EOF if all batches were answered.
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
		Message: "it sent a wrong answer: " + fmt.Sprintf(format, args...) + quote(lines),
	}
}
