package modelhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/responses"
)

// mostTexts is the maximum number of texts in one attempt.
const mostTexts = 96

// embeddings are vectors, one for each text.
type embeddings [][]float32

// Embed returns the embeddings of texts, from the cache if possible. It
// requests equal texts once.
func (h *Host) Embed(ctx context.Context, req *pluginv1.HostServiceEmbedRequest) (*pluginv1.HostServiceEmbedResponse, error) {
	e, err := h.language(req.GetModel(), plan.CanEmbed)
	if err != nil {
		return nil, err
	}
	var found map[string][]float32
	err = h.unlessHalted(func() (err error) {
		found, err = h.embed(ctx, e, req.GetTexts())
		return err
	})
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return &pluginv1.HostServiceEmbedResponse{Error: refused.CallError}, nil
	case err != nil:
		return nil, h.stop(ctx, err)
	}
	out := &pluginv1.HostServiceEmbedResponse{}
	for _, text := range req.GetTexts() {
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: found[text]})
	}
	return out, nil
}

func (h *Host) embed(ctx context.Context, e *endpoint, texts []string) (map[string][]float32, error) {
	var cache *responses.Cache
	if e.Info.Cache {
		var err error
		if cache, err = h.hub.answers(); err != nil {
			return nil, err
		}
	}
	found := make(map[string][]float32, len(texts))
	var missing []string
	for _, text := range texts {
		if _, ok := found[text]; ok {
			continue
		}
		found[text] = nil
		if cache != nil {
			key, err := h.hub.sealed(embedKey(e.Definition, text), text)
			if err != nil {
				return nil, err
			}
			found[text] = keptVector(cache, key)
		}
		if found[text] == nil {
			missing = append(missing, text)
		}
	}
	if h.hub.opts.Replay != nil {
		return found, h.replayEmbed(e, texts, missing)
	}
	if len(missing) == 0 {
		h.spent(llm.Spend{CachedCalls: 1})
		return found, nil
	}
	return found, h.embedMissing(ctx, e, cache, missing, found)
}

func (h *Host) embedMissing(ctx context.Context, e *endpoint, cache *responses.Cache, missing []string, found map[string][]float32) error {
	g, ctx := parallel.WithContext(ctx)
	parts := make([]embeddings, (len(missing)+mostTexts-1)/mostTexts)
	part := func(i int) []string { return missing[i*mostTexts : min((i+1)*mostTexts, len(missing))] }
	for i := range parts {
		g.Go(func() (err error) {
			parts[i], err = h.embedPart(ctx, e, cache, part(i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, vectors := range parts {
		for j, text := range part(i) {
			found[text] = vectors[j]
		}
	}
	return nil
}

// embedPart requests embeddings in one call.
func (h *Host) embedPart(ctx context.Context, e *endpoint, cache *responses.Cache, texts []string) (embeddings, error) {
	q := &question[embeddings]{
		endpoint: e, operation: "embeddings", estimated: textTokens(texts),
	}
	q.ask = func(ctx context.Context, client pluginv1.PluginServiceClient) (reply[embeddings], error) {
		return askEmbed(ctx, q, client, texts)
	}
	if cache == nil {
		r, err := put(ctx, h, q)
		return r.answer, err
	}
	q.keep = func(r reply[embeddings]) error {
		g := parallel.New(-1)
		for i, text := range texts {
			g.Go(func() error {
				key, err := h.hub.sealed(embedKey(e.Definition, text), text)
				if err != nil {
					return err
				}
				return cache.Put(key, encodeVector(r.answer[i]))
			})
		}
		return g.Wait()
	}
	key := hash(append([]string{embedTag, e.Definition}, texts...)...)
	vectors, shared, err := h.hub.embeds.do(ctx, h.hub, key, func(work context.Context) (embeddings, error) {
		r, err := put(work, h, q)
		return r.answer, err
	})
	if err == nil && shared {
		h.spent(llm.Spend{CachedCalls: 1})
	}
	return vectors, err
}

func textTokens(texts []string) int64 {
	n := int64(len(texts))
	for _, text := range texts {
		n += byScript.Text(text)
	}
	return n
}

func askEmbed(ctx context.Context, q *question[embeddings], client pluginv1.PluginServiceClient, texts []string) (reply[embeddings], error) {
	var r reply[embeddings]
	resp, err := client.Embed(ctx, &pluginv1.EmbedRequest{Model: q.Instance, Trained: q.Trained, Texts: texts})
	if err != nil {
		return r, err
	}
	if r.err = resp.GetError(); r.err != nil {
		return r, nil
	}
	if n := len(resp.GetEmbeddings()); n != len(texts) {
		return r, fmt.Errorf("it returned %d embeddings for %d texts", n, len(texts))
	}
	for _, v := range resp.GetEmbeddings() {
		r.answer = append(r.answer, v.GetValues())
	}
	r.usage = q.usage(llm.Usage{Input: resp.GetInputTokens()}, "")
	return r, nil
}

// A cached embedding is stored as IEEE 754 values in 4 bytes each,
// little-endian.

func encodeVector(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, f := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
	}
	return out
}

// KeptEmbedding returns the cached embedding of a text by the model with that
// definition, or nil if there is none that can be read.
func KeptEmbedding(cache *responses.Cache, definition, text string) []float32 {
	return keptVector(cache, embedKey(definition, text))
}

func keptVector(cache *responses.Cache, key responses.Key) []float32 {
	content, ok := cache.Get(key)
	if !ok || len(content) == 0 || len(content)%4 != 0 {
		return nil
	}
	v := make([]float32, len(content)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(content[4*i:]))
	}
	return v
}
