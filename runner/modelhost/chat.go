package modelhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/responses"
)

// Chat answers requests to language models, from the cache or by calling them.
func (h *Host) Chat(stream pluginv1.HostService_ChatServer) error {
	return wire.Answer(stream, h.Answer)
}

// Answer answers one request of Chat.
func (h *Host) Answer(ctx context.Context, req *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
	request := &llm.Request{}
	if err := json.Unmarshal(req.GetRequest(), request); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the request is not valid JSON for llm.Request: %v", err)
	}
	e, err := h.language(req.GetModel(), request.Capabilities()...)
	if err != nil {
		return nil, err
	}
	text, err := request.Encode()
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the request cannot be encoded: %v", err)
	}
	var answer *llm.Response
	err = h.unlessHalted(func() (err error) {
		answer, err = h.chat(ctx, e, request, text, req)
		return err
	})
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return &pluginv1.HostServiceChatResponse{Error: refused.CallError}, nil
	case err != nil:
		return nil, h.stop(ctx, err)
	}
	content, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode an answer of %s: %w", e.Address, err)
	}
	return &pluginv1.HostServiceChatResponse{Response: content}, nil
}

// chat returns an answer with everything that the host adds.
func (h *Host) chat(ctx context.Context, e *endpoint, request *llm.Request, text []byte, req *pluginv1.HostServiceChatRequest) (*llm.Response, error) {
	draw := req.GetDraw()
	if h.hub.opts.Replay != nil {
		return h.replayChat(e, request, text, draw)
	}
	request, sent, err := e.drawn(request, text, draw)
	if err != nil {
		return nil, err
	}
	q := &question[*llm.Response]{
		endpoint: e, operation: "chat", request: request, estimated: byScript.Request(request),
	}
	q.ask = func(ctx context.Context, client pluginv1.PluginServiceClient) (reply[*llm.Response], error) {
		return askChat(ctx, q, client, sent, h.hub.opts.Report)
	}
	if request.MaxTokens != nil {
		q.most = *request.MaxTokens
	}
	if !e.Info.Cache {
		r, err := put(ctx, h, q)
		if err != nil {
			return nil, err
		}
		return e.complete(r.answer, false, ""), nil
	}
	cache, err := h.hub.answers()
	if err != nil {
		return nil, err
	}
	key, err := h.hub.sealed(chatKey(e.Definition, text, draw), string(text))
	if err != nil {
		return nil, err
	}
	if e.Info.Batch != nil && request.Prompt == "" {
		answer, err := h.batched(ctx, q, cache, key, sent, req.GetAcceptsTruncated())
		if err != nil {
			return nil, err
		}
		return e.complete(answer, answer.Cached, digestOf(key)), nil
	}
	acceptsTruncated := req.GetAcceptsTruncated() || request.OnlyScores()
	q.keep = func(r reply[*llm.Response]) error {
		if r.answer.FinishReason == llm.FinishLength && !acceptsTruncated {
			return nil // the answer is incomplete
		}
		return h.keepChat(e, cache, key, text, r.answer)
	}
	return h.cachedChat(ctx, q, cache, key)
}

// cachedChat returns the cached answer to a question, or asks it once for all that
// want the answer at the same time.
func (h *Host) cachedChat(ctx context.Context, q *question[*llm.Response], cache *responses.Cache, key responses.Key) (*llm.Response, error) {
	answer, shared, err := h.hub.chats.do(ctx, h.hub, key, func(work context.Context) (*llm.Response, error) {
		if kept := keptChat(cache, key); kept != nil && h.mayGive(key) {
			h.spent(llm.Spend{CachedCalls: 1})
			kept.Usage, kept.Cached = q.usage(kept.Usage, said(kept)), true
			return kept, nil
		}
		r, err := put(work, h, q)
		return r.answer, err
	})
	if err != nil {
		return nil, err
	}
	if shared {
		h.spent(llm.Spend{CachedCalls: 1})
	}
	return q.complete(answer, shared || answer.Cached, digestOf(key)), nil
}

// keepChat stores an answer, unless it repeats a secret from its request: with the
// secret, it must not be stored. Without it, it would not be the answer, because
// whether a model repeats a secret may be what is measured.
func (h *Host) keepChat(e *endpoint, cache *responses.Cache, key responses.Key, request []byte, answer *llm.Response) error {
	content, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("cache an answer: %w", err)
	}
	spelled := len(answer.PromptLogProbs) > 0 && h.hub.opts.Secrets.In(string(request))
	if spelled || h.hub.opts.Secrets.In(string(content)) {
		e.unkept.Do(func() {
			h.hub.opts.Report(fmt.Errorf("an answer of %s repeats a sensitive value from its request; such answers are not cached, so the next run requests them again", e.Address))
		})
		return nil
	}
	if err := cache.Put(key, content); err != nil {
		return err
	}
	h.hasAnswer(key)
	return nil
}

