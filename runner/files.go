package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/disk"
)

// files gives a stage its inputs as files in the store. Row arguments come with
// them: a bare one is the input's own column, handed out once more; others are
// computed into column groups in the folder arguments.
func (r *run) files(ctx context.Context, w *work, arguments string) (map[string]*pluginv1.Artifact, error) {
	out := make(map[string]*pluginv1.Artifact, len(w.inputs))
	for _, key := range slices.Sorted(maps.Keys(w.inputs)) {
		in := w.inputs[key]
		a, err := r.inputFiles(in)
		if err == nil && in.artifact.Dataset != nil {
			err = r.datasetFiles(ctx, w, in, a, filepath.Join(arguments, key))
		}
		if err != nil {
			return nil, err
		}
		out[key] = a
	}
	return out, nil
}

// inputFiles describes an input and names its files, verified.
func (r *run) inputFiles(in *input) (*pluginv1.Artifact, error) {
	a := &pluginv1.Artifact{Kind: kindToProto(in.of.Kind), Digest: in.ref.Digest, Format: in.artifact.ModelFormat}
	for _, f := range in.artifact.Files {
		path, err := r.Store.Blobs.Path(f.Digest)
		if err != nil {
			return nil, &inputError{in.of.Address, err}
		}
		a.Files = append(a.Files, &pluginv1.File{Name: f.Name, Path: path, Digest: f.Digest, Size: f.Size})
	}
	if len(in.artifact.Signature) > 0 {
		var s plan.Signature
		if err := json.Unmarshal(in.artifact.Signature, &s); err != nil {
			return nil, &inputError{in.of.Address, fmt.Errorf("read its signature: %w", err)}
		}
		a.Signature = s.Proto()
	}
	return a, nil
}

func kindToProto(kind string) pluginv1.ArtifactKind {
	switch kind {
	case plan.KindModel:
		return pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL
	case plan.KindReport:
		return pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT
	}
	return pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET
}

// datasetFiles adds a dataset's columns and shards: the columns that the
// plugin asked for, and the row arguments by their keys.
func (r *run) datasetFiles(ctx context.Context, w *work, in *input, a *pluginv1.Artifact, dir string) error {
	m := in.artifact.Dataset
	names := m.Schema.Names() // of a dataset that is deployed all is handed out
	if w.Mode == plan.ModeRun && in.of.Kind == plan.KindDataset {
		names = w.given(in.key, m)
	}
	seen := map[string][]data.Ref{} // column of the dataset → what it is handed out as
	bare, computed := w.splitArguments(in)
	for _, name := range names {
		c, _, _ := m.Schema.Lookup(name)
		a.Columns = append(a.Columns, &pluginv1.Column{Name: c.Name, Type: c.Type})
		seen[name] = append(seen[name], data.Ref{Namespace: data.Columns, Name: name})
	}
	for _, arg := range bare {
		a.Arguments = append(a.Arguments, &pluginv1.Column{Name: arg.key, Type: arg.typ})
		seen[arg.column] = append(seen[arg.column], data.Ref{Namespace: data.Arguments, Name: arg.key})
	}
	shards, err := m.Files(r.Store.Blobs, slices.Sorted(maps.Keys(seen)))
	if err != nil {
		return &inputError{in.of.Address, err}
	}
	for i := range shards {
		handOut(&shards[i], seen)
	}
	if len(computed) > 0 {
		if err := r.computeArguments(ctx, w, in, computed, shards, dir); err != nil {
			return err
		}
	}
	for _, arg := range computed {
		a.Arguments = append(a.Arguments, &pluginv1.Column{Name: arg.key, Type: arg.typ})
	}
	a.Rows, a.Shards = m.Rows, data.ShardsToProto(shards)
	return nil
}

// handOut names each column of a shard by everything that it is handed out as.
func handOut(s *data.Shard, seen map[string][]data.Ref) {
	for i := range s.Groups {
		var columns []data.Stored
		for _, c := range s.Groups[i].Columns {
			for _, ref := range seen[c.Name] {
				columns = append(columns, data.Stored{Stored: c.Stored, Name: ref.Name, Namespace: ref.Namespace})
			}
		}
		s.Groups[i].Columns = columns
	}
}

// rowArgument is a row expression that is handed out as a column.
type rowArgument struct {
	key    string
	expr   *expr.Compiled
	typ    string
	column string // set when it is no more than a column
}

// rowArguments are the row expressions over an input, and the features of the
// models that predict over it, as KEY.FEATURE; by key.
func (w *work) rowArguments(of string) []rowArgument {
	var out []rowArgument
	for key, row := range w.bound.Rows {
		if row.Of == of && !row.Late {
			out = append(out, rowArgument{key: key, expr: row.Expr})
		}
	}
	for key, in := range w.inputs {
		if in.of.Of != of || in.of.Kind != plan.KindModel {
			continue
		}
		for name, e := range in.features {
			out = append(out, rowArgument{key: key + "." + name, expr: e})
		}
	}
	slices.SortFunc(out, func(a, b rowArgument) int { return strings.Compare(a.key, b.key) })
	return out
}

