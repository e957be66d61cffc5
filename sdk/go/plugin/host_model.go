package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Host is a stage's access to the models that it was given. Any number of
// goroutines can call its methods. Calls wait as long as limits require: for
// 500 requests at the same time, make 500 calls.
//
// A *llm.CallError concerns a single request: the model did not answer it, and
// quern's own retries did not help, or the request waits in a batch. Pass it to
// Batch.Fail. A Runner that gets one that is pending makes its other calls, so that
// they are in the batch, too; whatever it then returns, its stage is pending. Any other error
// concerns the run, for example because it was interrupted or its budget is
// spent: return it from Map or Run.
type Host struct{ conn *hostConn }

// Chat asks a model. To get several answers to the same request, number them
// with draw: 0, 1, and so on. Each is requested only once and then comes from
// the cache.
func (h *Host) Chat(ctx context.Context, m Model, r *llm.Request, draw int) (*llm.Response, error) {
	request, err := r.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode the request to model %q: %w", m.Key, err)
	}
	resp, err := h.conn.chat(ctx, &pluginv1.HostServiceChatRequest{Model: m.Key, Request: request, Draw: int64(draw)})
	if err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, wire.CallErrorFromProto(resp.Error)
	}
	out := &llm.Response{}
	if err := json.Unmarshal(resp.Response, out); err != nil {
		return nil, fmt.Errorf("decode the answer of model %q: %w", m.Key, err)
	}
	return out, nil
}

// OpenAIAPI returns where the stage's language models can be called through
// OpenAI's API: a base URL such as http://127.0.0.1:40123/v1, and the API key that
// every request needs. Models are named by their keys. Requests are cached,
// limited, retried, and counted like those of Chat, so the client should not
// retry them. Both are empty unless Prepare called UseOpenAIAPI.
func (h *Host) OpenAIAPI() (baseURL, apiKey string) {
	return h.conn.openai.GetBaseUrl(), h.conn.openai.GetApiKey()
}

// Reject tells quern that the stage cannot use the answer to a request, so that
// the next run asks again instead of using the cache.
func (h *Host) Reject(ctx context.Context, m Model, r *llm.Request, draw int) error {
	request, err := r.Encode()
	if err != nil {
		return fmt.Errorf("encode the request to model %q: %w", m.Key, err)
	}
	client, err := h.conn.client()
	if err != nil {
		return err
	}
	_, err = client.Reject(ctx, &pluginv1.HostServiceRejectRequest{Model: m.Key, Request: request, Draw: int64(draw)})
	return err
}

// Embed returns the embedding of each text, in order.
func (h *Host) Embed(ctx context.Context, m Model, texts []string) ([][]float32, error) {
	client, err := h.conn.client()
	if err != nil {
		return nil, err
	}
	resp, err := client.Embed(ctx, &pluginv1.HostServiceEmbedRequest{Model: m.Key, Texts: texts})
	if err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, wire.CallErrorFromProto(resp.Error)
	}
	if len(resp.Embeddings) != len(texts) {
		return nil, fmt.Errorf("model %q returned %d embeddings for %d texts", m.Key, len(resp.Embeddings), len(texts))
	}
	out := make([][]float32, len(texts))
	for i, e := range resp.Embeddings {
		out[i] = e.Values
	}
	return out, nil
}

// Evaluate computes a late row expression for rows of the dataset that it
// belongs to. late holds the values of the late names, one for each row. The
// result has a value for each row, null for those in the RowErrors; the caller
// releases it.
func (h *Host) Evaluate(ctx context.Context, l LateColumn, rec arrow.RecordBatch, late map[string]arrow.Array) (arrow.Array, []RowError, error) {
	client, err := h.conn.client()
	if err != nil {
		return nil, nil, err
	}
	with := withLate(rec, late)
	defer with.Release()
	rows, err := data.EncodeBatch(with)
	if err != nil {
		return nil, nil, err
	}
	resp, err := client.Evaluate(ctx, &pluginv1.HostServiceEvaluateRequest{Argument: l.Key, Rows: rows})
	if err != nil {
		return nil, nil, err
	}
	out, err := data.DecodeBatch(resp.Rows)
	if err != nil {
		return nil, nil, fmt.Errorf("decode the values of %q: %w", l.Key, err)
	}
	defer out.Release()
	if out.NumRows() != rec.NumRows() || out.NumCols() != 1 {
		return nil, nil, fmt.Errorf("%q was evaluated for %d rows, but returned %d values in %d columns", l.Key, rec.NumRows(), out.NumRows(), out.NumCols())
	}
	values := out.Column(0)
	values.Retain()
	return values, rowErrors(resp.Errors), nil
}

// withLate adds late names to the columns of a batch. Other fields of the batch
// do not matter to a late expression and are not sent.
func withLate(rec arrow.RecordBatch, late map[string]arrow.Array) arrow.RecordBatch {
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		if data.Columns.Holds(f) {
			fields, columns = append(fields, f), append(columns, rec.Column(i))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(late)) {
		fields = append(fields, data.LateNames.Field(name, late[name].DataType()))
		columns = append(columns, late[name])
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
}

var errNoHost = errors.New("the stage has neither models nor late expressions")
