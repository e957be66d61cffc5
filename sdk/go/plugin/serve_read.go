package plugin

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type readable interface {
	Type
	fingerprint(context.Context, *pluginv1.FingerprintRequest) *pluginv1.FingerprintResponse
	read(context.Context, *pluginv1.ReadRequest, readStream) error
	preview(context.Context, *pluginv1.PreviewRequest, readStream) error
}

type source[A any] struct {
	core[A]
	impl Source[A]
}

// fingerprint does not prepare the instance: Prepare may read much more than
// Fingerprint does.
func (s *source[A]) fingerprint(ctx context.Context, req *pluginv1.FingerprintRequest) *pluginv1.FingerprintResponse {
	args, err := s.decode(req.Instance)
	if err != nil {
		return &pluginv1.FingerprintResponse{Diagnostics: diagnostics(err)}
	}
	f, err := s.impl.Fingerprint(context.WithValue(ctx, pinsKey{}, req.Instance.GetPins()), args, req.Memo)
	return &pluginv1.FingerprintResponse{
		Diagnostics: diagnostics(err), Fingerprint: f.Value, Memo: f.Memo, Summary: f.Summary,
	}
}

func (s *source[A]) read(ctx context.Context, req *pluginv1.ReadRequest, stream readStream) error {
	args, w, err := s.writer(ctx, req.Instance, stream)
	if err != nil {
		return err
	}
	w.memo = req.Memo
	for _, fingerprint := range req.KnownParts {
		w.known[fingerprint] = true
	}
	defer w.drop()
	if err := s.impl.Read(ctx, args, w); err != nil {
		return err
	}
	return w.flush()
}

func (s *source[A]) preview(ctx context.Context, req *pluginv1.PreviewRequest, stream readStream) error {
	impl, ok := s.impl.(Previewer[A])
	if !ok {
		return errNoPreview
	}
	args, w, err := s.writer(ctx, req.Instance, stream)
	if err != nil {
		return err
	}
	defer w.drop()
	count, err := impl.Preview(ctx, args, req.Bytes, w)
	if err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return stream.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Count{
		Count: &pluginv1.RowCount{Rows: count.Rows, Exact: count.Exact, Size: count.Size},
	}})
}

var errNoPreview = status.Error(codes.Unimplemented, "the source has no preview")

// writer returns the RowWriter of an instance.
func (s *source[A]) writer(ctx context.Context, in *pluginv1.Instance, stream readStream) (*A, *RowWriter, error) {
	args, prepared, err := s.ready(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	if len(prepared.Outputs) != 1 || prepared.Outputs[0].Name != "" {
		return nil, nil, s.fault(errors.New("Prepare must call AddDataset(\"\", …) once"))
	}
	schema := data.FromProto(prepared.Outputs[0].Columns)
	return args, &RowWriter{fault: s.fault, schema: schema, stream: stream, known: map[string]bool{}}, nil
}

// Rows wait to be sent together until there are this many, or this many bytes.
const (
	sendRows  = 4096
	sendBytes = 4 << 20
)

func (w *RowWriter) write(rec arrow.RecordBatch) error {
	w.rows += rec.NumRows()
	if err := fits(w.schema, rec); err != nil {
		return w.fault(err)
	}
	if len(w.waiting) == 0 && rec.NumRows() >= sendRows {
		return w.send(rec)
	}
	even, err := data.Conform(rec, w.schema.Arrow())
	if err != nil {
		return err
	}
	w.waiting = append(w.waiting, even)
	w.waitingRows += even.NumRows()
	for _, c := range even.Columns() {
		w.waitingBytes += c.Data().SizeInBytes()
	}
	if w.waitingRows >= sendRows || w.waitingBytes >= sendBytes {
		return w.flush()
	}
	return nil
}

// flush sends the waiting batches.
func (w *RowWriter) flush() error {
	if len(w.waiting) == 0 {
		return nil
	}
	defer w.drop()
	rec, err := data.Concat(w.schema.Arrow(), w.waiting)
	if err != nil {
		return err
	}
	defer rec.Release()
	return w.send(rec)
}

// drop releases the waiting batches.
func (w *RowWriter) drop() {
	for _, rec := range w.waiting {
		rec.Release()
	}
	w.waiting, w.waitingRows, w.waitingBytes = nil, 0, 0
}

func (w *RowWriter) send(rec arrow.RecordBatch) error {
	return encoded(rec, func(p wire.Piece) error {
		return w.stream.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Rows{Rows: p.Rows}})
	})
}

func (w *RowWriter) part(name, fingerprint string, read func() error) error {
	part := &pluginv1.Part{Name: legible(name), Fingerprint: fingerprint, Known: fingerprint != "" && w.known[fingerprint]}
	if part.Known {
		if err := w.flush(); err != nil {
			return err
		}
	} else {
		rows, aside := w.rows, w.aside
		if err := read(); err != nil {
			return err
		}
		part.Rows, part.Quarantined = w.rows-rows, w.aside-aside
	}
	return w.stream.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Part{Part: part}})
}

func (w *RowWriter) quarantine(origin, content string, problem error) error {
	w.aside++
	return w.stream.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Quarantined{
		Quarantined: &pluginv1.Quarantined{Origin: legible(origin), Content: legible(content), Error: legible(problem.Error())},
	}})
}

// readStream is the stream of a Read call.
type readStream struct {
	*sender[pluginv1.ReadResponse]
	*throttle
}

func (s readStream) progress(done, total int64, unit, message string) {
	s.do(total > 0 && done >= total, func() {
		// A stream that is broken shows at the next rows.
		_ = s.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Progress{
			Progress: &pluginv1.Progress{Done: done, Total: total, Unit: unit, Message: legible(message)},
		}})
	})
}
