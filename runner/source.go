package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// Ports that quern itself fills.
const (
	// portQuarantine has a source's rows that were set aside. It is kept with
	// the action's outputs when there are any, and is no output that
	// expressions can refer to.
	portQuarantine = "quarantine"
	// portErrors has the rows of a row-wise label stage that failed.
	portErrors = "errors"
)

var (
	quarantineSchema = data.Schema{{Name: "origin", Type: "string"}, {Name: "content", Type: "string"}, {Name: "error", Type: "string"}}
	errorsSchema     = data.Schema{{Name: "row", Type: "int64"}, {Name: "message", Type: "string"}}
)

// lookAtSource fills in what a source holds, where the plan does not say it.
func (r *run) lookAtSource(ctx context.Context, w *work) error {
	w.fingerprint, w.memo = w.Fingerprint, w.Memo
	if w.Mode != plan.ModeRead || w.fingerprint != "" {
		return nil
	}
	if prior, ok := r.saver.instance(w.Address); ok && prior.Type == w.Type {
		w.memo = prior.Memo
	}
	now, err := r.fingerprint(ctx, w)
	if err != nil {
		return err
	}
	w.fingerprint, w.memo = now.GetFingerprint(), r.discreetMemo(now)
	return nil
}

func (r *run) fingerprint(ctx context.Context, w *work) (*pluginv1.FingerprintResponse, error) {
	p, err := r.Plugins.Client(ctx, w.Plugin)
	if err != nil {
		return nil, err
	}
	now, err := p.Service().Fingerprint(ctx, &pluginv1.FingerprintRequest{Instance: w.instance, Memo: w.memo})
	if err != nil {
		return nil, err
	}
	if err := w.reported(now.GetDiagnostics()); err != nil {
		return nil, err
	}
	if now.GetFingerprint() == "" {
		return nil, w.faulty("it returned no fingerprint of the source")
	}
	if r.redactor.In(now.Fingerprint) {
		if now.Fingerprint, err = r.Store.Seal([]byte(now.Fingerprint)); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// discreetMemo is what is kept of a plugin's notes about a source: nothing if there is a
// secret in them, such as a path that was made of one. The next look at the
// source then takes longer.
func (r *run) discreetMemo(now *pluginv1.FingerprintResponse) []byte {
	if r.redactor.In(string(now.GetMemo())) {
		return nil
	}
	return now.GetMemo()
}

// read reads a source. What was read counts only if the source holds the same
// before and after: the action key says what it was made of.
func (r *run) read(ctx context.Context, w *work, res *StageResult) (*product, error) {
	port, ok := w.Port("")
	if !ok || port.Kind != plan.KindDataset {
		return nil, w.faulty("a source that produces no dataset")
	}
	former, err := r.formerRead(ctx, w, port.Columns)
	if err != nil {
		return nil, err
	}
	defer former.close()
	rd := &reading{run: r, work: w, res: res, rows: dataset.NewWriter(r.Store.Blobs, port.Columns), schema: port.Columns.Arrow(), parts: parts{former: former}}
	defer rd.abort()
	if err := rd.all(ctx); err != nil {
		return nil, err
	}
	now, err := r.fingerprint(ctx, w)
	if err != nil {
		return nil, err
	}
	if now.GetFingerprint() != w.fingerprint {
		if again, err := r.fingerprint(ctx, w); err == nil && again.GetFingerprint() != now.GetFingerprint() {
			return nil, failuref(w.Range.Ptr(), "The source keeps changing",
				"For %s, plugin %q returned three different fingerprints in three calls, the last two without a pause in between. Either something writes to the source all the time, or the plugin computes its fingerprint from something other than the content, such as the time. The latter is a bug in the plugin: report it to its author. A new plan does not help.",
				w.Address, w.Plugin)
		}
		return nil, failuref(w.Range.Ptr(), "The source has changed",
			"The content of %s has changed since the plan was made or since reading began. Make a new plan and apply it.", w.Address)
	}
	w.memo = r.discreetMemo(now)
	return rd.finish(ctx)
}

// reading is one Read of a source.
type reading struct {
	*run
	*work
	res        *StageResult
	schema     *arrow.Schema
	rows       *dataset.Writer
	quarantine *quarantine // nil: nothing was set aside
	told       time.Time
	count      int64 // rows that came
	parts      parts
}

func (rd *reading) abort() {
	rd.rows.Abort()
	if rd.quarantine != nil {
		rd.quarantine.writer.Abort()
	}
}

func (rd *reading) all(ctx context.Context) error {
	p, err := rd.Plugins.Client(ctx, rd.Plugin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.Service().Read(ctx, &pluginv1.ReadRequest{Instance: rd.instance, Memo: rd.memo, KnownParts: rd.parts.former.known()})
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return rd.end(ctx)
		}
		if err != nil {
			return err
		}
		if err := rd.event(ctx, resp); err != nil {
			return err
		}
	}
}

// end deals with what is still to be done when the plugin has sent all.
func (rd *reading) end(ctx context.Context) error {
	if len(rd.parts.all) > 0 && rd.count != rd.parts.read {
		return rd.faulty(fmt.Sprintf("it sent %d rows, but the parts of its source have %d", rd.count, rd.parts.read))
	}
	return rd.parts.flush(ctx, rd.rows.Write)
}

func (rd *reading) event(ctx context.Context, resp *pluginv1.ReadResponse) error {
	switch e := resp.GetEvent().(type) {
	case *pluginv1.ReadResponse_Rows:
		rec, err := rd.decode("its rows", e.Rows, rd.schema)
		if err != nil {
			return err
		}
		if err := rd.parts.flush(ctx, rd.rows.Write); err != nil {
			return err
		}
		if rec, err = rd.guarded(ctx, rd.work, rd.res, rec); err != nil {
			return err
		}
		rd.count += rec.NumRows()
		return rd.rows.Write(ctx, rec)
	case *pluginv1.ReadResponse_Part:
		fault, err := rd.parts.add(ctx, rd.count, e.Part, rd.rows.Write)
		if fault != "" {
			return rd.faulty(fault)
		}
		return err
	case *pluginv1.ReadResponse_Quarantined:
		if rd.quarantine == nil {
			rd.quarantine = newQuarantine(dataset.NewWriter(rd.Store.Blobs, quarantineSchema))
		}
		q := e.Quarantined
		q.Origin, q.Error = rd.redactor.Text(q.GetOrigin()), rd.redactor.Text(q.GetError())
		return rd.quarantine.add(ctx, q)
	case *pluginv1.ReadResponse_Progress:
		rd.progress(rd.Address, &rd.told, e.Progress)
	case *pluginv1.ReadResponse_Diagnostic:
		return rd.diagnostic(rd.res, e.Diagnostic)
	}
	return nil
}

func (rd *reading) finish(ctx context.Context) (*product, error) {
	m, err := rd.rows.Close()
	if err != nil {
		return nil, err
	}
	p := &product{artifacts: map[string]*artifact.Artifact{"": {Kind: artifact.Dataset, Dataset: m}}}
	list, err := rd.partsDataset(ctx, rd.parts.all)
	if err != nil {
		return nil, err
	}
	if list != nil {
		p.artifacts[portParts] = &artifact.Artifact{Kind: artifact.Dataset, Dataset: list}
	}
	if rd.quarantine == nil {
		return p, nil
	}
	aside, err := rd.quarantine.close()
	if err != nil {
		return nil, err
	}
	p.artifacts[portQuarantine] = &artifact.Artifact{Kind: artifact.Dataset, Dataset: aside}
	rd.res.warn(rd.Range.Ptr(), "Rows were set aside", "%d of the rows of %s could not be read (%d were). To get them with their errors, run \"quern artifact export %s.quarantine DIR\".",
		aside.Rows, rd.Address, m.Rows, rd.Address)
	return p, nil
}

// quarantine gathers rows that were set aside.
type quarantine struct {
	writer *dataset.Writer
	rows   *array.RecordBuilder
	n      int
}

const quarantineBatch = 1024

func newQuarantine(w *dataset.Writer) *quarantine {
	return &quarantine{writer: w, rows: array.NewRecordBuilder(memory.DefaultAllocator, quarantineSchema.Arrow())}
}

func (q *quarantine) add(ctx context.Context, row *pluginv1.Quarantined) error {
	for i, text := range []string{row.GetOrigin(), row.GetContent(), row.GetError()} {
		q.rows.Field(i).(*array.StringBuilder).Append(text)
	}
	if q.n++; q.n < quarantineBatch {
		return nil
	}
	return q.flush(ctx)
}

func (q *quarantine) flush(ctx context.Context) error {
	q.n = 0
	return q.writer.Write(ctx, q.rows.NewRecordBatch())
}

func (q *quarantine) close() (*dataset.Manifest, error) {
	if err := q.flush(context.Background()); err != nil {
		return nil, err
	}
	return q.writer.Close()
}

// decode reads a batch that a plugin sent, which must have these columns.
func (w *work) decode(what string, b []byte, schema *arrow.Schema) (arrow.RecordBatch, error) {
	rec, err := data.DecodeBatch(b)
	if err != nil {
		return nil, w.faulty(fmt.Sprintf("%s cannot be read: %v", what, err))
	}
	rec, err = data.Conform(rec, schema)
	if err != nil {
		return nil, w.faulty(fmt.Sprintf("%s have different columns than it declared: %v", what, err))
	}
	return rec, nil
}

const progressPause = 200 * time.Millisecond

// progress passes on what a plugin says about how far it is. The last word,
// done of total, is always passed on.
func (r *run) progress(address string, told *time.Time, p *pluginv1.Progress) {
	e := progressOf(p)
	if !finished(e) && time.Since(*told) < progressPause {
		return
	}
	*told = time.Now()
	r.emit(events.Event{Type: events.StageProgress, Address: address, Progress: &e})
}

func progressOf(p *pluginv1.Progress) events.Progress {
	return events.Progress{Done: p.GetDone(), Total: p.GetTotal(), Unit: p.GetUnit(), Message: p.GetMessage()}
}

func finished(p events.Progress) bool { return p.Total > 0 && p.Done >= p.Total }
