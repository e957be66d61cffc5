package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/pending"
)

// runWhole runs a stage that receives its inputs as files.
func (a *attempt) runWhole(ctx context.Context) (made *product, err error) {
	place, err := stage.NewPlace(a.Store, a.task.Key, a.task.Environment)
	if err != nil {
		return nil, err
	}
	defer place.Clear(&err)
	if stage.Forced(a.Node) {
		if err := place.Restart(); err != nil {
			return nil, err
		}
	}
	former, err := a.kept()
	if err != nil {
		return nil, err
	}
	// Without kept files, the plugin reads all files, and verifying them here is faster.
	given := stage.Handover{Blobs: a.Store.Blobs, Arguments: place.Arguments, Known: former.arguments, Unverified: a.VerifiesDatasets && len(former.files) > 0}
	inputs, err := a.Files(ctx, given)
	if err != nil {
		return nil, err
	}
	p, err := a.Plugins.Client(ctx, a.Plugin)
	if err != nil {
		return nil, err
	}
	req := &pluginv1.RunRequest{Instance: a.Instance, Inputs: inputs, WorkDir: place.Work, Kept: former.files}
	served := a.serve(ctx, inputs)
	defer served.close()
	host, stop, err := served.on(p)
	if err != nil {
		return nil, err
	}
	defer stop()
	req.HostSocket, req.Host, req.OpenaiApi, req.OpenChats = host.Socket, host.Broker, host.openai, served.openChats()
	payment, err := a.pay(served)
	if err != nil {
		return nil, err
	}
	defer payment.end()
	req.MoneyLeft = payment.left()
	call := &running{Stage: a.Stage, payment: payment, guard: a.guard, blobs: a.Store.Blobs, folder: place.Work, model: a.model, progress: served.progress, outputs: map[string]rowsOutput{}}
	defer call.abort()
	if err := call.open(ctx, a); err != nil {
		return nil, err
	}
	// When the stage is to stop, the plugin is asked to save a checkpoint.
	// Whatever it still sends is accepted.
	stoppable, name, over := p.Stoppable(a.end, served.ctx, time.Duration(a.StopSeconds*float64(time.Second)))
	defer over()
	req.Call = name
	done, waits, err := call.all(stoppable, p, req)
	if waits, err = served.pending(waits, err); err != nil {
		return nil, a.blame(ctx, given, err)
	}
	if waits != nil {
		a.res.Pending = a.waiting(waits)
		return nil, place.Keep()
	}
	payment.done()
	if made, err = former.finish(ctx, call, done); err != nil {
		return nil, err
	}
	counter := &overlaps{Stage: a.Stage, actions: a.Store.Actions, blobs: a.Store.Blobs, artifacts: a.Artifacts}
	if made.value, err = counter.add(ctx, made.value); err != nil {
		return nil, err
	}
	return made, place.Remove()
}

// blame returns the error for a damaged input that the plugin may have found, or err.
func (a *attempt) blame(ctx context.Context, given stage.Handover, err error) error {
	if !given.Unverified || ctx.Err() != nil {
		return err
	}
	given.Unverified = false
	var damaged *failure.Input
	if _, verifying := a.Files(ctx, given); errors.As(verifying, &damaged) {
		return damaged
	}
	return err
}

// pending returns what a stage waits for that ended with an error or with nil. If
// calls of models were pending, so is the stage, whatever it made of that: it
// lacks their answers.
func (s *serving) pending(waits *pluginv1.Pending, err error) (*pluginv1.Pending, error) {
	var own *failure.Plugin
	var many *rowwise.TooManyErrors
	calls := s.host.Waits()
	if s.host.Err() != nil || len(calls) == 0 || err != nil && !errors.As(err, &own) && !errors.As(err, &many) {
		return waits, s.outcome(err)
	}
	if err := s.submit(); err != nil {
		return nil, err
	}
	var texts []string
	for _, reason := range slices.Sorted(maps.Keys(calls)) {
		texts = append(texts, fmt.Sprintf("%s (%s)", reason, english.Count(calls[reason], "request")))
	}
	return &pluginv1.Pending{Reason: strings.Join(texts, "; ")}, nil
}

