package plugintest

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// ReadResult is the output of a Source.
type ReadResult struct {
	*Table
	Quarantined []Quarantined
	Fingerprint plugin.Fingerprint
}

// Quarantined is a row that was set aside.
type Quarantined struct{ Origin, Content, Error string }

// Read reads a Source. It fails the test if a second read returns other rows or
// another fingerprint.
func Read(t testing.TB, p plugin.Plugin, c Case) (*ReadResult, error) {
	t.Helper()
	s := start(t, p, c)
	b := s.bind(c)
	prepared, err := s.ready(b)
	if err != nil {
		return nil, err
	}
	if len(prepared.Outputs) != 1 {
		t.Fatalf("a source has one dataset, but %q declares %d outputs", c.Type, len(prepared.Outputs))
	}
	schema := data.FromProto(prepared.Outputs[0].Columns)
	first, err := s.read(b, schema, nil)
	if err != nil {
		return nil, err
	}
	second, err := s.read(b, schema, first.Fingerprint.Memo)
	if err != nil {
		return nil, fmt.Errorf("second pass: %w", err)
	}
	if first.Fingerprint.Value != second.Fingerprint.Value {
		t.Errorf("the fingerprint of the same content changes: first %q, then %q", first.Fingerprint.Value, second.Fingerprint.Value)
	}
	if diff := difference(first.Table, second.Table); diff != "" {
		t.Errorf("the same content was read as different rows (-first +second):\n%s", diff)
	}
	return first, nil
}

func (s *session) read(b *bound, schema data.Schema, memo []byte) (*ReadResult, error) {
	ctx := s.t.Context()
	f, err := s.client.Service().Fingerprint(ctx, &pluginv1.FingerprintRequest{Instance: b.instance, Memo: memo})
	if err == nil {
		err = client.Failure(s.client.Name(), f.Diagnostics)
	}
	if err != nil {
		return nil, err
	}
	out := &ReadResult{
		Table:       &Table{Columns: schema},
		Fingerprint: plugin.Fingerprint{Value: f.Fingerprint, Memo: f.Memo, Summary: f.Summary},
	}
	stream, err := s.client.Service().Read(ctx, &pluginv1.ReadRequest{Instance: b.instance, Memo: f.Memo})
	if err != nil {
		return nil, err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if err := s.readEvent(out, resp); err != nil {
			return nil, err
		}
	}
}

func (s *session) readEvent(out *ReadResult, resp *pluginv1.ReadResponse) error {
	switch e := resp.Event.(type) {
	case *pluginv1.ReadResponse_Rows:
		return out.appendRows(e.Rows)
	case *pluginv1.ReadResponse_Quarantined:
		q := e.Quarantined
		out.Quarantined = append(out.Quarantined, Quarantined{q.Origin, q.Content, q.Error})
	case *pluginv1.ReadResponse_Diagnostic:
		return client.Failure(s.client.Name(), []*pluginv1.Diagnostic{e.Diagnostic})
	}
	return nil
}

// appendRows decodes rows, which must have the table's columns.
func (t *Table) appendRows(b []byte) error {
	rec, err := data.DecodeBatch(b)
	if err != nil {
		return err
	}
	defer rec.Release()
	got, err := data.FromArrow(rec.Schema())
	if err != nil {
		return err
	}
	if !got.Equal(t.Columns) {
		return fmt.Errorf("the plugin declared the columns %v, but wrote %v", t.Columns, got)
	}
	t.Rows = append(t.Rows, toTable(got, []arrow.RecordBatch{rec}).Rows...)
	return nil
}
