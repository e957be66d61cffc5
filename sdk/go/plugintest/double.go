package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// FakeModel is an argument that contains a language model. Its functions
// replace the model in the test. They must depend only on the request, so that
// results are the same each time, and many goroutines call them. A
// *llm.CallError concerns only one request; any other error ends the stage. If
// a function is nil, the model lacks that capability.
type FakeModel struct {
	Chat  func(r *llm.Request, draw int) (*llm.Response, error)
	Embed func(text string) ([]float32, error)
	// Capabilities are further ones, such as plugin.CanScore.
	Capabilities []string
}

func (m FakeModel) capabilities() []string {
	out := slices.Clone(m.Capabilities)
	if m.Chat != nil {
		out = append(out, plugin.CanChat)
	}
	if m.Embed != nil {
		out = append(out, plugin.CanEmbed)
	}
	return out
}

// Prompt is an argument that contains a prompt: it returns the request for a
// row, or nil for null.
type Prompt func(row map[string]any) *llm.Request

// LateColumn is an argument that contains a late row expression. The row has
// the dataset's columns and the late names, with values as encoding/json would
// encode them.
type LateColumn func(row map[string]any) (any, error)

// PromptedModel is a Subject that is a model with a prompt.
type PromptedModel struct {
	Model  FakeModel
	Prompt Prompt
	// PromptWithExamples replaces Prompt.
	PromptWithExamples *PromptWithExamples
}

func (a PromptedModel) prompt() any {
	if a.PromptWithExamples != nil {
		return *a.PromptWithExamples
	}
	return a.Prompt
}

// PromptWithExamples is an argument that contains a prompt whose examples come
// from a dataset with the columns user and assistant.
type PromptWithExamples struct {
	Prompt   Prompt
	Examples Dataset
	Count    int
	Select   string // first, random, nearest
	Seed     int64
	// Model computes embeddings, and By is the text whose nearest examples are
	// selected.
	Model FakeModel
	By    Row
}

// FakeChat is a model that answers every request with a function of the last
// message.
func FakeChat(answer func(last string) string) FakeModel {
	return FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		last := r.Messages[len(r.Messages)-1].Content
		text := answer(last)
		return &llm.Response{
			Text: text, FinishReason: llm.FinishStop,
			Usage: llm.Usage{Input: int64(len(last)), Output: int64(len(text))},
		}, nil
	}}
}

// Chat makes a request to a case's model, whose type the plugin's Provider
// implements.
func Chat(t testing.TB, p plugin.Plugin, c Case, r *llm.Request) (*llm.Response, error) {
	t.Helper()
	s := start(t, p, c)
	b := s.bind(c)
	if _, err := s.ready(b); err != nil {
		return nil, err
	}
	return s.chat(t.Context(), r, s.modelOf(b)...)
}

// ChatTrained makes a request to a language model that the plugin trained, which its
// LanguageLoader loads.
func ChatTrained(t testing.TB, p plugin.Plugin, m Model, r *llm.Request) (*llm.Response, error) {
	t.Helper()
	s := start(t, p, Case{})
	return s.chat(t.Context(), r, trained(s.modelArtifact(m)))
}

// modelOf returns the messages that say which model a case's requests are for.
func (s *session) modelOf(b *bound) []*pluginv1.ChatRequest {
	out := []*pluginv1.ChatRequest{{Event: &pluginv1.ChatRequest_Start{Start: b.instance}}}
	for _, m := range b.models {
		out = append(out, trained(s.modelArtifact(m)))
	}
	return out
}

func trained(m *pluginv1.Artifact) *pluginv1.ChatRequest {
	return &pluginv1.ChatRequest{Event: &pluginv1.ChatRequest_Trained{Trained: m}}
}

func (s *session) chat(ctx context.Context, r *llm.Request, model ...*pluginv1.ChatRequest) (*llm.Response, error) {
	request, err := r.Encode()
	if err != nil {
		return nil, err
	}
	stream, err := s.client.Service().Chat(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range append(model, &pluginv1.ChatRequest{Event: &pluginv1.ChatRequest_Request{Request: request}}) {
		// Recv returns the reason for a failed send.
		_ = stream.Send(m)
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, wire.CallErrorFromProto(resp.Error)
	}
	out := &llm.Response{}
	return out, json.Unmarshal(resp.Response, out)
}

// Embed asks a case's model for embeddings.
func Embed(t testing.TB, p plugin.Plugin, c Case, texts ...string) (*plugin.Embeddings, error) {
	t.Helper()
	s := start(t, p, c)
	b := s.bind(c)
	if _, err := s.ready(b); err != nil {
		return nil, err
	}
	resp, err := s.client.Service().Embed(t.Context(), &pluginv1.EmbedRequest{Model: b.instance, Texts: texts})
	if err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, wire.CallErrorFromProto(resp.Error)
	}
	out := &plugin.Embeddings{InputTokens: resp.InputTokens}
	for _, e := range resp.Embeddings {
		out.Vectors = append(out.Vectors, e.Values)
	}
	return out, nil
}

