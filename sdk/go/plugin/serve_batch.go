package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// batchable is a type of models that may answer batches.
type batchable interface {
	Type
	submitBatch(pluginv1.PluginService_SubmitBatchServer, *pluginv1.SubmitBatchRequest) error
	readBatch(pluginv1.PluginService_ReadBatchServer, *pluginv1.ReadBatchRequest) error
}

// SubmitBatch implements PluginService.
func (s *server) SubmitBatch(stream pluginv1.PluginService_SubmitBatchServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	t, err := find[batchable](s, first.GetModel())
	if err != nil {
		return err
	}
	return t.submitBatch(stream, first)
}

// ReadBatch implements PluginService.
func (s *server) ReadBatch(req *pluginv1.ReadBatchRequest, stream pluginv1.PluginService_ReadBatchServer) error {
	t, err := find[batchable](s, req.GetModel())
	if err != nil {
		return err
	}
	return t.readBatch(stream, req)
}

func (p *provider[A]) batcher() (Batcher[A], error) {
	impl, ok := p.impl.(Batcher[A])
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "model %q cannot answer batches", p.info.Name)
	}
	return impl, nil
}

// batches checks what Prepare said about batches.
func (p *provider[A]) batches(m *pluginv1.ModelInfo) error {
	if m.GetBatch() == nil {
		return nil
	}
	if _, ok := p.impl.(Batcher[A]); !ok {
		return errors.New("Prepare set ModelInfo.Batch, but the type does not implement Batcher")
	}
	if !m.GetCache() {
		return errors.New("Prepare set ModelInfo.Batch without Cache, which the answers of a batch need")
	}
	return nil
}

func (p *provider[A]) submitBatch(stream pluginv1.PluginService_SubmitBatchServer, first *pluginv1.SubmitBatchRequest) error {
	impl, err := p.batcher()
	if err != nil {
		return err
	}
	ctx := stream.Context()
	args, err := p.model(ctx, first.GetModel(), nil)
	if err != nil {
		return stream.SendAndClose(&pluginv1.SubmitBatchResponse{Error: callError(ctx, err)})
	}
	received := batchRequests{stream: stream, next: first}
	b := &BatchSubmission{Name: first.GetName(), Again: first.BegunSecondsAgo != nil, Requests: received.all()}
	if b.Again {
		b.Begun = time.Now().Add(-time.Duration(first.GetBegunSecondsAgo() * float64(time.Second)))
	}
	token, err := impl.SubmitBatch(ctx, args, b)
	switch {
	case received.err != nil:
		return received.err
	case err == nil && len(token) > TokenBytes:
		return p.fault(fmt.Errorf("SubmitBatch returned a token of %d bytes, but at most %d are allowed", len(token), TokenBytes))
	case err != nil:
		return stream.SendAndClose(&pluginv1.SubmitBatchResponse{Error: callError(ctx, err)})
	}
	return stream.SendAndClose(&pluginv1.SubmitBatchResponse{Token: token})
}

// batchRequests are the requests of a stream. err is why they ended early.
type batchRequests struct {
	stream pluginv1.PluginService_SubmitBatchServer
	next   *pluginv1.SubmitBatchRequest
	err    error
}

func (b *batchRequests) all() iter.Seq2[BatchRequest, error] {
	return func(yield func(BatchRequest, error) bool) {
		for ; b.next != nil; b.receive() {
			for _, r := range b.next.GetRequests() {
				out := BatchRequest{ID: r.GetId(), Request: &llm.Request{}}
				if err := json.Unmarshal(r.GetRequest(), out.Request); err != nil {
					b.err = status.Errorf(codes.InvalidArgument, "the request %q is not valid: %s", r.GetId(), err)
					yield(BatchRequest{}, b.err)
					return
				}
				if !yield(out, nil) {
					return
				}
			}
		}
		if b.err != nil {
			yield(BatchRequest{}, b.err)
		}
	}
}

// receive receives the next message. At the end, next is nil.
func (b *batchRequests) receive() {
	if b.next, b.err = b.stream.Recv(); b.err != nil {
		b.next = nil
	}
	if errors.Is(b.err, io.EOF) {
		b.err = nil
	}
}

func (p *provider[A]) readBatch(stream pluginv1.PluginService_ReadBatchServer, req *pluginv1.ReadBatchRequest) error {
	impl, err := p.batcher()
	if err != nil {
		return err
	}
	ctx := stream.Context()
	args, err := p.model(ctx, req.GetModel(), nil)
	var state *BatchStatus
	if err == nil {
		state, err = impl.ReadBatch(ctx, args, req.GetToken())
	}
	failed := func(err error) error {
		return stream.Send(&pluginv1.ReadBatchResponse{Event: &pluginv1.ReadBatchResponse_Error{Error: callError(ctx, err)}})
	}
	if err != nil {
		return failed(err)
	}
	if err := stream.Send(&pluginv1.ReadBatchResponse{Event: &pluginv1.ReadBatchResponse_Status{Status: state.proto()}}); err != nil {
		return err
	}
	if !state.Done || state.Answers == nil {
		return nil
	}
	for a, err := range state.Answers {
		if err != nil {
			return failed(err)
		}
		answer := &pluginv1.BatchAnswer{Id: a.ID}
		if a.Err != nil {
			answer.Error = callError(ctx, a.Err)
		} else if answer.Response, err = json.Marshal(a.Response); err != nil {
			return status.Errorf(codes.Internal, "encode the answer to %q: %s", a.ID, err)
		}
		if err := stream.Send(&pluginv1.ReadBatchResponse{Event: &pluginv1.ReadBatchResponse_Answer{Answer: answer}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *BatchStatus) proto() *pluginv1.BatchStatus {
	out := &pluginv1.BatchStatus{Done: s.Done, Answered: s.Answered, Total: s.Total, Message: legible(s.Message)}
	if s.CheckAfter > 0 {
		seconds := s.CheckAfter.Seconds()
		out.CheckAfterSeconds = &seconds
	}
	return out
}
