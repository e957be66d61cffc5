package openai

import (
	"encoding/binary"
	"math"
	"net/http"
	"strings"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// embeddingRequest is the body of a request to /embeddings.
type embeddingRequest struct {
	Model          string `json:"model"`
	Input          texts  `json:"input"`
	EncodingFormat string `json:"encoding_format"`
}

func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	var wanted embeddingRequest
	vectors, err := func() ([]*pluginv1.Embedding, error) {
		if err := read(w, r, &wanted); err != nil {
			return nil, err
		}
		if err := s.known(wanted.Model); err != nil {
			return nil, err
		}
		got, err := s.models.Embed(r.Context(), &pluginv1.HostServiceEmbedRequest{Model: wanted.Model, Texts: wanted.Input})
		if err != nil {
			return nil, err
		}
		if e := got.GetError(); e != nil {
			return nil, refused(e)
		}
		return got.GetEmbeddings(), nil
	}()
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, embeddingsOf(&wanted, vectors))
}

type embedding struct {
	Object string `json:"object"`
	Index  int    `json:"index"`
	// Embedding is a list of numbers or, as OpenAI's clients ask for, the base64
	// of 32-bit floats in little-endian order.
	Embedding any `json:"embedding"`
}

func embeddingsOf(wanted *embeddingRequest, vectors []*pluginv1.Embedding) any {
	data := make([]embedding, len(vectors))
	for i, v := range vectors {
		data[i] = embedding{"embedding", i, v.GetValues()}
		if strings.EqualFold(wanted.EncodingFormat, "base64") {
			data[i].Embedding = packed(v.GetValues())
		}
	}
	return map[string]any{
		"object": "list", "model": wanted.Model, "data": data,
	}
}

// packed returns the bytes of a vector. encoding/json writes them as base64.
func packed(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
