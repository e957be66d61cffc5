package wire

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// messages returns messages that the codec handles specially, and some others.
func messages(rows []byte) map[string]proto.Message {
	return map[string]proto.Message{
		"map request":                     &pluginv1.MapRequest{Event: &pluginv1.MapRequest_Rows{Rows: rows}},
		"map request with tokens":         &pluginv1.MapRequest{Event: &pluginv1.MapRequest_Rows{Rows: rows}, Tokens: []*pluginv1.RowToken{{Row: 2, Token: []byte("batch")}}},
		"map response with a pending row": &pluginv1.MapResponse{Rows: rows, Errors: []*pluginv1.RowError{{Row: 1, Pending: &pluginv1.PendingRow{Token: []byte("batch")}}}},
		"map start":                       &pluginv1.MapRequest{Event: &pluginv1.MapRequest_Start{Start: &pluginv1.Instance{Kind: "label", Config: rows}}},
		"predict request":                 &pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Rows{Rows: rows}},
		"predict start":                   &pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Start{Start: &pluginv1.Artifact{Format: "f"}}},
		"map response":                    &pluginv1.MapResponse{Rows: rows},
		"map response and errors":         &pluginv1.MapResponse{Rows: rows, Errors: []*pluginv1.RowError{{Row: 3, Message: "no", Temporary: true}}},
		"map diagnostics":                 &pluginv1.MapResponse{Diagnostics: []*pluginv1.Diagnostic{{Summary: "no"}}},
		"map progress":                    &pluginv1.MapResponse{Finished: 3, Failed: 2, Failure: "no"},
		"map response of counts":          &pluginv1.MapResponse{Rows: rows, Counts: []int64{0, 3, 1}, More: true},
		"predict response":                &pluginv1.PredictResponse{Rows: rows, Errors: []*pluginv1.RowError{{}}},
		"predict response with more":      &pluginv1.PredictResponse{Rows: rows, More: true},
		"read rows":                       &pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Rows{Rows: rows}},
		"read progress":                   &pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Progress{Progress: &pluginv1.Progress{Done: 1}}},
		"run rows":                        &pluginv1.RunResponse{Event: &pluginv1.RunResponse_Rows{Rows: &pluginv1.Rows{Output: "train", Rows: rows}}},
		"run rows of no name":             &pluginv1.RunResponse{Event: &pluginv1.RunResponse_Rows{Rows: &pluginv1.Rows{Rows: rows}}},
		"run rows without some":           &pluginv1.RunResponse{Event: &pluginv1.RunResponse_Rows{Rows: &pluginv1.Rows{Output: "train", Rows: rows, Dropped: []int64{0, 5, 300}}}},
		"host request":                    &pluginv1.HostServicePredictRequest{Event: &pluginv1.HostServicePredictRequest_Rows{Rows: rows}},
		"prepare":                         &pluginv1.PrepareRequest{Instances: []*pluginv1.Instance{{Kind: "label"}}},
	}
}

func TestTheWireIsPlainProtocolBuffers(t *testing.T) {
	for size, rows := range map[string][]byte{"none": {}, "few": []byte("some rows"), "many": bytes.Repeat([]byte("row "), 100_000)} {
		for name, m := range messages(rows) {
			t.Run(name+"/"+size, func(t *testing.T) {
				wire, err := codec{}.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				plain := m.ProtoReflect().New().Interface()
				if err := proto.Unmarshal(joined(wire), plain); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(plain, m) {
					t.Errorf("plain protocol buffers read something else than was written")
				}
				b, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				// In pieces, as they arrive from the network.
				back := m.ProtoReflect().New().Interface()
				if err := (codec{}).Unmarshal(pieces(b), back); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(back, m) {
					t.Errorf("the codec reads something else than plain protocol buffers wrote")
				}
			})
		}
	}
}

func joined(s mem.BufferSlice) []byte {
	out := make([]byte, s.Len())
	s.CopyTo(out)
	return out
}

func pieces(b []byte) mem.BufferSlice {
	var out mem.BufferSlice
	for len(b) > 0 {
		n := min(len(b), 16384)
		out = append(out, mem.SliceBuffer(b[:n]))
		b = b[n:]
	}
	return out
}

func FuzzUnmarshal(f *testing.F) {
	for _, m := range messages([]byte("rows")) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []proto.Message{&pluginv1.MapRequest{}, &pluginv1.ReadResponse{}, &pluginv1.MapResponse{}, &pluginv1.RunResponse{}} {
			want := m.ProtoReflect().New().Interface()
			wantErr := proto.Unmarshal(b, want)
			err := codec{}.Unmarshal(pieces(b), m)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%T: got error %v, plain protocol buffers %v", m, err, wantErr)
			}
			if err == nil && !proto.Equal(m, want) {
				t.Fatalf("%T: got %v, plain protocol buffers %v", m, m, want)
			}
		}
	})
}

// A field that is added to a message must not be forgotten here. The other fields of
// a MapRequest come only with its start.
func TestTheCodecWritesEveryField(t *testing.T) {
	rows := full(new(pluginv1.Rows))
	for _, m := range []proto.Message{
		full(new(pluginv1.MapResponse)), full(new(pluginv1.PredictResponse)),
		full(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Rows{Rows: []byte("rows")}}),
		full(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Rows{Rows: []byte("rows")}}),
		full(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Rows{Rows: rows.(*pluginv1.Rows)}}),
	} {
		wire, err := codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back := m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(joined(wire), back); err != nil || !proto.Equal(back, m) {
			t.Errorf("%T: %v\ngot  %v\nwant %v", m, err, back, m)
		}
	}
}

// full sets every field of a message that is not in a oneof.
func full(m proto.Message) proto.Message {
	message := m.ProtoReflect()
	for i := range message.Descriptor().Fields().Len() {
		f := message.Descriptor().Fields().Get(i)
		switch {
		case f.ContainingOneof() != nil:
		case f.IsList() && f.Message() != nil:
			list := message.Mutable(f).List()
			list.Append(list.NewElement())
		case f.IsList():
			message.Mutable(f).List().Append(sample(f))
		case f.Message() != nil:
			message.Mutable(f)
		default:
			message.Set(f, sample(f))
		}
	}
	return m
}

func sample(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("rows"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text")
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(7)
	}
	return protoreflect.ValueOfInt64(7)
}
