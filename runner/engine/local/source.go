package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

var quarantineSchema = data.Schema{{Name: "origin", Type: "string"}, {Name: "content", Type: "string"}, {Name: "error", Type: "string"}}

// read reads a source. The result counts only if the content of the source is
// the same before and after, because the action key identifies that content.
func (a *attempt) read(ctx context.Context) (*product, error) {
	port, ok := a.Port("")
	if !ok || port.Kind != plan.KindDataset {
		return nil, a.Faulty("a source that produces no dataset")
	}
	former, err := a.formerRead(ctx, port.Columns)
	if err != nil {
		return nil, err
	}
	made, err := a.readAfter(ctx, port, former)
	if former != nil && blob.Unavailable(err) { // it was set aside
		return a.readAfter(ctx, port, nil)
	}
	return made, err
}

// readAfter reads a source, except for what is known from a former reading.
func (a *attempt) readAfter(ctx context.Context, port *plan.Port, former *formerRead) (*product, error) {
	defer former.close()
	p, err := a.Plugins.Client(ctx, a.Plugin)
	if err != nil {
		return nil, err
	}
	points, err := a.Store.Memo.Checkpoints(a.task.Definition, port.Name)
	if err != nil {
		return nil, err
	}
	rd := &reading{
		Stage: a.Stage, guard: a.guard, redactor: a.redactor, blobs: a.Store.Blobs,
		progress:    progress{sink: a.run.Events, address: a.Address},
		environment: a.task.Environment,
		rows:        dataset.NewContinuation(a.Store.Blobs, port.Columns, points), schema: port.Columns.Arrow(), parts: parts{former: former},
	}
	defer rd.abort()
	if err := rd.all(ctx, p, a.task.Memo); err != nil {
		return nil, err
	}
	memo, err := a.unchanged(ctx)
	if err != nil {
		return nil, err
	}
	made, err := rd.finish(ctx)
	if err != nil {
		return nil, err
	}
	made.memo = memo
	return made, a.Store.Memo.PutCheckpoints(a.task.Definition, port.Name, points)
}

// unchanged checks that the source still has the content that the action key
// identifies, and returns its plugin's memo.
func (a *attempt) unchanged(ctx context.Context) (memo []byte, err error) {
	now, err := a.sources.Look(ctx, a.Stage, a.task.Memo)
	if err != nil {
		return nil, err
	}
	if now.Fingerprint != a.task.Fingerprint {
		if again, err := a.sources.Look(ctx, a.Stage, a.task.Memo); err == nil && again.Fingerprint != now.Fingerprint {
			return nil, failure.Errorf(a.Range.Ptr(), "The source keeps changing",
				"For %s, plugin %q returned three different fingerprints in three calls, the last two without a pause in between. Either something writes to the source all the time, or the plugin computes its fingerprint from something other than the content, such as the time. The latter is a bug in the plugin: report it to its author. A new plan does not help.",
				a.Address, a.Plugin)
		}
		return nil, failure.Errorf(a.Range.Ptr(), "The source has changed",
			"The content of %s has changed since the plan was made or since reading began. Make a new plan and apply it.", a.Address)
	}
	return now.Memo, nil
}

// reading is one Read of a source.
type reading struct {
	*stage.Stage
	guard    *guard
	redactor *secret.Redactor
	blobs    *blob.Store
	progress progress
	// environment is the one whose state will have the result.
	environment string
	schema      *arrow.Schema
	rows        *dataset.Writer
	quarantine  *quarantine // nil if nothing was set aside
	count       int64       // rows received
	parts       parts
}

func (rd *reading) abort() {
	rd.rows.Abort()
	if rd.quarantine != nil {
		rd.quarantine.writer.Abort()
	}
}

