package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/memo"
)

// aligned is a dataset with the rows of an input, in their order. Its shards share
// the files of the input's shards; each has one column group more if the plugin adds
// columns. A shard that loses rows is written again, and the memo remembers that: the
// same rows of the same shard are not written twice.
type aligned struct {
	dataset.Derivation
	fresh      data.Schema // the columns that the plugin adds
	freshArrow *arrow.Schema
	selects    bool // rows can be dropped
	blobs      *blob.Store
	memo       *memo.Store
	definition string
	port       string

	shard   int // the shard that is being written
	rows    int64
	dropped []int64 // rows of the shard
	group   *dataset.GroupWriter

	// used are the parts of the memo that the result is from, by shard of the input. rewrites
	// owns the elements of shards that lose rows.
	used     []string
	rewrites parallel.Group
	ctx      context.Context // of rewrites
	joining  *joining
}

func newAligned(ctx context.Context, a *attempt, port *plan.Port) (*aligned, error) {
	in := a.Inputs[port.RowsOf]
	if in == nil || in.Artifact.Dataset == nil {
		return nil, a.Faulty(fmt.Sprintf("its output %q has the rows of input %q, which is not a dataset", port.Name, port.RowsOf))
	}
	m := in.Artifact.Dataset
	w := &aligned{
		Derivation: dataset.Derivation{Input: m, Schema: port.Columns, From: map[string]string{}},
		selects:    port.SelectedFrom == port.RowsOf, blobs: a.Store.Blobs, memo: a.Store.Memo, definition: a.task.Definition, port: port.Name,
		used: make([]string, len(m.Shards)),
	}
	points, err := w.memo.Checkpoints(w.definition, w.port)
	if err != nil {
		return nil, err
	}
	w.joining = &joining{points: points, dataset: dataset.StartJoin(w.blobs, w.Schema, points), done: make([]*written, len(m.Shards))}
	for _, c := range port.Columns {
		if from, ok := strings.CutPrefix(port.Origins[c.Name], "input:"); ok {
			w.From[c.Name] = from
		} else {
			w.fresh = append(w.fresh, c)
		}
	}
	w.freshArrow = w.fresh.Arrow()
	if len(w.fresh) > 0 {
		w.Added = make([][]dataset.Added, len(m.Shards))
	}
	w.rewrites, w.ctx = parallel.WithContext(ctx)
	w.rewrites.SetLimit(runtime.GOMAXPROCS(0))
	return w, nil
}

func (w *aligned) schema() *arrow.Schema { return w.freshArrow }

