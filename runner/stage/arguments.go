package stage

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/disk"
)

// RowArgument is a row expression that is passed as a column.
type RowArgument struct {
	Key    string
	Expr   *expr.Compiled
	typ    string
	column string // set if the expression is only a column
}

// RowArguments returns the row expressions over an input by key, and the
// features of the models that predict over it, as KEY.FEATURE.
func (s *Stage) RowArguments(of string) []RowArgument {
	var out []RowArgument
	for key, row := range s.Bound.Rows {
		if row.Of == of && !row.Late {
			out = append(out, RowArgument{Key: key, Expr: row.Expr})
		}
	}
	for key, in := range s.Inputs {
		if in.Of.Of != of || in.Of.Kind != plan.KindModel {
			continue
		}
		for name, e := range in.Features {
			out = append(out, RowArgument{Key: key + "." + name, Expr: e})
		}
	}
	slices.SortFunc(out, func(a, b RowArgument) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// splitArguments separates row arguments that are only a column of the input,
// which cost nothing, from those that have to be computed.
func (s *Stage) splitArguments(in *Input) (bare, computed []RowArgument) {
	for _, a := range s.RowArguments(in.Key) {
		a.typ = a.Expr.ColumnType
		if name, ok := a.Expr.Column(); ok {
			if c, _, ok := in.Artifact.Dataset.Schema.Lookup(name); ok && (a.typ == "" || c.Type == a.typ) {
				a.typ, a.column = c.Type, name
				bare = append(bare, a)
				continue
			}
		}
		computed = append(computed, a)
	}
	return bare, computed
}

// parallelShards is the number of shards that are computed at the same time.
const parallelShards = 2

func (s *Stage) computeArguments(ctx context.Context, h Handover, in *Input, args []RowArgument, shards []data.Shard) error {
	dir := filepath.Join(h.Arguments, in.Key)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return disk.Explain(err)
	}
	c, err := s.Compute(in, args)
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
			key := h.Known.key(in.Key, args, c.columns, c.manifest.Shards[i])
			found, err := h.Known.find(key)
			switch {
			case err != nil:
				return err
			case found != "":
				path = found
			default:
				if err := c.shard(ctx, h.Blobs, i, path, from); err != nil {
					return err
				}
				h.Known.made(key, path, c.manifest.Shards[i].Rows, c.stored)
			}
			group := data.Group{Path: path}
			for k, a := range args {
				group.Columns = append(group.Columns, data.Stored{
					Stored: c.stored[k].Name, Name: a.Key, Namespace: data.Arguments, Digest: dataset.ShardKey("", c.manifest.Shards[i], a.Expr.Columns),
				})
			}
			shards[i].Groups = append(shards[i].Groups, group)
			return nil
		})
	}
	return g.Wait()
}

// Computation computes row arguments over a dataset.
type Computation struct {
	stage    *Stage
	in       *Input
	manifest *dataset.Manifest
	args     []RowArgument
	programs []*columnar.Program
	columns  []string    // those that are read from the dataset
	stored   data.Schema // as written: keys contain dots, which Parquet uses in paths
}

// Compute returns the computation of row arguments over an input dataset. It
// returns an error if the dataset lacks a column that they read.
func (s *Stage) Compute(in *Input, args []RowArgument) (*Computation, error) {
	c := &Computation{stage: s, in: in, manifest: in.Artifact.Dataset, args: args}
	for _, a := range args {
		c.columns = append(c.columns, a.Expr.Columns...)
	}
	slices.Sort(c.columns)
	c.columns = slices.Compact(c.columns)
	var schema data.Schema
	for _, name := range c.columns {
		column, _, ok := c.manifest.Schema.Lookup(name)
		if !ok {
			return nil, failure.Errorf(s.RangeOf(args[0].Key), "Column is missing", "%s needs the column %q, which %s does not have.", args[0].Key, name, in.Of.Address)
		}
		schema = append(schema, column)
	}
	for i, a := range args {
		p, err := columnar.New(a.Expr, schema, s.Secrets.Vars(a.Expr.Secrets))
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", a.Key, err)
		}
		c.programs = append(c.programs, p)
		c.stored = append(c.stored, data.Column{Name: "argument" + strconv.Itoa(i), Type: a.Expr.ColumnType})
	}
	return c, nil
}

// shard writes the arguments' columns for one shard to a file. first is the
// shard's first row in the dataset.
func (c *Computation) shard(ctx context.Context, blobs *blob.Store, i int, path string, first int64) (err error) {
	files, err := c.manifest.Shards[i].Files(blobs, c.columns)
	if err != nil {
		return &failure.Input{Address: c.in.Of.Address, Err: err}
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

func (c *Computation) batch(ctx context.Context, rec arrow.RecordBatch, first int64) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, len(c.programs))
	for i, p := range c.programs {
		column, failed, err := p.Eval(ctx, rec)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", c.args[i].Key, err)
		}
		if len(failed) > 0 {
			key := c.args[i].Key
			return nil, failure.Errorf(c.stage.RangeOf(key), "Row expression failed", "In row %d of %s, the expression of argument %q failed: %s",
				first+int64(failed[0].Row), c.in.Of.Address, key, failed[0].Message)
		}
		columns[i] = column
	}
	return array.NewRecordBatch(c.stored.Arrow(), columns, rec.NumRows()), nil
}

// Keys yields a key of the arguments' values for each row. It skips rows whose
// values are all empty, and rows for which an expression fails.
func (c *Computation) Keys(ctx context.Context, blobs *blob.Store, yield func([16]byte)) (n, skipped int64, err error) {
	shards, err := c.manifest.Files(blobs, c.columns)
	if err != nil {
		return 0, 0, err
	}
	for rec, err := range data.Read(ctx, shards, c.columns, 0) {
		if err != nil {
			return 0, 0, err
		}
		columns := make([]arrow.Array, len(c.programs))
		for i, p := range c.programs {
			if columns[i], _, err = p.Eval(ctx, rec); err != nil {
				return 0, 0, fmt.Errorf("feature %q: %w", c.args[i].Key, err)
			}
		}
		keys, err := dataset.RowKeys(array.NewRecordBatch(c.stored.Arrow(), columns, rec.NumRows()), c.stored.Names(), "")
		if err != nil {
			return 0, 0, err
		}
		for i, key := range keys {
			if allEmpty(columns, i) {
				skipped++
				continue
			}
			n++
			yield(key)
		}
	}
	return n, skipped, nil
}

// allEmpty reports whether all values of a row are null or texts of only white
// space.
func allEmpty(columns []arrow.Array, row int) bool {
	return !slices.ContainsFunc(columns, func(a arrow.Array) bool {
		if a.IsNull(row) {
			return false
		}
		texts, ok := a.(interface{ Value(int) string })
		return !ok || strings.TrimSpace(texts.Value(row)) != ""
	})
}
