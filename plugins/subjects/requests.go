package subjects

import (
	"context"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Requests are requests to models that were answered for one row, in their order. The
// results of an evaluation contain them, so that "quern lineage -calls" can show them.
// They are not safe for concurrent use.
type Requests []answeredRequest

type answeredRequest struct {
	// Model is the key of the argument that names the model.
	Model string `json:"model"`
	Draw  int    `json:"draw,omitempty"`
	// Digest, Usage, and Cost are those of the response.
	Digest string    `json:"digest,omitempty"`
	Usage  llm.Usage `json:"usage"`
	Cost   *float64  `json:"cost,omitempty"`
}

// Through returns an asker that adds the requests that host answers.
func (r *Requests) Through(host prompting.Asker) prompting.Asker { return recorder{host, r} }

// JSON returns the requests, or false if there are none.
func (r Requests) JSON() (text string, ok bool, err error) {
	if len(r) == 0 {
		return "", false, nil
	}
	encoded, err := jsontext.Marshal(r)
	return string(encoded), true, err
}

type recorder struct {
	prompting.Asker
	to *Requests
}

// Chat implements prompting.Asker.
func (r recorder) Chat(ctx context.Context, m plugin.Model, q *llm.Request, draw int) (*llm.Response, error) {
	response, err := r.Asker.Chat(ctx, m, q, draw)
	if err == nil {
		*r.to = append(*r.to, answeredRequest{Model: m.Key, Draw: draw, Digest: response.Digest, Usage: response.Usage, Cost: response.Cost})
	}
	return response, err
}
