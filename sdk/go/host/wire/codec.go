package wire

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	pb "google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// codec is gRPC's codec for protocol buffers, but it writes messages that are
// mostly rows without copying the rows, and reads them with one copy less. The
// bytes on the wire are the same.
type codec struct{}

var standard = encoding.GetCodecV2(proto.Name)

// Name is that of the standard codec: the other side may use that.
func (codec) Name() string { return proto.Name }

// Field numbers of rows.
const (
	mapRequestRows  = 2
	mapResponseRows = 1
	readRows        = 1
	runRows         = 2 // RunResponse.rows, a Rows message
	rowsRows        = 2 // Rows.rows
)

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *pluginv1.MapRequest:
		if rows, ok := m.Event.(*pluginv1.MapRequest_Rows); ok {
			tail, err := pb.Marshal(&pluginv1.MapRequest{Tokens: m.Tokens})
			return field(mapRequestRows, rows.Rows, tail), err
		}
	case *pluginv1.PredictRequest:
		if rows, ok := m.Event.(*pluginv1.PredictRequest_Rows); ok {
			return field(mapRequestRows, rows.Rows, nil), nil
		}
	case *pluginv1.ReadResponse:
		if rows, ok := m.Event.(*pluginv1.ReadResponse_Rows); ok {
			return field(readRows, rows.Rows, nil), nil
		}
	case *pluginv1.MapResponse:
		return marshalWithRows(m.Rows, &pluginv1.MapResponse{
			Errors: m.Errors, Diagnostics: m.Diagnostics, Finished: m.Finished, Failed: m.Failed, Failure: m.Failure, Counts: m.Counts,
			More: m.More,
		})
	case *pluginv1.PredictResponse:
		return marshalWithRows(m.Rows, &pluginv1.PredictResponse{Errors: m.Errors, More: m.More})
	case *pluginv1.RunResponse:
		if rows, ok := m.Event.(*pluginv1.RunResponse_Rows); ok {
			return nestedRows(rows.Rows)
		}
	}
	return standard.Marshal(v)
}

// field writes one bytes field without copying its content, followed by tail.
func field(number protowire.Number, content, tail []byte) mem.BufferSlice {
	head := protowire.AppendTag(nil, number, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(content)))
	return bufferOf(head, content, tail)
}

func bufferOf(parts ...[]byte) mem.BufferSlice {
	var out mem.BufferSlice
	for _, p := range parts {
		if len(p) > 0 {
			out = append(out, mem.SliceBuffer(p))
		}
	}
	return out
}

// marshalWithRows writes rows, which are field 1, followed by the rest of a
// message.
func marshalWithRows(rows []byte, rest pb.Message) (mem.BufferSlice, error) {
	tail, err := pb.Marshal(rest)
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", rest, err)
	}
	if len(rows) == 0 {
		return bufferOf(tail), nil
	}
	return field(mapResponseRows, rows, tail), nil
}

// nestedRows writes a RunResponse that contains rows.
func nestedRows(r *pluginv1.Rows) (mem.BufferSlice, error) {
	tail, err := pb.Marshal(&pluginv1.Rows{Dropped: r.GetDropped()})
	if err != nil {
		return nil, fmt.Errorf("marshal which rows were dropped: %w", err)
	}
	inner := protowire.AppendTag(nil, 1, protowire.BytesType)
	inner = protowire.AppendString(inner, r.GetOutput())
	inner = protowire.AppendTag(inner, rowsRows, protowire.BytesType)
	inner = protowire.AppendVarint(inner, uint64(len(r.GetRows())))
	head := protowire.AppendTag(nil, runRows, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(inner)+len(r.GetRows())+len(tail)))
	return bufferOf(append(head, inner...), r.GetRows(), tail), nil
}

// Unmarshal decodes a message. If it only contains rows, they share the buffer
// that the message was collected in.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *pluginv1.MapRequest:
		return readRowsField(data, mapRequestRows, m, func(rows []byte) {
			m.Event = &pluginv1.MapRequest_Rows{Rows: rows}
		})
	case *pluginv1.PredictRequest:
		return readRowsField(data, mapRequestRows, m, func(rows []byte) {
			m.Event = &pluginv1.PredictRequest_Rows{Rows: rows}
		})
	case *pluginv1.ReadResponse:
		return readRowsField(data, readRows, m, func(rows []byte) {
			m.Event = &pluginv1.ReadResponse_Rows{Rows: rows}
		})
	case *pluginv1.RunResponse:
		return readNestedRows(data, m)
	}
	return standard.Unmarshal(data, v)
}

func readRowsField(data mem.BufferSlice, number protowire.Number, m pb.Message, set func([]byte)) error {
	whole := collect(data)
	if rows, ok := onlyField(whole, number); ok {
		pb.Reset(m)
		set(rows)
		return nil
	}
	if err := pb.Unmarshal(whole, m); err != nil {
		return fmt.Errorf("unmarshal %T: %w", m, err)
	}
	return nil
}

// collect returns the bytes of a message in one piece.
func collect(data mem.BufferSlice) []byte {
	whole := make([]byte, data.Len())
	data.CopyTo(whole)
	return whole
}

// readNestedRows reads a RunResponse, which usually contains rows.
func readNestedRows(data mem.BufferSlice, m *pluginv1.RunResponse) error {
	whole := collect(data)
	if inner, ok := onlyField(whole, runRows); ok {
		if content, rest, ok := cutField(inner, rowsRows); ok {
			rows := new(pluginv1.Rows)
			if err := pb.Unmarshal(rest, rows); err != nil {
				return fmt.Errorf("unmarshal %T: %w", m, err)
			}
			rows.Rows = content
			pb.Reset(m)
			m.Event = &pluginv1.RunResponse_Rows{Rows: rows}
			return nil
		}
	}
	if err := pb.Unmarshal(whole, m); err != nil {
		return fmt.Errorf("unmarshal %T: %w", m, err)
	}
	return nil
}

// cutField returns the content of a message's bytes field, and the message without the
// field, if the message contains the field exactly once.
func cutField(message []byte, number protowire.Number) (content, rest []byte, ok bool) {
	for at := 0; at < len(message); {
		n, typ, size := protowire.ConsumeField(message[at:])
		if size < 0 {
			return nil, nil, false
		}
		field := message[at : at+size]
		at += size
		switch {
		case n != number:
			rest = append(rest, field...)
		case ok || typ != protowire.BytesType:
			return nil, nil, false
		default:
			content, ok = onlyField(field, number)
		}
	}
	return content, rest, ok
}

// onlyField returns the content of a message's bytes field if the message has
// no other fields.
func onlyField(message []byte, number protowire.Number) ([]byte, bool) {
	n, typ, size := protowire.ConsumeTag(message)
	if size < 0 || n != number || typ != protowire.BytesType {
		return nil, false
	}
	content, rest := protowire.ConsumeBytes(message[size:])
	return content, rest >= 0 && size+rest == len(message)
}