// write adds the columns of the next rows of the input. dropped are those that the
// result does not have.
func (w *aligned) write(ctx context.Context, rec arrow.RecordBatch, dropped []int64) error {
	if err := w.check(rec, dropped); err != nil {
		return err
	}
	for from := int64(0); from < rec.NumRows(); {
		if w.shard == len(w.Input.Shards) {
			return fault(fmt.Sprintf("it sent more rows than the %d of its input", w.Input.Rows))
		}
		to := min(rec.NumRows(), from+w.Input.Shards[w.shard].Rows-w.rows)
		for len(dropped) > 0 && dropped[0] < to {
			w.dropped, dropped = append(w.dropped, w.rows+dropped[0]-from), dropped[1:]
		}
		if err := w.add(ctx, rec, from, to); err != nil {
			return err
		}
		if from = to; w.rows == w.Input.Shards[w.shard].Rows {
			if err := w.endShard(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *aligned) check(rec arrow.RecordBatch, dropped []int64) error {
	if len(dropped) > 0 && !w.selects {
		return fault("it dropped rows of an output for which it declared no selection")
	}
	for i, row := range dropped {
		if row < 0 || row >= rec.NumRows() || i > 0 && row <= dropped[i-1] {
			return fault(fmt.Sprintf("it dropped the rows %v of a message with %d rows; they must be ascending and among them", dropped[:i+1], rec.NumRows()))
		}
	}
	return nil
}

// add writes new columns of the present shard.
func (w *aligned) add(ctx context.Context, rec arrow.RecordBatch, from, to int64) error {
	w.rows += to - from
	if len(w.fresh) == 0 {
		return ctx.Err()
	}
	if w.group == nil {
		w.group = dataset.NewGroup(w.blobs, w.fresh)
	}
	part := rec.NewSlice(from, to)
	defer part.Release()
	return w.group.Write(ctx, part)
}

func (w *aligned) endShard() error {
	if w.group != nil {
		group, columns, err := w.group.Close()
		w.group = nil
		if err != nil {
			return err
		}
		w.Added[w.shard] = []dataset.Added{{Group: group, Columns: columns}}
	}
	shared, err := w.Shard(w.shard)
	if err != nil {
		return err
	}
	i, dropped := w.shard, w.dropped
	w.shard, w.rows, w.dropped = w.shard+1, 0, nil
	switch int64(len(dropped)) {
	case 0:
		return w.joining.add(w.ctx, i, &written{shards: []dataset.Shard{shared}})
	case shared.Rows:
		return w.joining.add(w.ctx, i, &written{})
	}
	w.rewrites.Go(func() error {
		rest, key, err := w.selected(shared, dropped)
		if err != nil {
			return fmt.Errorf("write shard %d of %d without the rows that were dropped: %w", i+1, len(w.Input.Shards), err)
		}
		w.used[i] = key
		return w.joining.add(w.ctx, i, rest)
	})
	return nil
}

// selected returns a shard without some of its rows, and the key of its part of the
// memo.
func (w *aligned) selected(s dataset.Shard, dropped []int64) (*written, string, error) {
	key := dataset.SelectionKey(w.definition, s, dropped)
	part, err := w.memo.Lookup(w.definition, key)
	if damaged := (*document.Damaged)(nil); err != nil && !errors.As(err, &damaged) {
		return nil, "", err
	}
	if part != nil && part.Selection != nil && w.present(part) {
		return &written{shards: part.Selection.Shards}, key, nil
	}
	rest, err := w.rewrite(s, dropped)
	if err != nil {
		return nil, "", err
	}
	return rest, key, w.memo.Put(&memo.Part{
		Definition: w.definition, ShardKey: key, Rows: s.Rows, InputRows: s.Rows,
		Results: memo.Results{Selection: &memo.Selection{Shards: rest.shards}},
	})
}

func (w *aligned) present(part *memo.Part) bool {
	return !slices.ContainsFunc(part.Blobs(), func(b string) bool { return w.blobs.Find(b) != nil })
}

// rewrite writes a shard without some of its rows.
func (w *aligned) rewrite(s dataset.Shard, dropped []int64) (*written, error) {
	names := w.Schema.Names()
	files, err := s.Files(w.blobs, names)
	if err != nil {
		return nil, err
	}
	out := dataset.NewKeeping(w.blobs, w.Schema)
	defer out.Abort()
	first := int64(0)
	for rec, err := range data.Read(w.ctx, []data.Shard{files}, names, 0) {
		if err != nil {
			return nil, err
		}
		n := 0
		for n < len(dropped) && dropped[n] < first+rec.NumRows() {
			n++
		}
		rest, err := dropRows(rec, first, dropped[:n])
		if err != nil {
			return nil, err
		}
		first, dropped = first+rec.NumRows(), dropped[n:]
		err = out.Write(w.ctx, rest)
		rest.Release()
		if err != nil {
			return nil, err
		}
	}
	m, err := out.Close()
	if err != nil {
		return nil, err
	}
	return &written{m.Shards, out.Values()}, nil
}

// dropRows returns a batch without some of its rows, which are counted from first at
// the start of the batch. The caller releases it.
func dropRows(rec arrow.RecordBatch, first int64, dropped []int64) (arrow.RecordBatch, error) {
	if len(dropped) == 0 {
		rec.Retain()
		return rec, nil
	}
	var kept []data.Range
	at := 0
	for _, row := range append(slices.Clone(dropped), first+rec.NumRows()) {
		if to := int(row - first); to > at {
			kept = append(kept, data.Range{From: at, To: to})
		}
		at = int(row-first) + 1
	}
	columns := make([]arrow.Array, rec.NumCols())
	for i, c := range rec.Columns() {
		var err error
		if columns[i], err = data.Ranges(c, kept); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(rec.Schema(), columns, rec.NumRows()-int64(len(dropped))), nil
}

// close returns the dataset.
func (w *aligned) close(ctx context.Context) (*dataset.Manifest, error) {
	if err := w.rewrites.Wait(); err != nil {
		return nil, err
	}
	if w.shard < len(w.Input.Shards) {
		return nil, fault(fmt.Sprintf("it sent fewer rows than the %d of its input", w.Input.Rows))
	}
	m, err := w.join(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.memo.PutCheckpoints(w.definition, w.port, w.joining.points); err != nil {
		return nil, err
	}
	return m, w.forget()
}

func (w *aligned) join(ctx context.Context) (*dataset.Manifest, error) {
	if w.joining.rows == w.Input.Rows { // no row was dropped
		return dataset.Derive(ctx, w.blobs, w.Derivation, w.joining.points)
	}
	return w.joining.dataset.End(ctx)
}

// written are the shards that a shard of the input became, with the values of those that
// were written now.
type written struct {
	shards []dataset.Shard
	values []dataset.Values
}

// joining joins the shards of the result in their order, as soon as they are written, so
// that few values are in memory. It is safe for concurrent use.
type joining struct {
	points  *dataset.Checkpoints
	dataset *dataset.Joining
	mu      sync.Mutex
	done    []*written // by shard of the input, from next on
	next    int
	rows    int64
}

func (j *joining) add(ctx context.Context, i int, w *written) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.done[i] = w; j.next < len(j.done) && j.done[j.next] != nil; j.next++ {
		w := j.done[j.next]
		j.done[j.next] = &written{}
		for k, s := range w.shards {
			var values dataset.Values
			if w.values != nil {
				values = w.values[k]
			}
			if err := j.dataset.Add(ctx, s, values); err != nil {
				return err
			}
			j.rows += s.Rows
		}
	}
	return nil
}

// forget drops the parts of the memo that this result does not use, because rewritten
// shards are as large as the dataset.
func (w *aligned) forget() error {
	return w.memo.Forget(w.definition, func(p *memo.Part) bool { return p.Selection != nil && !slices.Contains(w.used, p.ShardKey) })
}

func (w *aligned) abort() {
	if w.group != nil {
		w.group.Abort()
		w.group = nil
	}
	// Their errors no longer matter, but their files must be closed.
	_ = w.rewrites.Wait()
}