// splitArguments tells row arguments that are no more than a column of the
// input, which cost nothing, from those that have to be computed.
func (w *work) splitArguments(in *input) (bare, computed []rowArgument) {
	for _, a := range w.rowArguments(in.key) {
		a.typ = a.expr.ColumnType
		if name, ok := a.expr.Column(); ok {
			if c, _, ok := in.artifact.Dataset.Schema.Lookup(name); ok && (a.typ == "" || c.Type == a.typ) {
				a.typ, a.column = c.Type, name
				bare = append(bare, a)
				continue
			}
		}
		computed = append(computed, a)
	}
	return bare, computed
}

// parallelShards is how many shards are computed at a time.
const parallelShards = 2

func (r *run) computeArguments(ctx context.Context, w *work, in *input, args []rowArgument, shards []data.Shard, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return disk.Explain(err)
	}
	c, err := r.newComputation(w, in, args)
	if err != nil {
		return err
	}
	first := int64(0)
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(parallelShards)
	for i := range shards {
		path, from := filepath.Join(dir, strconv.Itoa(i)+".parquet"), first
		first += shards[i].Rows
		g.Go(func() error {
			if err := c.shard(ctx, r, i, path, from); err != nil {
				return err
			}
			group := data.Group{Path: path}
			for k, a := range args {
				group.Columns = append(group.Columns, data.Stored{Stored: c.stored[k].Name, Name: a.key, Namespace: data.Arguments})
			}
			shards[i].Groups = append(shards[i].Groups, group)
			return nil
		})
	}
	return g.Wait()
}

// computation computes row arguments over a dataset.
type computation struct {
	work     *work
	in       *input
	manifest *dataset.Manifest
	args     []rowArgument
	programs []*expr.Program
	columns  []string    // read of the dataset
	stored   data.Schema // as written: keys have dots, which Parquet's paths use
}

func (r *run) newComputation(w *work, in *input, args []rowArgument) (*computation, error) {
	c := &computation{work: w, in: in, manifest: in.artifact.Dataset, args: args}
	for _, a := range args {
		c.columns = append(c.columns, a.expr.Columns...)
	}
	slices.Sort(c.columns)
	c.columns = slices.Compact(c.columns)
	var schema data.Schema
	for _, name := range c.columns {
		column, _, ok := c.manifest.Schema.Lookup(name)
		if !ok {
			return nil, failuref(w.RangeOf(args[0].key), "Column is missing", "%s needs the column %q, which %s does not have.", args[0].key, name, in.of.Address)
		}
		schema = append(schema, column)
	}
	for i, a := range args {
		p, err := a.expr.Program(schema, r.vars(nil, a.expr.Secrets))
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", a.key, err)
		}
		c.programs = append(c.programs, p)
		c.stored = append(c.stored, data.Column{Name: "argument" + strconv.Itoa(i), Type: a.expr.ColumnType})
	}
	return c, nil
}

// shard writes the arguments' columns of one shard to a file. first is the
// shard's first row in the dataset.
func (c *computation) shard(ctx context.Context, r *run, i int, path string, first int64) (err error) {
	files, err := c.manifest.Shards[i].Files(r.Store.Blobs, c.columns)
	if err != nil {
		return &inputError{c.in.of.Address, err}
	}
	f, err := os.Create(path)
	if err != nil {
		return disk.Explain(err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = disk.Explain(closeErr)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<18)
	out, err := data.NewFileWriter(buffered, c.stored)
	if err != nil {
		return err
	}
	for rec, err := range data.Read(ctx, []data.Shard{files}, c.columns, 0) {
		if err != nil {
			return err
		}
		computed, err := c.batch(ctx, rec, first)
		if err != nil {
			return err
		}
		if err := out.Write(computed); err != nil {
			return disk.Explain(err)
		}
		first += rec.NumRows()
	}
	if err := out.Close(); err != nil {
		return disk.Explain(err)
	}
	return disk.Explain(buffered.Flush())
}

func (c *computation) batch(ctx context.Context, rec arrow.RecordBatch, first int64) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, len(c.programs))
	for i, p := range c.programs {
		column, failed, err := p.Eval(ctx, rec)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", c.args[i].key, err)
		}
		if len(failed) > 0 {
			key := c.args[i].key
			return nil, failuref(c.work.RangeOf(key), "Row expression failed", "In row %d of %s, the expression of argument %q failed: %s",
				first+int64(failed[0].Row), c.in.of.Address, key, failed[0].Message)
		}
		columns[i] = column
	}
	return array.NewRecordBatch(c.stored.Arrow(), columns, rec.NumRows()), nil
}