// Chat answers with a fake model.
func (h *host) Chat(stream pluginv1.HostService_ChatServer) error {
	return wire.Answer(stream, h.answerChat)
}

func (h *host) answerChat(_ context.Context, req *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error) {
	double := h.bound.doubles[req.Model]
	if double.Chat == nil {
		return nil, status.Errorf(codes.NotFound, "no model %q can chat", req.Model)
	}
	r, err := llm.DecodeRequest(req.Request)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	resp, err := double.Chat(r, int(req.Draw))
	if err != nil {
		failure, err := hostError(err)
		return &pluginv1.HostServiceChatResponse{Error: failure}, err
	}
	out, err := json.Marshal(resp)
	return &pluginv1.HostServiceChatResponse{Response: out}, err
}

// Embed answers with a fake model.
func (h *host) Embed(_ context.Context, req *pluginv1.HostServiceEmbedRequest) (*pluginv1.HostServiceEmbedResponse, error) {
	double := h.bound.doubles[req.Model]
	if double.Embed == nil {
		return nil, status.Errorf(codes.NotFound, "no model %q can embed", req.Model)
	}
	out := &pluginv1.HostServiceEmbedResponse{}
	for _, text := range req.Texts {
		v, err := double.Embed(text)
		if err != nil {
			failure, err := hostError(err)
			return &pluginv1.HostServiceEmbedResponse{Error: failure}, err
		}
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: v})
	}
	return out, nil
}

// Reject does nothing: fake models do not cache.
func (h *host) Reject(context.Context, *pluginv1.HostServiceRejectRequest) (*pluginv1.HostServiceRejectResponse, error) {
	return &pluginv1.HostServiceRejectResponse{}, nil
}

// hostError distinguishes errors of a request from those that end a stage.
func hostError(err error) (*pluginv1.CallError, error) {
	var call *llm.CallError
	if errors.As(err, &call) {
		return wire.CallErrorToProto(call), nil
	}
	return nil, status.Error(codes.Aborted, err.Error())
}

// Evaluate computes a late row expression with its function.
func (h *host) Evaluate(_ context.Context, req *pluginv1.HostServiceEvaluateRequest) (*pluginv1.HostServiceEvaluateResponse, error) {
	late := h.bound.late[req.Argument]
	if late == nil {
		return nil, status.Errorf(codes.NotFound, "no late argument %q exists", req.Argument)
	}
	rec, err := data.DecodeBatch(req.Rows)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	out := &pluginv1.HostServiceEvaluateResponse{}
	values := make([]map[string]any, rec.NumRows())
	for i := range values {
		v, err := late(lateRow(rec, i))
		if err != nil {
			out.Errors = append(out.Errors, &pluginv1.RowError{Row: int64(i), Message: err.Error()})
			v = nil
		}
		values[i] = map[string]any{"value": v}
	}
	out.Rows, err = encodeRows(values)
	return out, err
}

// lateRow is the row that a LateColumn gets: the columns and the late names.
func lateRow(rec arrow.RecordBatch, i int) map[string]any {
	row := map[string]any{}
	for j, f := range rec.Schema().Fields() {
		row[f.Name] = goValue(rec.Column(j), i)
	}
	return row
}

// encodeRows encodes rows of one column "value", whose type is that of its
// first value.
func encodeRows(rows []map[string]any) ([]byte, error) {
	typ := ""
	for _, r := range rows {
		t, err := typeOfValue(r["value"])
		if err != nil {
			return nil, err
		}
		if typ == "" {
			typ = t
		}
	}
	if typ == "" {
		typ = "string"
	}
	schema := data.Schema{{Name: "value", Type: typ}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	for _, r := range rows {
		if err := appendValue(b.Field(0), r["value"]); err != nil {
			return nil, fmt.Errorf("value of a late expression: %w", err)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return data.EncodeBatch(rec)
}
