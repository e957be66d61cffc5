package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// together is the number of requests that the answer to "together" waits for.
const together = 32

// host serves the models that README.md specifies.
type host struct {
	pluginv1.UnimplementedHostServiceServer
	// open is the number of streams.
	open atomic.Int64
	// waiting counts the requests for "together", and all ends when there are
	// enough of them.
	waiting atomic.Int64
	all     chan struct{}
	// rejected are requests whose answers were rejected.
	rejected sync.Map
}

// Chat answers with the last message in capital letters.
func (h *host) Chat(stream grpc.BidiStreamingServer[pluginv1.HostServiceChatRequest, pluginv1.HostServiceChatResponse]) error {
	h.open.Add(1)
	defer h.open.Add(-1)
	return wire.Answer(stream, h.answer)
}

func (h *host) answer(ctx context.Context, q *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
	var request llm.Request
	if err := json.Unmarshal(q.GetRequest(), &request); err != nil || len(request.Messages) == 0 {
		return nil, status.Errorf(codes.InvalidArgument, "the request is malformed: %s", q.GetRequest())
	}
	text := request.Messages[len(request.Messages)-1].Content
	switch text {
	case "never":
		<-ctx.Done()
		return nil, ctx.Err()
	case "together":
		if h.waiting.Add(1) == together {
			close(h.all)
		}
		select {
		case <-h.all:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case "refused":
		return &pluginv1.HostServiceChatResponse{Error: &pluginv1.CallError{Message: "it was refused", Status: 400}}, nil
	case "busy":
		return &pluginv1.HostServiceChatResponse{Error: &pluginv1.CallError{Message: "it is busy", Status: 429, Temporary: true}}, nil
	case "waits":
		after := 60.0
		return &pluginv1.HostServiceChatResponse{Error: &pluginv1.CallError{Message: "batch b of model.m", Pending: true, CheckAfterSeconds: &after}}, nil
	case "spent":
		return nil, status.Error(codes.ResourceExhausted, "the budget is spent")
	}
	said := strings.ToUpper(text)
	if q.GetDraw() > 0 {
		said += fmt.Sprint(q.GetDraw())
	}
	if _, rejected := h.rejected.Load(string(q.GetRequest())); rejected {
		said += "!"
	}
	response, err := json.Marshal(&llm.Response{Text: said, Usage: llm.Usage{Input: 1, Output: 1}})
	return &pluginv1.HostServiceChatResponse{Response: response}, err
}

// Reject notes a request. The plugin must write it as it wrote the one to Chat.
func (h *host) Reject(_ context.Context, q *pluginv1.HostServiceRejectRequest) (*pluginv1.HostServiceRejectResponse, error) {
	h.rejected.Store(string(q.GetRequest()), true)
	return &pluginv1.HostServiceRejectResponse{}, nil
}

// Embed returns the number of bytes and 0.5.
func (h *host) Embed(_ context.Context, q *pluginv1.HostServiceEmbedRequest) (*pluginv1.HostServiceEmbedResponse, error) {
	out := &pluginv1.HostServiceEmbedResponse{}
	for _, t := range q.GetTexts() {
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: []float32{float32(len(t)), 0.5}})
	}
	return out, nil
}

// Predict doubles the first column.
func (h *host) Predict(stream grpc.BidiStreamingServer[pluginv1.HostServicePredictRequest, pluginv1.HostServicePredictResponse]) error {
	if first, err := stream.Recv(); err != nil || first.GetStart() == "" {
		return status.Errorf(codes.InvalidArgument, "the first request must contain start: %v", err)
	}
	return wire.Answer(stream, func(_ context.Context, q *pluginv1.HostServicePredictRequest) (*pluginv1.HostServicePredictResponse, error) {
		var out pluginv1.HostServicePredictResponse
		err := mapRows(q.GetRows(), "y", arrow.PrimitiveTypes.Float64, func(rec arrow.RecordBatch, b array.Builder, i int) {
			x, ok := rec.Column(0).(*array.Float64)
			if !ok || x.IsNull(i) {
				b.AppendNull()
				out.Errors = append(out.Errors, &pluginv1.RowError{Row: int64(i), Message: "there is no x"})
				return
			}
			b.(*array.Float64Builder).Append(2 * x.Value(i))
		}, &out.Rows)
		return &out, err
	})
}

// Evaluate says whether answers have more than 2 bytes.
func (h *host) Evaluate(_ context.Context, q *pluginv1.HostServiceEvaluateRequest) (*pluginv1.HostServiceEvaluateResponse, error) {
	var out pluginv1.HostServiceEvaluateResponse
	err := mapRows(q.GetRows(), "value", arrow.FixedWidthTypes.Boolean, func(rec arrow.RecordBatch, b array.Builder, i int) {
		id, _ := data.Columns.Find(rec, "id").(*array.Int64)
		answer, _ := data.LateNames.Find(rec, "answer").(*array.String)
		if id == nil || answer == nil || id.Value(i) == 0 {
			b.AppendNull()
			out.Errors = append(out.Errors, &pluginv1.RowError{Row: int64(i), Message: "there is no id"})
			return
		}
		b.(*array.BooleanBuilder).Append(len(answer.Value(i)) > 2)
	}, &out.Rows)
	return &out, err
}

// mapRows computes a column from rows, value by value.
func mapRows(rows []byte, name string, t arrow.DataType, add func(arrow.RecordBatch, array.Builder, int), out *[]byte) error {
	rec, err := data.DecodeBatch(rows)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	defer rec.Release()
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{data.Columns.Field(name, t)}, nil))
	defer b.Release()
	for i := range int(rec.NumRows()) {
		add(rec, b.Field(0), i)
	}
	*out, err = encodeRows(b.NewRecordBatch())
	return err
}

// host serves models to a step's call, if it wants them. done is called when the
// call is over, and so must be what it asked.
func (r *runner) host(s Step) (address client.HostAddress, done func() error, err error) {
	if !s.Host {
		return address, func() error { return nil }, nil
	}
	h := &host{all: make(chan struct{})}
	address, stop, err := r.plugin.Host(h)
	return address, func() error {
		defer stop()
		for range 100 {
			if h.open.Load() == 0 {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return errors.New("5 seconds after the call, its requests to models are still open")
	}, err
}

// setHost says in the first request of a call where the models are.
func setHost(m proto.Message, at client.HostAddress, i int) {
	if i > 0 {
		return
	}
	switch m := m.(type) {
	case *pluginv1.MapRequest:
		m.HostSocket, m.Host = at.Socket, at.Broker
	case *pluginv1.RunRequest:
		m.HostSocket, m.Host = at.Socket, at.Broker
	}
}
