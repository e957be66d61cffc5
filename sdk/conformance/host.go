package main

import (
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// host serves the models that README.md specifies.
type host struct {
	pluginv1.UnimplementedHostServiceServer
}

// Chat answers with the last message in capital letters.
func (host) Chat(stream grpc.BidiStreamingServer[pluginv1.HostServiceChatRequest, pluginv1.HostServiceChatResponse]) error {
	return wire.Answer(stream, answerChat)
}

func answerChat(_ context.Context, q *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
	var request llm.Request
	if err := json.Unmarshal(q.GetRequest(), &request); err != nil || len(request.Messages) == 0 {
		return nil, status.Errorf(codes.InvalidArgument, "the request is malformed: %s", q.GetRequest())
	}
	switch text := request.Messages[len(request.Messages)-1].Content; text {
	case "refused":
		return &pluginv1.HostServiceChatResponse{Error: &pluginv1.CallError{Message: "it was refused", Status: 400}}, nil
	case "busy":
		return &pluginv1.HostServiceChatResponse{Error: &pluginv1.CallError{Message: "it is busy", Status: 429, Temporary: true}}, nil
	case "spent":
		return nil, status.Error(codes.ResourceExhausted, "the budget is spent")
	default:
		response, err := json.Marshal(&llm.Response{Text: strings.ToUpper(text), Usage: llm.Usage{Input: 1, Output: 1}})
		return &pluginv1.HostServiceChatResponse{Response: response}, err
	}
}

// host serves models to a step's call, if it wants them.
func (r *runner) host(s Step) (address client.HostAddress, done func(), err error) {
	if !s.Host {
		return address, func() {}, nil
	}
	return r.plugin.Host(host{})
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
