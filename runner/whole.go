package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// runWhole carries out a stage that gets its inputs as files.
func (r *run) runWhole(ctx context.Context, w *work, res *StageResult) (made *product, err error) {
	place, err := r.stage(w)
	if err != nil {
		return nil, err
	}
	defer place.clear(&err)
	inputs, err := r.files(ctx, w, place.arguments)
	if err != nil {
		return nil, err
	}
	p, err := r.Plugins.Client(ctx, w.Plugin)
	if err != nil {
		return nil, err
	}
	req := &pluginv1.RunRequest{Instance: w.instance, Inputs: inputs, WorkDir: place.work}
	served := r.serve(ctx, w, res, inputs)
	defer served.close()
	host, stop := served.on(p)
	defer stop()
	req.Host, req.OpenChats = host, served.openChats()
	call := &running{run: r, work: w, res: res, place: place, served: served, outputs: map[string]*output{}}
	defer call.abort()
	call.open()
	done, err := call.all(served.ctx, p, req)
	if err := served.outcome(err); err != nil {
		return nil, err
	}
	made, err = call.finish(done)
	if err != nil {
		return nil, err
	}
	if made.value, err = r.withOverlap(ctx, w, made.value); err != nil {
		return nil, err
	}
	return made, place.remove()
}

// place is where a run of a stage works. Its work folder stays when the run is
// interrupted or fails, and is offered to the next one of the same action.
type place struct{ root, work, arguments string }

func (r *run) stage(w *work) (*place, error) {
	// Two environments may run one action at the same time.
	root, err := r.Store.Staging(strings.TrimPrefix(w.key, "sha256:")[:32] + "-" + r.plan.Environment)
	if err != nil {
		return nil, err
	}
	p := &place{root: root, work: filepath.Join(root, "work"), arguments: filepath.Join(root, "arguments")}
	if err := os.RemoveAll(p.arguments); err != nil {
		return nil, err
	}
	for _, dir := range []string{p.work, p.arguments} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// clear removes what the plugin was given: it is of no use to the next run, and
// may contain secrets, such as those in the prompts of an evaluation.
func (p *place) clear(err *error) {
	if failed := os.RemoveAll(p.arguments); *err == nil {
		*err = failed
	}
}

func (p *place) remove() error { return os.RemoveAll(p.root) }

// running is one Run call.
type running struct {
	*run
	*work
	res     *StageResult
	place   *place
	served  *serving
	outputs map[string]*output // datasets, by port
	missing missing
}

// missing are results that a run reported as missing.
type missing struct {
	all, temporary int64
	first          []rowwise.Failure
}

// failure takes the report of a missing result.
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

type output struct {
	schema *arrow.Schema
	writer *dataset.Writer
}

func (c *running) open() {
	for i := range c.Outputs {
		if p := &c.Outputs[i]; p.Kind == plan.KindDataset {
			c.outputs[p.Name] = &output{schema: p.Columns.Arrow(), writer: dataset.NewWriter(c.Store.Blobs, p.Columns)}
		}
	}
}

func (c *running) abort() {
	for _, o := range c.outputs {
		o.writer.Abort()
	}
}

func (c *running) all(ctx context.Context, p *client.Plugin, req *pluginv1.RunRequest) (*pluginv1.Done, error) {
	// When the stage is to stop, the plugin is asked to leave a checkpoint: what
	// it still sends is taken.
	ctx, name, over := p.Stoppable(c.hard, ctx, time.Duration(c.StopSeconds*float64(time.Second)))
	defer over()
	req.Call = name
	stream, err := p.Service().Run(ctx, req)
	if err != nil {
		return nil, err
	}
	var done *pluginv1.Done
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if done == nil {
				return nil, c.faulty("it ended the call without saying that it was done")
			}
			return done, nil
		}
		if err != nil {
			return nil, err
		}
		if e, ok := resp.GetEvent().(*pluginv1.RunResponse_Done); ok {
			done = e.Done
			continue
		}
		if err := c.event(ctx, resp); err != nil {
			return nil, err
		}
	}
}

func (c *running) event(ctx context.Context, resp *pluginv1.RunResponse) error {
	switch e := resp.GetEvent().(type) {
	case *pluginv1.RunResponse_Rows:
		o := c.outputs[e.Rows.GetOutput()]
		if o == nil {
			return c.faulty(fmt.Sprintf("it sent rows of output %q, which it did not declare as a dataset", e.Rows.GetOutput()))
		}
		rec, err := c.decode("its rows", e.Rows.GetRows(), o.schema)
		if err != nil {
			return err
		}
		if rec, err = c.guarded(ctx, c.work, c.res, rec); err != nil {
			return err
		}
		return o.writer.Write(ctx, rec)
	case *pluginv1.RunResponse_Progress:
		c.served.progress(progressOf(e.Progress))
	case *pluginv1.RunResponse_Diagnostic:
		return c.diagnostic(c.res, e.Diagnostic)
	case *pluginv1.RunResponse_Failure:
		return c.failure(e.Failure)
	}
	return nil
}

// finish takes what was made into the store.
func (c *running) finish(done *pluginv1.Done) (*product, error) {
	p := &product{artifacts: map[string]*artifact.Artifact{}, errors: c.missing.temporary}
	for i := range c.Outputs {
		port := &c.Outputs[i]
		a, err := c.artifact(port, done)
		if err != nil {
			return nil, err
		}
		p.artifacts[port.Name] = a
	}
	var err error
	if p.value, err = c.value(done); err != nil {
		return nil, err
	}
	if err := c.bounded(p.value); err != nil {
		return nil, err
	}
	p.value, err = c.guardedValue(c.work, p.value)
	return p, err
}

func (c *running) artifact(port *plan.Port, done *pluginv1.Done) (*artifact.Artifact, error) {
	if port.Kind == plan.KindDataset {
		m, err := c.outputs[port.Name].writer.Close()
		if err != nil {
			return nil, err
		}
		return &artifact.Artifact{Kind: artifact.Dataset, Dataset: m}, nil
	}
	folder, ok := done.GetFolders()[port.Name]
	if !ok {
		return nil, c.faulty(fmt.Sprintf("it did not produce its output %q", port.Name))
	}
	if rel, err := filepath.Rel(c.place.work, folder); err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil, c.faulty(fmt.Sprintf("the folder of its output %q, %s, is not inside its work folder", port.Name, folder))
	}
	if err := c.guardFolder(c.work, folder); err != nil {
		return nil, err
	}
	files, err := artifact.PutFolder(c.Store.Blobs, folder)
	if err != nil {
		return nil, err
	}
	if port.Kind == plan.KindModel {
		return c.model(port, files)
	}
	return &artifact.Artifact{Kind: artifact.Report, Files: files}, nil
}

// value is the plain values, in the type that was declared.
func (c *running) value(done *pluginv1.Done) (cty.Value, error) {
	t := c.pluginValue()
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
		return cty.NilVal, c.faulty(fmt.Sprintf("its values do not match their declared type: %v", err))
	}
	return v, nil
}

// pluginValue is the type of the values that the plugin gives; cty.NilType: it
// gives none.
func (w *work) pluginValue() cty.Type {
	if w.overlapType() == cty.NilType {
		return w.ValueType.Type
	}
	attrs := maps.Clone(w.ValueType.Type.AttributeTypes())
	delete(attrs, plan.OverlapName)
	if len(attrs) == 0 {
		return cty.NilType
	}
	return cty.Object(attrs)
}
