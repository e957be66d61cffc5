package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// answering is a HostService that answers with a function.
type answering struct {
	pluginv1.UnimplementedHostServiceServer
	answer  func(context.Context, string) (string, error)
	streams atomic.Int64 // number of streams that were opened
}

func (a *answering) Chat(stream pluginv1.HostService_ChatServer) error {
	a.streams.Add(1)
	return wire.Answer(stream, func(ctx context.Context, req *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
		text, err := a.answer(ctx, string(req.GetRequest()))
		return &pluginv1.HostServiceChatResponse{Response: []byte(text)}, err
	})
}

// ask returns a function that makes requests to a served host.
func ask(t *testing.T, host pluginv1.HostServiceServer) func(context.Context, string) (string, error) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(wire.ServerOptions()...)
	pluginv1.RegisterHostServiceServer(server, host)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix:"+socket, append(wire.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := pluginv1.NewHostServiceClient(conn)
	streams := wire.Streams[pluginv1.HostServiceChatRequest, pluginv1.HostServiceChatResponse]{Context: t.Context()}
	open := func(ctx context.Context) (pluginv1.HostService_ChatClient, error) { return client.Chat(ctx) }
	return func(ctx context.Context, text string) (string, error) {
		resp, err := streams.Ask(ctx, open, &pluginv1.HostServiceChatRequest{Request: []byte(text)})
		return string(resp.GetResponse()), err
	}
}

func TestAStreamIsReused(t *testing.T) {
	host := &answering{answer: func(_ context.Context, text string) (string, error) { return "so " + text, nil }}
	call := ask(t, host)
	for _, text := range []string{"a", "b", "c"} {
		if got, err := call(t.Context(), text); err != nil || got != "so "+text {
			t.Fatalf("%q was answered by %q, %v", text, got, err)
		}
	}
	if n := host.streams.Load(); n != 1 {
		t.Errorf("%d streams were opened for calls one after the other", n)
	}
}

func TestConcurrentRequestsUseSeparateStreams(t *testing.T) {
	const n = 5
	var all sync.WaitGroup
	all.Add(n)
	host := &answering{answer: func(_ context.Context, text string) (string, error) {
		all.Done()
		all.Wait() // no answer before all requests have arrived
		return text, nil
	}}
	call := ask(t, host)
	var callers sync.WaitGroup
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		callers.Go(func() {
			if got, err := call(t.Context(), text); err != nil || got != text {
				t.Errorf("%q was answered by %q, %v", text, got, err)
			}
		})
	}
	callers.Wait()
}

func TestACanceledCallEndsOnTheServer(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan struct{})
	host := &answering{answer: func(ctx context.Context, text string) (string, error) {
		if text != "hang" {
			return text, nil
		}
		close(asked)
		<-ctx.Done()
		close(ended)
		return "", ctx.Err()
	}}
	call := ask(t, host)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := call(ctx, "hang"); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up gave %v", err)
	}
	<-ended
	if got, err := call(t.Context(), "x"); err != nil || got != "x" {
		t.Errorf("the next call gave %q, %v", got, err)
	}
}

func TestAnErrorAffectsOnlyItsCall(t *testing.T) {
	host := &answering{answer: func(_ context.Context, text string) (string, error) {
		if text == "bad" {
			return "", status.Error(codes.NotFound, "no such model")
		}
		return text, nil
	}}
	call := ask(t, host)
	if _, err := call(t.Context(), "bad"); status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
	if got, err := call(t.Context(), "x"); err != nil || got != "x" {
		t.Errorf("the next call gave %q, %v", got, err)
	}
}

// silent ends each stream without an answer.
type silent struct {
	pluginv1.UnimplementedHostServiceServer
}

func (silent) Chat(stream pluginv1.HostService_ChatServer) error {
	_, err := stream.Recv()
	return err
}

func TestAStreamThatEndsWithoutAnAnswerIsAnError(t *testing.T) {
	if _, err := ask(t, silent{})(t.Context(), "x"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}
