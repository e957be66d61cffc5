package plugin

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type runnable interface {
	Type
	loader() (ModelLoader, bool)
	languageLoader() (LanguageLoader, bool)
	checkSample(context.Context, *pluginv1.CheckSampleRequest) (*pluginv1.CheckSampleResponse, error)
	run(context.Context, *pluginv1.RunRequest, runStream, *hostConn) error
}

type runner[A any] struct {
	core[A]
	impl Runner[A]
}

func (r *runner[A]) loader() (ModelLoader, bool) {
	l, ok := r.impl.(ModelLoader)
	return l, ok
}

func (r *runner[A]) languageLoader() (LanguageLoader, bool) {
	l, ok := r.impl.(LanguageLoader)
	return l, ok
}

// run carries out a stage and sends everything, including Done.
func (r *runner[A]) run(ctx context.Context, req *pluginv1.RunRequest, stream runStream, host *hostConn) error {
	args, prepared, err := r.ready(ctx, req.Instance)
	if err != nil {
		return err
	}
	e := &execution{
		ctx: ctx, fault: r.fault, instance: req.Instance, inputs: req.Inputs, workDir: req.WorkDir, stream: stream, host: host,
		outputs: prepared.Outputs, valueType: prepared.ValueType, folders: map[string]string{}, former: req.Kept,
		moneyLeft: req.MoneyLeft, value: cty.NilVal,
	}
	err = r.impl.Run(ctx, &Run[A]{Args: args, WorkDir: req.WorkDir, execution: e})
	if why := pendingOf(err); why != nil {
		return stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Pending{
			Pending: &pluginv1.Pending{Reason: legible(why.Reason), CheckAfterSeconds: why.checkAfter()},
		}})
	}
	if err != nil {
		return err
	}
	done, err := e.done()
	if err != nil {
		return r.fault(err)
	}
	return stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Done{Done: done}})
}

// execution is the part of Run that does not depend on the type of the
// arguments.
type execution struct {
	ctx       context.Context
	fault     func(error) error
	instance  *pluginv1.Instance
	inputs    map[string]*pluginv1.Artifact
	workDir   string
	stream    runStream
	host      *hostConn
	outputs   []*pluginv1.Output
	valueType []byte
	folders   map[string]string
	value     cty.Value
	moneyLeft *float64
	// former are the files that the last run kept. keptAgain are the names of those
	// that are kept again, and newKept is the folder of new ones, or empty.
	former    []*pluginv1.File
	keptAgain []string
	newKept   string
}

func (r *execution) output(name string, kinds ...pluginv1.ArtifactKind) (*pluginv1.Output, error) {
	for _, o := range r.outputs {
		if o.Name != name {
			continue
		}
		for _, k := range kinds {
			if o.Kind == k {
				return o, nil
			}
		}
		return nil, fmt.Errorf("output %q was declared as a %s", name, artifactKind(o.Kind))
	}
	return nil, fmt.Errorf("output %q was not declared in Prepare", name)
}

func (r *execution) write(name string, rec arrow.RecordBatch) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if _, err := r.writable(name, rec); err != nil {
		return r.fault(fmt.Errorf("write output %q: %w", name, err))
	}
	return encoded(rec, func(p wire.Piece) error {
		return r.sendRows(&pluginv1.Rows{Output: name, Rows: p.Rows})
	})
}

// writable returns a dataset output that rows fit.
func (r *execution) writable(name string, rec arrow.RecordBatch) (*pluginv1.Output, error) {
	out, err := r.output(name, pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET)
	if err != nil {
		return nil, err
	}
	return out, fits(data.FromProto(computed(out)), rec)
}

// computed returns the columns of an output that Run fills.
func computed(out *pluginv1.Output) []*pluginv1.Column {
	return slices.DeleteFunc(slices.Clone(out.Columns), func(c *pluginv1.Column) bool {
		return c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT
	})
}

func (r *execution) sendRows(rows *pluginv1.Rows) error {
	return r.stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Rows{Rows: rows}})
}

