package plugintest

import (
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// SubmitBatch submits requests to a model in one attempt and returns the batch's
// token. The requests are given separately: b.Requests is ignored. An error is a
// *llm.CallError.
func SubmitBatch(t testing.TB, p plugin.Plugin, c Case, b *plugin.BatchSubmission, requests ...plugin.BatchRequest) ([]byte, error) {
	t.Helper()
	s := start(t, p, c)
	model := s.bind(c)
	if _, err := s.ready(model); err != nil {
		return nil, err
	}
	stream, err := s.client.Service().SubmitBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := &pluginv1.SubmitBatchRequest{Model: model.instance, Name: b.Name}
	if b.Again {
		ago := time.Since(b.Begun).Seconds()
		m.BegunSecondsAgo = &ago
	}
	for _, r := range requests {
		text, err := r.Request.Encode()
		if err != nil {
			t.Fatal(err)
		}
		// One message each, as quern does with large ones.
		m.Requests = []*pluginv1.BatchRequest{{Id: r.ID, Request: text}}
		if stream.Send(m) != nil {
			break // the response tells the reason
		}
		m = &pluginv1.SubmitBatchRequest{}
	}
	resp, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if resp.Error != nil {
		return nil, wire.CallErrorFromProto(resp.Error)
	}
	return resp.Token, nil
}

// ReadBatch returns how far a batch is, and its answers by the IDs of the
// requests. An error is a *llm.CallError.
func ReadBatch(t testing.TB, p plugin.Plugin, c Case, token []byte) (*plugin.BatchStatus, map[string]plugin.BatchAnswer, error) {
	t.Helper()
	s := start(t, p, c)
	model := s.bind(c)
	if _, err := s.ready(model); err != nil {
		return nil, nil, err
	}
	stream, err := s.client.Service().ReadBatch(t.Context(), &pluginv1.ReadBatchRequest{Model: model.instance, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	var status *plugin.BatchStatus
	answers := map[string]plugin.BatchAnswer{}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return status, answers, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := m.Event.(type) {
		case *pluginv1.ReadBatchResponse_Status:
			status = &plugin.BatchStatus{
				Done: e.Status.Done, Answered: e.Status.Answered, Total: e.Status.Total, Message: e.Status.Message,
				CheckAfter: time.Duration(e.Status.GetCheckAfterSeconds() * float64(time.Second)),
			}
		case *pluginv1.ReadBatchResponse_Error:
			return status, answers, wire.CallErrorFromProto(e.Error)
		case *pluginv1.ReadBatchResponse_Answer:
			answers[e.Answer.Id] = batchAnswer(t, e.Answer)
		}
	}
}

func batchAnswer(t testing.TB, a *pluginv1.BatchAnswer) plugin.BatchAnswer {
	t.Helper()
	out := plugin.BatchAnswer{ID: a.Id}
	if a.Error != nil {
		out.Err = wire.CallErrorFromProto(a.Error)
		return out
	}
	out.Response = &llm.Response{}
	if err := json.Unmarshal(a.Response, out.Response); err != nil {
		t.Fatal(err)
	}
	return out
}
