package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type callable interface {
	Type
	// called returns the model of a block, which wraps a trained one unless that
	// is nil.
	called(model *pluginv1.Instance, trained *pluginv1.Artifact) calledModel
	check(context.Context, *pluginv1.Instance) *pluginv1.CheckModelResponse
}

// calledModel is a language model that calls come for. language opens it with
// the first call.
type calledModel struct {
	name     string
	language func(context.Context) (*Language, error)
}

// provider keeps the models that were called.
type provider[A any] struct {
	core[A]
	opened opened[modelKey, *A]
}

// modelKey identifies a model: each call brings all of it.
type modelKey struct{ address, config, trained string }

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
	if err := p.batches(prepared.Model); err != nil {
		prepared.Diagnostics = append(prepared.Diagnostics, diagnostics(p.fault(err))...)
	}
	return prepared
}

// model returns the arguments of a configuration, ready for calls.
func (p *provider[A]) model(ctx context.Context, in *pluginv1.Instance, trained *pluginv1.Artifact) (*A, error) {
	return p.opened.get(ctx, modelKey{in.GetAddress(), string(in.GetConfig()), trained.GetDigest()}, func(ctx context.Context) (*A, error) {
		args, _, err := p.ready(ctx, in)
		if err != nil || trained == nil {
			return args, err
		}
		w, ok := p.impl.(Wrapper[A])
		if !ok {
			return nil, p.fault(errors.New("it has an argument for a trained model, but does not implement Wrapper"))
		}
		return args, w.OpenModel(ctx, args, newModelFiles(trained))
	})
}

func (p *provider[A]) called(in *pluginv1.Instance, trained *pluginv1.Artifact) calledModel {
	return calledModel{fmt.Sprintf("model %q", p.info.Name), func(ctx context.Context) (*Language, error) {
		args, err := p.model(ctx, in, trained)
		l := &Language{}
		if impl, ok := p.impl.(Chatter[A]); ok {
			l.Chat = func(ctx context.Context, r *llm.Request) (*llm.Response, error) { return impl.Chat(ctx, args, r) }
		}
		if impl, ok := p.impl.(Embedder[A]); ok {
			l.Embed = func(ctx context.Context, texts []string) (*Embeddings, error) { return impl.Embed(ctx, args, texts) }
		}
		return l, err
	}}
}

func (m calledModel) chat(ctx context.Context, request []byte) (*pluginv1.ChatResponse, error) {
	l, err := m.language(ctx)
	switch {
	case err != nil:
		return &pluginv1.ChatResponse{Error: callError(ctx, err)}, nil
	case l.Chat == nil:
		return nil, status.Errorf(codes.Unimplemented, "%s cannot chat", m.name)
	}
	r := &llm.Request{}
	if err := json.Unmarshal(request, r); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the request is not valid: %s", err)
	}
	resp, err := l.Chat(ctx, r)
	if err != nil {
		return &pluginv1.ChatResponse{Error: callError(ctx, err)}, nil
	}
	b, err := json.Marshal(resp)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "encode the answer: %s", err)
	}
	return &pluginv1.ChatResponse{Response: b}, nil
}

func (m calledModel) embed(ctx context.Context, texts []string) (*pluginv1.EmbedResponse, error) {
	l, err := m.language(ctx)
	switch {
	case err != nil:
		return &pluginv1.EmbedResponse{Error: callError(ctx, err)}, nil
	case l.Embed == nil:
		return nil, status.Errorf(codes.Unimplemented, "%s cannot embed", m.name)
	}
	e, err := l.Embed(ctx, texts)
	if err == nil && len(e.Vectors) != len(texts) {
		err = &llm.CallError{Message: fmt.Sprintf("the model returned %[2]d embeddings for %[1]d texts", len(texts), len(e.Vectors))}
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

// trainedModel returns a model that the plugin trained.
func (s *server) trainedModel(artifact *pluginv1.Artifact) (calledModel, error) {
	name := fmt.Sprintf("the model (%s)", artifact.GetFormat())
	loader, err := findLanguageLoader(s.plugin.Types, artifact.GetFormat())
	if err != nil {
		return calledModel{}, status.Error(codes.FailedPrecondition, err.Error())
	}
	return calledModel{name, func(ctx context.Context) (*Language, error) {
		return s.trained.get(ctx, artifact.GetDigest(), func(ctx context.Context) (*Language, error) {
			l, err := loader.LoadLanguage(ctx, newModelFiles(artifact))
			if err != nil {
				return nil, fmt.Errorf("load %s: %w", name, err)
			}
			return l, nil
		})
	}}, nil
}

func findLanguageLoader(types []Type, format string) (LanguageLoader, error) {
	for _, t := range types {
		r, ok := t.(runnable)
		if !ok {
			continue
		}
		if l, ok := r.languageLoader(); ok && slices.Contains(l.LanguageFormats(), format) {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no type of the plugin can call models of format %q", format)
}

func (p *provider[A]) check(ctx context.Context, model *pluginv1.Instance) *pluginv1.CheckModelResponse {
	args, err := p.model(ctx, model, nil)
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
