package modelhost

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/responses"
)

// Request is a request that a stage made, and what the cache knows about its answer.
type Request struct {
	// Model is the address of the model.
	Model string
	// Digest is the key of the answer in the cache, sha256:HEX. It is empty if the
	// model's answers are not cached, and for the embeddings of several texts.
	Digest string
	Draw   int64
	// Texts is the number of texts of a request for embeddings, and 0 for any other.
	Texts int
	// Cached is set if the answer is in the cache. Otherwise the rest is not known.
	Cached bool
	// Asked is when the answer was stored. It is zero for embeddings.
	Asked time.Time
	// Usage and Cost, at the model's present prices, are what the answer took. Cost is
	// nil if there is no price.
	Usage llm.Usage
	Cost  *float64
}

// notCached answers a request that is replayed and whose answer is not in the cache.
var notCached = refusal{&pluginv1.CallError{Message: "the answer is not in the cache"}}

// replayChat answers a request from the cache alone.
func (h *Host) replayChat(e *endpoint, request *llm.Request, text []byte, draw int64) (*llm.Response, error) {
	if !e.Info.Cache {
		h.hub.opts.Replay(Request{Model: e.Address, Draw: draw})
		return nil, notCached
	}
	cache, err := h.hub.answers()
	if err != nil {
		return nil, err
	}
	key, err := h.hub.sealed(chatKey(e.Definition, text, draw), string(text))
	if err != nil {
		return nil, err
	}
	r, answer := cachedChat(cache, key, request)
	r.Model, r.Draw = e.Address, draw
	if answer == nil {
		h.hub.opts.Replay(r)
		return nil, notCached
	}
	answer = e.complete(answer, true, r.Digest)
	r.Cost = answer.Cost
	h.hub.opts.Replay(r)
	return answer, nil
}

// cachedChat looks up an answer. It returns nil if there is none.
func cachedChat(cache *responses.Cache, key responses.Key, request *llm.Request) (Request, *llm.Response) {
	r := Request{Digest: digestOf(key)}
	answer, stored := storedChat(cache, key)
	if answer == nil {
		return r, nil
	}
	q := &question[*llm.Response]{estimated: byScript.Request(request)}
	answer.Usage = q.usage(answer.Usage, said(answer))
	r.Cached, r.Asked, r.Usage = true, stored, answer.Usage
	return r, answer
}

// replayEmbed returns an error if embeddings are missing. Embeddings of several texts
// are those of a prompt's examples, which all rows share.
func (h *Host) replayEmbed(e *endpoint, texts, missing []string) error {
	r := Request{Model: e.Address, Texts: len(texts), Cached: len(missing) == 0}
	if len(texts) == 1 && e.Info.Cache {
		key, err := h.hub.sealed(embedKey(e.Definition, texts[0]), texts[0])
		if err != nil {
			return err
		}
		r.Digest = digestOf(key)
	}
	if len(texts) == 1 || !r.Cached {
		h.hub.opts.Replay(r)
	}
	if !r.Cached {
		return notCached
	}
	return nil
}

// Recorded returns what the cache knows about a request that a stage has recorded as
// JSON, to the model with that definition. The error is that of the JSON.
func Recorded(cache *responses.Cache, definition string, text []byte, draw int64) (Request, error) {
	request := &llm.Request{}
	if err := json.Unmarshal(text, request); err != nil {
		return Request{}, err
	}
	canonical, err := request.Encode()
	if err != nil {
		return Request{}, err
	}
	r, _ := cachedChat(cache, chatKey(definition, canonical, draw), request)
	r.Draw = draw
	return r, nil
}

// LookUp returns what the cache knows about an answer with that digest.
func LookUp(cache *responses.Cache, digest string) (Request, error) {
	key, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil || len(key) != len(responses.Key{}) {
		return Request{}, fmt.Errorf("%q is not the digest of an answer", digest)
	}
	r := Request{Digest: digest}
	if answer, stored := storedChat(cache, responses.Key(key)); answer != nil {
		r.Cached, r.Asked, r.Usage = true, stored, answer.Usage
	}
	return r, nil
}

func digestOf(key responses.Key) string { return "sha256:" + hex.EncodeToString(key[:]) }