// waiting describes what a stage waits for as a whole.
func (a *attempt) waiting(p *pluginv1.Pending) *pending.Summary {
	s := &pending.Summary{Since: time.Now().UTC().Truncate(time.Second)}
	s.For = []pending.Reason{{Text: rowwise.ShortReason(a.redactor.Text(cmp.Or(p.GetReason(), "the plugin gave no reason")))}}
	if after := rowwise.Seconds(p.CheckAfterSeconds); after > 0 {
		s.CheckAfter = s.Since.Add(after)
	}
	return s
}

// running is one Run call.
type running struct {
	*stage.Stage
	guard    *guard
	blobs    *blob.Store
	folder   string // the plugin's working folder
	model    func(*plan.Port, []artifact.File) (*artifact.Artifact, error)
	progress func(events.Progress)
	outputs  map[string]rowsOutput // datasets, by port
	missing  missing
	payment  *payment
}

// missing are the results that a run reported as missing.
type missing struct {
	all, temporary int64
	first          []rowwise.Failure
}

// failure records the report of a missing result.
func (c *running) failure(e *pluginv1.RowError) error {
	m := &c.missing
	m.all++
	if e.GetTemporary() {
		m.temporary++
	}
	if len(m.first) < 10 {
		m.first = append(m.first, rowwise.Failure{Row: e.GetRow(), Message: e.GetMessage()})
	}
	if c.MaxErrors == plan.AnyNumber || m.all <= c.MaxErrors {
		return nil
	}
	return &rowwise.TooManyErrors{Failed: m.all, Allowed: c.MaxErrors, Failures: m.first}
}

// rowsOutput is a dataset that the plugin sends. After a call of close, abort does
// nothing.
type rowsOutput interface {
	// schema has the columns that the plugin sends.
	schema() *arrow.Schema
	// write appends rows. An error of type [fault] is the plugin's.
	write(ctx context.Context, rec arrow.RecordBatch, dropped []int64) error
	close(ctx context.Context) (*dataset.Manifest, error)
	abort()
}

// fault is a violation of the protocol by the plugin.
type fault string

func (f fault) Error() string { return string(f) }

// ownRows is a dataset with rows of its own.
type ownRows struct {
	columns *arrow.Schema
	writer  *dataset.Writer
}

func (o *ownRows) schema() *arrow.Schema { return o.columns }

func (o *ownRows) write(ctx context.Context, rec arrow.RecordBatch, dropped []int64) error {
	if len(dropped) > 0 {
		return fault("it dropped rows of an output that does not have the rows of an input")
	}
	return o.writer.Write(ctx, rec)
}

func (o *ownRows) close(context.Context) (*dataset.Manifest, error) { return o.writer.Close() }
func (o *ownRows) abort()                                           { o.writer.Abort() }

func (c *running) open(ctx context.Context, a *attempt) error {
	for i := range c.Outputs {
		p := &c.Outputs[i]
		switch {
		case p.IsAligned():
			o, err := newAligned(ctx, a, p)
			if err != nil {
				return err
			}
			c.outputs[p.Name] = o
		case p.Kind == plan.KindDataset:
			c.outputs[p.Name] = &ownRows{columns: p.Columns.Arrow(), writer: dataset.NewWriter(c.blobs, p.Columns)}
		}
	}
	return nil
}

func (c *running) abort() {
	for _, o := range c.outputs {
		o.abort()
	}
}

// blame names the plugin as the cause of a fault.
func (c *running) blame(err error) error {
	if own := fault(""); errors.As(err, &own) {
		return c.Faulty(own.Error())
	}
	return err
}

// all receives all events. It returns how the call ended: one of done and waits.
func (c *running) all(ctx context.Context, p *client.Plugin, req *pluginv1.RunRequest) (done *pluginv1.Done, waits *pluginv1.Pending, err error) {
	stream, err := p.Service().Run(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && (done == nil) == (waits == nil):
			return nil, nil, c.Faulty("it ended the call without saying that it was done or pending, or with both")
		case errors.Is(err, io.EOF):
			return done, waits, nil
		case err != nil:
			return nil, nil, err
		}
		switch e := resp.GetEvent().(type) {
		case *pluginv1.RunResponse_Done:
			done = e.Done
		case *pluginv1.RunResponse_Pending:
			waits = e.Pending
		default:
			if err := c.event(ctx, resp); err != nil {
				return nil, nil, err
			}
		}
	}
}