// drawn returns a request and its text as they are sent. With a fixed seed, all
// draws would be the same, so consecutive draws use consecutive seeds.
func (e *endpoint) drawn(request *llm.Request, text []byte, draw int64) (*llm.Request, []byte, error) {
	seed := request.WithDefaults(&e.Defaults).Seed
	if seed == nil || draw == 0 {
		return request, text, nil
	}
	other := *request
	next := *seed + draw
	other.Seed = &next
	text, err := other.Encode()
	return &other, text, err
}

// Reject removes the response to a request from the cache.
func (h *Host) Reject(ctx context.Context, req *pluginv1.HostServiceRejectRequest) (*pluginv1.HostServiceRejectResponse, error) {
	e, err := h.language(req.GetModel())
	if err != nil {
		return nil, err
	}
	if !e.Info.Cache || h.hub.opts.Replay != nil {
		return &pluginv1.HostServiceRejectResponse{}, nil
	}
	cache, err := h.hub.answers()
	if err != nil {
		return nil, h.stop(ctx, err)
	}
	key, err := h.hub.sealed(chatKey(e.Definition, req.GetRequest(), req.GetDraw()), string(req.GetRequest()))
	if err == nil {
		err = cache.Delete(key)
	}
	if err != nil {
		return nil, h.stop(ctx, err)
	}
	return &pluginv1.HostServiceRejectResponse{}, nil
}

func askChat(ctx context.Context, q *question[*llm.Response], client pluginv1.PluginServiceClient, request []byte, report func(error)) (reply[*llm.Response], error) {
	var r reply[*llm.Response]
	started := time.Now()
	resp, err := q.chats.Ask(ctx, func(ctx context.Context) (pluginv1.PluginService_ChatClient, error) {
		return startChat(ctx, client, q.Language)
	}, &pluginv1.ChatRequest{Event: &pluginv1.ChatRequest_Request{Request: request}})
	if err != nil {
		return r, err
	}
	if r.err = resp.GetError(); r.err != nil {
		return r, nil
	}
	if r.answer, err = q.decode(resp.GetResponse(), report); err != nil {
		return r, err
	}
	r.answer.Latency, r.answer.Cost, r.answer.Cached = time.Since(started).Seconds(), nil, false
	r.answer.Usage = q.usage(r.answer.Usage, said(r.answer))
	r.err = unanswered(r.answer)
	r.usage, r.finish, r.model = r.answer.Usage, r.answer.FinishReason, r.answer.Model
	return r, nil
}

// decode decodes an answer, without what no message may contain.
func (e *endpoint) decode(response []byte, report func(error)) (*llm.Response, error) {
	answer := &llm.Response{}
	text := e.redactor.Answer(string(response)) // an endpoint may echo the key
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		return nil, fmt.Errorf("its answer is not valid JSON for llm.Response: %w", err)
	}
	if text != string(response) {
		answer.LogProbs, answer.PromptLogProbs = nil, nil // they spell out the secret
		e.echoed.Do(func() {
			report(fmt.Errorf("an answer of %s contains a sensitive value from its configuration; the value is replaced by %s", e.Address, value.Redacted))
		})
	}
	return answer, nil
}

func startChat(ctx context.Context, client pluginv1.PluginServiceClient, l *Language) (pluginv1.PluginService_ChatClient, error) {
	stream, err := client.Chat(ctx)
	if err != nil {
		return nil, err
	}
	// Recv returns the reason for a failed send.
	if l.Instance != nil {
		_ = stream.Send(&pluginv1.ChatRequest{Event: &pluginv1.ChatRequest_Start{Start: l.Instance}})
	}
	if l.Trained != nil {
		_ = stream.Send(&pluginv1.ChatRequest{Event: &pluginv1.ChatRequest_Trained{Trained: l.Trained}})
	}
	return stream, nil
}

// keptChat returns the cached answer under a key, or nil if there is none that
// can be read.
func keptChat(cache *responses.Cache, key responses.Key) *llm.Response {
	answer, _ := storedChat(cache, key)
	return answer
}

// storedChat is keptChat with the time when the answer was stored.
func storedChat(cache *responses.Cache, key responses.Key) (*llm.Response, time.Time) {
	content, stored, ok := cache.GetStored(key)
	answer := &llm.Response{}
	if !ok || json.Unmarshal(content, answer) != nil || unanswered(answer) != nil {
		return nil, time.Time{}
	}
	return answer, stored
}

// complete returns a copy of an answer with what is not part of the cached answer: its
// cost at present prices, whether it was cached, and the digest of its key.
func (e *endpoint) complete(answer *llm.Response, cached bool, digest string) *llm.Response {
	out := *answer
	out.Cost = e.Info.Price.Cost(out.Usage.Input, out.Usage.CachedInput, out.Usage.Output)
	out.Cached, out.Digest = cached, digest
	return &out
}
