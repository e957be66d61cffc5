package plugin

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// hostConn is a call's connection to quern, with one prediction stream per
// model.
type hostConn struct {
	// ctx is the call's: streams live as long as it does, not as the request
	// that opens them.
	ctx context.Context
	// chats are the open requests to models. chatting limits their number; nil
	// means no limit.
	chats    wire.Streams[pluginv1.HostServiceChatRequest, pluginv1.HostServiceChatResponse]
	chatting chan struct{}
	openai   *pluginv1.OpenAIAPI // nil if it is not served
	// conn is nil if err is set.
	conn *grpc.ClientConn
	err  error

	mu      sync.Mutex
	streams map[string]pluginv1.HostService_PredictClient
}

// hosted is a request that starts a call and says where the call reaches quern.
type hosted interface {
	GetHostSocket() string
	GetHost() uint32
	// GetOpenChats is the maximum number of open requests to models; 0 means no
	// limit.
	GetOpenChats() int64
	GetOpenaiApi() *pluginv1.OpenAIAPI
}

// dialHost connects to the HostService that a request offers, if any, before the
// stage begins: go-plugin's broker forgets an offered connection after five
// seconds. A quern from before there was a socket offers the broker alone.
func (s *server) dialHost(ctx context.Context, req hosted) *hostConn {
	h := &hostConn{ctx: ctx, err: errNoHost, openai: req.GetOpenaiApi(), streams: map[string]pluginv1.HostService_PredictClient{}}
	h.chats.Context = ctx
	if n := req.GetOpenChats(); n > 0 {
		h.chatting = make(chan struct{}, n)
	}
	switch {
	case req.GetHostSocket() != "":
		options := append(wire.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		h.conn, h.err = grpc.NewClient("unix:"+req.GetHostSocket(), options...)
	case req.GetHost() != 0:
		h.conn, h.err = s.broker.DialWithOptions(req.GetHost(), wire.DialOptions()...)
	}
	return h
}

// client returns a client for unary calls.
func (h *hostConn) client() (pluginv1.HostServiceClient, error) {
	if h.err != nil {
		return nil, fmt.Errorf("connect to quern: %w", h.err)
	}
	return pluginv1.NewHostServiceClient(h.conn), nil
}

// close ends the streams when the call is over.
func (h *hostConn) close() {
	if h.conn != nil {
		_ = h.conn.Close()
	}
}

func (h *hostConn) chat(ctx context.Context, req *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	if h.chatting != nil {
		select {
		case h.chatting <- struct{}{}:
			defer func() { <-h.chatting }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h.chats.Ask(ctx, func(ctx context.Context) (pluginv1.HostService_ChatClient, error) { return client.Chat(ctx) }, req)
}

// predict applies a model to rows, in several messages if they are too large
// for one. made are the columns of its predictions.
func (h *hostConn) predict(ctx context.Context, key string, made data.Schema, rec arrow.RecordBatch) (arrow.RecordBatch, []RowError, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	pieces, err := wire.Cut(rec, nil)
	if err != nil {
		return nil, nil, err
	}
	var parts []arrow.RecordBatch
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	var errs []RowError
	for _, p := range pieces {
		part, failed, err := h.exchange(key, made, p)
		if err != nil {
			return nil, nil, fmt.Errorf("predict with model %q: %w", key, err)
		}
		parts = append(parts, part)
		for _, e := range failed {
			e.Row += int(p.From)
			errs = append(errs, e)
		}
	}
	out, err := data.Concat(parts[0].Schema(), parts)
	return out, errs, err
}

// exchange sends a piece of a batch and receives its predictions. A row that is
// too large to be sent fails.
func (h *hostConn) exchange(key string, made data.Schema, p wire.Piece) (arrow.RecordBatch, []RowError, error) {
	if p.TooLarge() {
		return wire.Nulls(made.Arrow(), 1), []RowError{{Message: "the values that the model needs take " + p.Excess()}}, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	stream, err := h.stream(key)
	if err != nil {
		return nil, nil, err
	}
	err = stream.Send(&pluginv1.HostServicePredictRequest{Event: &pluginv1.HostServicePredictRequest_Rows{Rows: p.Rows}})
	if err != nil {
		// Recv returns the stream's own error.
		if _, recvErr := stream.Recv(); recvErr != nil {
			err = recvErr
		}
		return nil, nil, err
	}
	answer := wire.Gathering{Rows: p.To - p.From}
	defer answer.Release()
	for whole := false; !whole; {
		resp, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		if whole, err = answer.Add(&pluginv1.MapResponse{Rows: resp.Rows, Errors: resp.Errors, More: resp.More}); err != nil {
			return nil, nil, err
		}
	}
	out, err := answer.Record()
	return out, rowErrors(answer.Errors), err
}

func (h *hostConn) stream(key string) (pluginv1.HostService_PredictClient, error) {
	if h.err != nil {
		return nil, fmt.Errorf("connect to quern: %w", h.err)
	}
	if s := h.streams[key]; s != nil {
		return s, nil
	}
	s, err := pluginv1.NewHostServiceClient(h.conn).Predict(h.ctx)
	if err != nil {
		return nil, err
	}
	err = s.Send(&pluginv1.HostServicePredictRequest{Event: &pluginv1.HostServicePredictRequest_Start{Start: key}})
	if err != nil {
		return nil, err
	}
	h.streams[key] = s
	return s, nil
}

// model returns a model input.
func (h *hostConn) model(key string, inputs map[string]*pluginv1.Artifact) *ModelInput {
	files := newModelFiles(inputs[key])
	if files == nil {
		return nil
	}
	return &ModelInput{ModelFiles: files, Key: key, predict: func(ctx context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []RowError, error) {
		return h.predict(ctx, key, files.Signature.Outputs, rec)
	}}
}
