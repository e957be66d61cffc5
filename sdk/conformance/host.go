package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
	case "spent":
		return nil, status.Error(codes.ResourceExhausted, "the budget is spent")
	}
	response, err := json.Marshal(&llm.Response{Text: strings.ToUpper(text), Usage: llm.Usage{Input: 1, Output: 1}})
	return &pluginv1.HostServiceChatResponse{Response: response}, err
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