func (rd *reading) all(ctx context.Context, p *client.Plugin, memo []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.Service().Read(ctx, &pluginv1.ReadRequest{Instance: rd.Instance, Memo: memo, KnownParts: rd.parts.former.known()})
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

// end completes the result after the plugin has sent everything.
func (rd *reading) end(ctx context.Context) error {
	if len(rd.parts.all) > 0 && rd.count != rd.parts.read {
		return rd.Faulty(fmt.Sprintf("it sent %d rows, but the parts of its source have %d", rd.count, rd.parts.read))
	}
	return rd.parts.flush(ctx, true, rd.rows)
}

func (rd *reading) event(ctx context.Context, resp *pluginv1.ReadResponse) error {
	switch e := resp.GetEvent().(type) {
	case *pluginv1.ReadResponse_Rows:
		rec, err := decode(rd.Stage, "its rows", e.Rows, rd.schema)
		if err != nil {
			return err
		}
		if err := rd.parts.flush(ctx, false, rd.rows); err != nil {
			return err
		}
		if rec, err = rd.guard.rows(ctx, rec); err != nil {
			return err
		}
		rd.count += rec.NumRows()
		return rd.rows.Write(ctx, rec)
	case *pluginv1.ReadResponse_Part:
		e.Part.Name = rd.redactor.Text(e.Part.GetName())
		fault, err := rd.parts.add(ctx, rd.count, e.Part, rd.rows)
		if fault != "" {
			return rd.Faulty(fault)
		}
		return err
	case *pluginv1.ReadResponse_Quarantined:
		if rd.quarantine == nil {
			rd.quarantine = newQuarantine(dataset.NewWriter(rd.blobs, quarantineSchema))
		}
		q := e.Quarantined
		q.Origin, q.Error = rd.redactor.Text(q.GetOrigin()), rd.redactor.Text(q.GetError())
		return rd.quarantine.add(ctx, q)
	case *pluginv1.ReadResponse_Progress:
		rd.progress.tell(progressOf(e.Progress))
	case *pluginv1.ReadResponse_Diagnostic:
		return rd.Heard([]*pluginv1.Diagnostic{e.Diagnostic})
	}
	return nil
}

func (rd *reading) finish(ctx context.Context) (*product, error) {
	m, err := rd.rows.Close()
	if err != nil {
		return nil, err
	}
	p := &product{artifacts: map[string]*artifact.Artifact{"": {Kind: artifact.Dataset, Dataset: m}}}
	list, err := partsDataset(ctx, rd.blobs, rd.parts.all)
	if err != nil {
		return nil, err
	}
	if len(rd.parts.all) == 1 {
		p.origin, p.onlyPart = rd.parts.all[0].name, rd.parts.all[0].reusable()
	}
	if list != nil {
		p.artifacts[stage.PortParts] = &artifact.Artifact{Kind: artifact.Dataset, Dataset: list}
	}
	if rd.quarantine == nil {
		return p, nil
	}
	aside, err := rd.quarantine.close()
	if err != nil {
		return nil, err
	}
	p.artifacts[stage.PortQuarantine] = &artifact.Artifact{Kind: artifact.Dataset, Dataset: aside}
	rd.Warn(rd.Range.Ptr(), "Rows were set aside", "%s of %s could not be read, and %s %s. To see them with their errors, run \"quern artifact show -env=%s %s\".",
		english.Count(aside.Rows, "row"), rd.Address, english.Number(m.Rows), english.Agree(m.Rows, "was", "were"), rd.environment, addr.Argument(rd.Address+".quarantine"))
	return p, nil
}

// quarantine collects rows that were set aside.
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
func decode(s *stage.Stage, what string, b []byte, schema *arrow.Schema) (arrow.RecordBatch, error) {
	rec, err := data.DecodeBatch(b)
	if err != nil {
		return nil, s.Faulty(fmt.Sprintf("%s cannot be read: %v", what, err))
	}
	rec, err = data.Conform(rec, schema)
	if err != nil {
		return nil, s.Faulty(fmt.Sprintf("%s have different columns than it declared: %v", what, err))
	}
	return rec, nil
}

func progressOf(p *pluginv1.Progress) events.Progress {
	return events.Progress{Done: p.GetDone(), Total: p.GetTotal(), Unit: p.GetUnit(), Message: p.GetMessage()}
}
