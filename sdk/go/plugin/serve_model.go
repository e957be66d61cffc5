package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type callable interface {
	Type
	chat(ctx context.Context, model *pluginv1.Instance, request []byte) (*pluginv1.ChatResponse, error)
	embed(context.Context, *pluginv1.EmbedRequest) (*pluginv1.EmbedResponse, error)
	check(context.Context, *pluginv1.Instance) *pluginv1.CheckModelResponse
}

// provider keeps the models that were called.
type provider[A any] struct {
	core[A]
	mu     sync.Mutex
	opened map[modelKey]*openedModel[A]
}

// modelKey identifies a model: each call brings both.
type modelKey struct{ address, config string }

// openedModel is a model that is ready once done is closed.
type openedModel[A any] struct {
	done chan struct{}
	args *A
	err  error
}

func (p *provider[A]) schema() (*pluginv1.Type, error) {
	if len(p.capabilities()) == 0 {
		return nil, fmt.Errorf("model %q implements neither Chatter nor Embedder", p.info.Name)
	}
	return p.core.schema()
}

func (p *provider[A]) capabilities() []string {
	var out []string
	if _, ok := p.impl.(Chatter[A]); ok {
		out = append(out, CanChat)
	}
	if _, ok := p.impl.(Embedder[A]); ok {
		out = append(out, CanEmbed)
	}
	return out
}

func (p *provider[A]) prepare(ctx context.Context, in *pluginv1.Instance) *pluginv1.Prepared {
	prepared := p.core.prepare(ctx, in)
	if prepared.Model != nil && prepared.Model.Capabilities == nil {
		prepared.Model.Capabilities = p.capabilities()
	}
	if prepared.Model == nil && len(prepared.Diagnostics) == 0 {
		prepared.Diagnostics = diagnostics(p.fault(errors.New("Prepare did not call SetModelInfo")))
	}
	return prepared
}

// model returns the arguments of a configuration, ready for calls. After a
// failure, the next call tries again.
func (p *provider[A]) model(ctx context.Context, in *pluginv1.Instance) (*A, error) {
	key := modelKey{in.GetAddress(), string(in.GetConfig())}
	p.mu.Lock()
	m := p.opened[key]
	if m == nil {
		m = &openedModel[A]{done: make(chan struct{})}
		if p.opened == nil {
			p.opened = map[modelKey]*openedModel[A]{}
		}
		p.opened[key] = m
		p.mu.Unlock()
		// It serves other calls, too, so this call's end is not its end.
		m.args, _, m.err = p.ready(context.WithoutCancel(ctx), in)
		if m.err != nil {
			p.mu.Lock()
			delete(p.opened, key)
			p.mu.Unlock()
		}
		close(m.done)
	} else {
		p.mu.Unlock()
	}
	select {
	case <-m.done:
		return m.args, m.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *provider[A]) chat(ctx context.Context, model *pluginv1.Instance, request []byte) (*pluginv1.ChatResponse, error) {
	impl, ok := p.impl.(Chatter[A])
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "model %q cannot chat", p.info.Name)
	}
	args, err := p.model(ctx, model)
	if err != nil {
		return &pluginv1.ChatResponse{Error: callError(ctx, err)}, nil
	}
	r := &llm.Request{}
	if err := json.Unmarshal(request, r); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the request is not valid: %s", err)
	}
	resp, err := impl.Chat(ctx, args, r)
	if err != nil {
		return &pluginv1.ChatResponse{Error: callError(ctx, err)}, nil
	}
	b, err := json.Marshal(resp)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "encode the answer: %s", err)
	}
	return &pluginv1.ChatResponse{Response: b}, nil
}

func (p *provider[A]) embed(ctx context.Context, req *pluginv1.EmbedRequest) (*pluginv1.EmbedResponse, error) {
	impl, ok := p.impl.(Embedder[A])
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "model %q cannot embed", p.info.Name)
	}
	args, err := p.model(ctx, req.Model)
	if err != nil {
		return &pluginv1.EmbedResponse{Error: callError(ctx, err)}, nil
	}
	e, err := impl.Embed(ctx, args, req.Texts)
	if err == nil && len(e.Vectors) != len(req.Texts) {
		err = &llm.CallError{Message: fmt.Sprintf("the model returned %[2]d embeddings for %[1]d texts", len(req.Texts), len(e.Vectors))}
	}
	if err != nil {
		return &pluginv1.EmbedResponse{Error: callError(ctx, err)}, nil
	}
	out := &pluginv1.EmbedResponse{InputTokens: e.InputTokens}
	for _, v := range e.Vectors {
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: v})
	}
	return out, nil
}

func (p *provider[A]) check(ctx context.Context, model *pluginv1.Instance) *pluginv1.CheckModelResponse {
	args, err := p.model(ctx, model)
	if c, ok := p.impl.(Checker[A]); ok && err == nil {
		err = c.Check(ctx, args)
	}
	if err != nil {
		return &pluginv1.CheckModelResponse{Error: callError(ctx, err)}
	}
	return &pluginv1.CheckModelResponse{}
}

// callError converts the error of an attempt. A timeout is temporary.
func callError(ctx context.Context, err error) *pluginv1.CallError {
	var call *llm.CallError
	if !errors.As(err, &call) {
		late := errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil
		return &pluginv1.CallError{Message: err.Error(), Temporary: late}
	}
	return wire.CallErrorToProto(call)
}