func (r *execution) writeSelected(name string, rec arrow.RecordBatch, keep []bool) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	out, err := r.writable(name, rec)
	switch {
	case err != nil:
	case out.RowsOf == "" || len(out.Selections) == 0:
		err = fmt.Errorf("only an output of KeepInput with a Selection can drop rows")
	case int64(len(keep)) != rec.NumRows():
		err = fmt.Errorf("there are %d rows, but keep has %d values", rec.NumRows(), len(keep))
	}
	if err != nil {
		return r.fault(fmt.Errorf("write output %q: %w", name, err))
	}
	return encoded(rec, func(p wire.Piece) error {
		rows := &pluginv1.Rows{Output: name, Rows: p.Rows}
		for i, kept := range keep[p.From:p.To] {
			if !kept {
				rows.Dropped = append(rows.Dropped, int64(i))
			}
		}
		return r.sendRows(rows)
	})
}

func (r *execution) kept() map[string]File {
	out := make(map[string]File, len(r.former))
	for _, f := range files(r.former) {
		out[f.Name] = f
	}
	return out
}

func (r *execution) keepFolder() (string, error) {
	dir := filepath.Join(r.workDir, "kept")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the folder of kept files: %w", err)
	}
	r.newKept = dir
	return dir, nil
}

// folder empties the folder when a run first asks for it: what an interrupted
// attempt left there is not a checkpoint.
func (r *execution) folder(name string) (string, error) {
	if dir, ok := r.folders[name]; ok {
		return dir, nil
	}
	_, err := r.output(name, pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT)
	if err != nil {
		return "", r.fault(err)
	}
	dir := filepath.Join(r.workDir, "output-"+url.PathEscape(name))
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("empty the folder of output %q: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the folder of output %q: %w", name, err)
	}
	r.folders[name] = dir
	return dir, nil
}

// done checks that everything that was declared exists.
func (r *execution) done() (*pluginv1.Done, error) {
	for _, o := range r.outputs {
		if _, ok := r.folders[o.Name]; !ok && hasFolder(o.Kind) {
			return nil, fmt.Errorf("output %q was declared, but Run did not call Folder(%q)", o.Name, o.Name)
		}
	}
	value, err := encodeDeclared(r.value, r.valueType)
	if err != nil {
		return nil, err
	}
	return &pluginv1.Done{Value: value, Folders: r.folders, Kept: r.keptAgain, KeptFolder: r.newKept}, nil
}

// hasFolder reports whether an output consists of files.
func hasFolder(k pluginv1.ArtifactKind) bool {
	return k == pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL || k == pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT
}

// encodeDeclared converts a value to the type that Prepare declared and encodes
// it. If nothing was declared and nothing set, it returns nothing.
func encodeDeclared(v cty.Value, typeJSON []byte) ([]byte, error) {
	if len(typeJSON) == 0 {
		if v == cty.NilVal {
			return nil, nil
		}
		return nil, fmt.Errorf("Run set a value, but Prepare did not call SetValueType")
	}
	var t cty.Type
	if err := t.UnmarshalJSON(typeJSON); err != nil {
		return nil, err
	}
	if v == cty.NilVal {
		return nil, fmt.Errorf("Prepare declared a value, but Run did not call SetValue")
	}
	v, err := convert.Convert(v, t)
	if err != nil {
		return nil, fmt.Errorf("the value does not have the declared type: %w", err)
	}
	if !v.IsWhollyKnown() {
		return nil, fmt.Errorf("the value contains an unknown value")
	}
	return msgpack.Marshal(v, cty.DynamicPseudoType)
}

// runStream is the stream of a Run call.
type runStream struct {
	*sender[pluginv1.RunResponse]
	*throttle
}

func (s runStream) progress(done, total int64, unit, message string) {
	s.do(total > 0 && done >= total, func() {
		// A stream that is broken shows at the next rows.
		_ = s.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Progress{
			Progress: &pluginv1.Progress{Done: done, Total: total, Unit: unit, Message: legible(message)},
		}})
	})
}
