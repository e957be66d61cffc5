package modelhost

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/quern-dev/quern/store/responses"
)

// A tag changes when the encoding of a key, or of the data stored under it,
// changes.
const (
	chatTag   = "quern.response.chat/v1"
	embedTag  = "quern.response.embed/v1"
	sealedTag = "quern.response.sealed/v1"
)

// chatKey returns the key of an answer: the model's definition, the canonical
// request, and the number of the draw.
func chatKey(definition string, request []byte, draw int64) responses.Key {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(draw))
	return hash(chatTag, definition, string(request), string(n[:]))
}

func embedKey(definition, text string) responses.Key {
	return hash(embedTag, definition, text)
}

// sealed returns the key of an answer to a text that may contain a secret. If
// it does, the key is a keyed digest with the store's key, so that nobody can
// guess the secret from the cache.
func (h *Hub) sealed(key responses.Key, text string) (responses.Key, error) {
	if !h.opts.Secrets.In(text) {
		return key, nil
	}
	digest, err := h.opts.Seal(key[:])
	if err != nil {
		return key, fmt.Errorf("make the key of an answer: %w", err)
	}
	return hash(sealedTag, digest), nil
}

// hash hashes strings, each preceded by its length in 8 bytes, big-endian.
func hash(parts ...string) responses.Key {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	return responses.Key(h.Sum(nil))
}
