package plugin

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type readable interface {
	Type
	fingerprint(context.Context, *pluginv1.FingerprintRequest) *pluginv1.FingerprintResponse
	read(context.Context, *pluginv1.Instance, readStream) error
}

type source[A any] struct {
	core[A]
	impl SourceImpl[A]
}

// fingerprint does not have the instance prepared: that may read what a
// fingerprint only looks at.
func (s *source[A]) fingerprint(ctx context.Context, req *pluginv1.FingerprintRequest) *pluginv1.FingerprintResponse {
	args, err := s.decode(req.Instance)
	if err != nil {
		return &pluginv1.FingerprintResponse{Diagnostics: diagnostics(err)}
	}
	f, err := s.impl.Fingerprint(ctx, args, req.Memo)
	return &pluginv1.FingerprintResponse{
		Diagnostics: diagnostics(err), Fingerprint: f.Fingerprint, Memo: f.Memo, Summary: f.Summary,
	}
}

func (s *source[A]) read(ctx context.Context, in *pluginv1.Instance, stream readStream) error {
	args, prepared, err := s.ready(ctx, in)
	if err != nil {
		return err
	}
	if len(prepared.Outputs) != 1 || prepared.Outputs[0].Name != "" {
		return s.fault(errors.New("Prepare has to call AddDataset(\"\", …) once"))
	}
	w := &RowWriter{fault: s.fault, schema: data.FromProto(prepared.Outputs[0].Columns), stream: stream}
	return s.impl.Read(ctx, args, w)
}

func (w *RowWriter) write(rec arrow.RecordBatch) error {
	if err := fits(w.schema, rec); err != nil {
		return w.fault(err)
	}
	return encoded(rec, func(rows []byte) error {
		return w.stream.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Rows{Rows: rows}})
	})
}

func (w *RowWriter) quarantine(origin, content string, problem error) error {
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