func (c *running) event(ctx context.Context, resp *pluginv1.RunResponse) error {
	switch e := resp.GetEvent().(type) {
	case *pluginv1.RunResponse_Rows:
		o := c.outputs[e.Rows.GetOutput()]
		if o == nil {
			return c.Faulty(fmt.Sprintf("it sent rows of output %q, which it did not declare as a dataset", e.Rows.GetOutput()))
		}
		rec, err := decode(c.Stage, "its rows", e.Rows.GetRows(), o.schema())
		if err != nil {
			return err
		}
		if rec, err = c.guard.rows(ctx, rec); err != nil {
			return err
		}
		return c.blame(o.write(ctx, rec, e.Rows.GetDropped()))
	case *pluginv1.RunResponse_Progress:
		c.progress(progressOf(e.Progress))
	case *pluginv1.RunResponse_Diagnostic:
		return c.Heard([]*pluginv1.Diagnostic{e.Diagnostic})
	case *pluginv1.RunResponse_Failure:
		return c.failure(e.Failure)
	case *pluginv1.RunResponse_Paid:
		return c.blame(c.payment.paid(ctx, e.Paid))
	}
	return nil
}

// finish stores the results.
func (c *running) finish(ctx context.Context, done *pluginv1.Done) (*product, error) {
	p := &product{artifacts: map[string]*artifact.Artifact{}, errors: c.missing.temporary}
	for i := range c.Outputs {
		port := &c.Outputs[i]
		if !port.Stored() {
			continue
		}
		a, err := c.artifact(ctx, port, done)
		if err != nil {
			return nil, err
		}
		p.artifacts[port.Name] = a
	}
	var err error
	if p.value, err = c.value(done); err != nil {
		return nil, err
	}
	if err := c.Bounded(p.value); err != nil {
		return nil, err
	}
	p.value, err = c.guard.value(p.value)
	return p, err
}

func (c *running) artifact(ctx context.Context, port *plan.Port, done *pluginv1.Done) (*artifact.Artifact, error) {
	if port.Kind == plan.KindDataset {
		m, err := c.outputs[port.Name].close(ctx)
		if err != nil {
			return nil, c.blame(err)
		}
		return &artifact.Artifact{Kind: artifact.Dataset, Dataset: m}, nil
	}
	folder, ok := done.GetFolders()[port.Name]
	if !ok {
		return nil, c.Faulty(fmt.Sprintf("it did not produce its output %q", port.Name))
	}
	files, err := c.put(folder, fmt.Sprintf("its output %q", port.Name))
	if err != nil {
		return nil, err
	}
	if port.Kind == plan.KindModel {
		return c.model(port, files)
	}
	return &artifact.Artifact{Kind: artifact.Report, Files: files}, nil
}

// put stores the files of a folder inside the plugin's working folder. what says what
// it contains.
func (c *running) put(folder, what string) ([]artifact.File, error) {
	if rel, err := filepath.Rel(c.folder, folder); err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil, c.Faulty(fmt.Sprintf("the folder of %s, %s, is not inside its work folder", what, folder))
	}
	if err := c.guard.folder(folder); err != nil {
		return nil, err
	}
	return artifact.PutFolder(c.blobs, folder)
}

// value returns the plain values in their declared type.
func (c *running) value(done *pluginv1.Done) (cty.Value, error) {
	t := pluginValue(c.Stage)
	if t == cty.NilType {
		return cty.NilVal, nil
	}
	v, err := client.DecodeValue(done.GetValue())
	if err == nil {
		v, err = convert.Convert(v, t)
	}
	if err == nil {
		err = plan.Storable(v)
	}
	if err != nil {
		return cty.NilVal, c.Faulty(fmt.Sprintf("its values do not match their declared type: %v", err))
	}
	return v, nil
}

// pluginValue is the type of the values that the plugin returns, or cty.NilType
// if it returns none.
func pluginValue(s *stage.Stage) cty.Type {
	if s.OverlapType() == cty.NilType {
		return s.ValueType.Type
	}
	attrs := maps.Clone(s.ValueType.Type.AttributeTypes())
	delete(attrs, plan.OverlapName)
	if len(attrs) == 0 {
		return cty.NilType
	}
	return cty.Object(attrs)
}
