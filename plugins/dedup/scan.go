package dedup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// scan learns about the values of all shards: it takes over what the last run kept, and
// reads the others.
type scan struct {
	run *plugin.Run[dedupArgs]
	in  *plugin.DatasetInput
	// comparison compares values that are not equal; nil if they are not compared.
	comparison comparison
	layout     layout
	compared   data.Ref
	// kind begins the names of files about shards. It is "" if none can be reused.
	kind  string
	files *files
	done  atomic.Int64

	// columns are read along with the values of method "exact", so that equal rows need not be
	// read again: the slots of a row are a hash of all of them.
	columns []data.Ref

	prints []*prints          // by shard
	names  []string           // of the files about the shards; empty if they cannot be identified
	fresh  []bool             // the shards that are read in this run
	former map[string]*prints // of shards that no longer exist, by the name of their file
	// places are the rows of former shards, by print.
	places map[digest]place
	// waiting is the error of a request to a model that is not answered yet.
	waiting atomic.Pointer[llm.CallError]
}

type place struct {
	shard *prints
	row   int
}

func newScan(r *plugin.Run[dedupArgs]) (*scan, error) {
	c, err := r.Args.newComparison()
	if err != nil {
		return nil, err
	}
	f, err := newFiles(r)
	if err != nil {
		return nil, err
	}
	in := r.Dataset(r.Args.Input)
	s := &scan{
		run: r, in: in, comparison: c, files: f,
		compared: data.Ref{Namespace: data.Arguments, Name: r.Args.compared().Key}, kind: "values", prints: make([]*prints, len(in.Shards())),
		names: make([]string, len(in.Shards())), fresh: make([]bool, len(in.Shards())), former: map[string]*prints{},
	}
	if c != nil {
		s.layout = c.layout()
	} else {
		s.layout.slots = contentBytes
		s.columns = data.Columns.Refs(in.Schema.Names()...)
	}
	return s, nil
}

// all returns what is known about each shard.
func (s *scan) all(ctx context.Context) error {
	if err := s.identifyModel(ctx); err != nil {
		return err
	}
	fresh := map[string][]int{} // shards to read, by the name of their file
	for i, shard := range s.in.Shards() {
		name := ""
		if s.kind != "" {
			name = fileName(s.kind, shard, s.refs()...)
		}
		s.names[i] = name
		if name != "" {
			p, err := openPrints(s.files.path(name), int(shard.Rows), s.layout)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			s.prints[i] = p
		}
		if s.prints[i] == nil {
			fresh[name] = append(fresh[name], i)
			s.fresh[i] = true
			continue
		}
		s.done.Add(shard.Rows)
		if err := s.files.keep(name); err != nil {
			return err
		}
	}
	if len(fresh) == 0 {
		return s.sameLengths()
	}
	if s.comparison != nil {
		if err := s.remember(); err != nil {
			return err
		}
	}
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for name, shards := range fresh {
		if name == "" {
			for _, i := range shards {
				g.Go(func() error { return s.read(ctx, "", i) })
			}
			continue
		}
		g.Go(func() error { return s.read(ctx, name, shards...) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if waiting := s.waiting.Load(); waiting != nil {
		return waiting
	}
	return s.sameLengths()
}

// refs are what is read about a row.
func (s *scan) refs() []data.Ref { return append([]data.Ref{s.compared}, s.columns...) }

// remember finds the rows of shards that no longer exist, among which the rows of new
// shards probably are.
func (s *scan) remember() error {
	s.places = map[digest]place{}
	for name, f := range s.files.former {
		if s.files.again[name] || s.kind == "" || !strings.HasPrefix(name, s.kind+"-") {
			continue
		}
		p, err := openPrints(f.Path, -1, s.layout)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		s.former[name] = p
		for row := range p.rows {
			s.places[p.print(row)] = place{p, row}
		}
	}
	return nil
}

// read reads one of some equal shards.
func (s *scan) read(ctx context.Context, name string, shards ...int) error {
	shard := s.in.Shards()[shards[0]]
	p := newPrints(int(shard.Rows), layout{s.layout.bands, max(0, s.layout.slots)})
	r := newReader(s, p)
	for _, before := range s.in.Shards()[:shards[0]] {
		r.first += before.Rows
	}
	for rec, err := range data.ReadRefs(ctx, []data.Shard{shard}, s.refs(), readRows) {
		if err != nil {
			return err
		}
		if err := r.contents(rec.Columns()[1:], int(rec.NumRows())); err != nil {
			return err
		}
		if err := r.batch(ctx, rec.Column(0)); err != nil {
			return err
		}
		s.run.Progress(s.done.Add(rec.NumRows()), s.in.Rows, "rows", "reading")
	}
	for _, i := range shards {
		s.prints[i] = p
	}
	if name == "" || s.waiting.Load() != nil {
		return nil
	}
	if err := writeFile(s.files.folder, name, p.content); err != nil {
		return fmt.Errorf("keep what is known about a shard: %w", err)
	}
	mapped, err := openPrints(filepath.Join(s.files.folder, name), p.rows, s.layout)
	if err != nil {
		return err
	}
	for _, i := range shards {
		s.prints[i] = mapped
	}
	return nil
}

// reader learns about the rows of one shard.
type reader struct {
	*scan
	out     *prints
	workers []*worker
	first   int64 // of the shard
	row     int
	value   []byte
}

// worker computes what identifies and compares the values of a part of each batch.
type worker struct {
	*reader
	signer signer // nil if values are not compared
	bands  []uint32
	value  []byte
}

func newReader(s *scan, out *prints) *reader {
	r := &reader{scan: s, out: out, workers: make([]*worker, 1)}
	if s.layout.bands > 0 && s.layout.slots > 0 { // signatures take long to compute, and their size is known
		r.workers = make([]*worker, runtime.GOMAXPROCS(0))
	}
	for i := range r.workers {
		r.workers[i] = &worker{reader: r}
		if s.comparison != nil {
			r.workers[i].signer, r.workers[i].bands = s.comparison.newSigner(), make([]uint32, s.layout.bands)
		}
	}
	return r
}

// contents adds the hashes of the columns of the next rows, for method "exact".
func (r *reader) contents(columns []arrow.Array, rows int) (err error) {
	if r.comparison != nil {
		return nil
	}
	var hash uint64
	for i := range rows {
		if hash, r.value, err = contentOf(columns, i, r.value); err != nil {
			return err
		}
		r.out.setContent(r.row+i, hash)
	}
	return nil
}

func (r *reader) batch(ctx context.Context, values arrow.Array) error {
	if !r.run.Args.Model.IsSet() {
		return r.values(values, values)
	}
	for from := 0; from < values.Len(); from += embeddedRows {
		texts := array.NewSlice(values, int64(from), int64(min(from+embeddedRows, values.Len()))).(*array.String)
		vectors, err := r.embed(ctx, texts)
		if err != nil {
			return err
		}
		err = r.values(texts, vectors)
		vectors.Release()
		texts.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// values learns about the next rows: what identifies their values, and what is compared,
// which may be something else.
func (r *reader) values(values, compared arrow.Array) error {
	first, n := r.row, values.Len()
	r.row += n
	if len(r.workers) == 1 {
		return r.workers[0].values(values, compared, first, 0, n)
	}
	g := parallel.New(-1)
	for k, w := range r.workers {
		g.Go(func() error {
			return w.values(values, compared, first, k*n/len(r.workers), (k+1)*n/len(r.workers))
		})
	}
	return g.Wait()
}

// values reads the rows [from, to) of a batch that begins at row first of the shard.
func (w *worker) values(values, compared arrow.Array, first, from, to int) error {
	texts, isText := values.(*array.String)
	for i := from; i < to; i++ {
		row := first + i
		if values.IsNull(i) {
			continue // the print is zero
		}
		var p digest
		if isText {
			p = digestOf(xxh3.HashString128(texts.Value(i)))
		} else {
			var err error
			if w.value, err = rows.AppendValue(w.value[:0], values, i); err != nil {
				return err
			}
			p = digestOf(xxh3.Hash128(w.value))
		}
		w.out.setPrint(row, p)
		if err := w.sign(row, p, compared, i); err != nil {
			return plugin.ArgumentErrorf(w.compared.Name, "A value cannot be compared\nIn row %d, %w.", w.first+int64(row), err)
		}
	}
	return nil
}

// digestOf returns the digest of a value, which is never zero.
func digestOf(hash xxh3.Uint128) digest { return digest{hash.Hi, hash.Lo | 1} }

func (w *worker) sign(row int, p digest, values arrow.Array, i int) error {
	if w.signer == nil {
		return nil
	}
	if at, ok := w.places[p]; ok {
		if err := w.hasSlots(at.shard.slots); err != nil {
			return err
		}
		w.out.copy(row, at.shard, at.row)
		return nil
	}
	if values.IsNull(i) { // a text without an embedding
		return nil
	}
	slots, err := w.signer.sign(values, i, w.bands)
	if err != nil || slots == nil {
		return err
	}
	if err := w.hasSlots(len(slots)); err != nil {
		return err
	}
	copy(w.out.slotsOf(row), slots)
	for band, hash := range w.bands {
		w.out.setBand(band, row, max(hash, 1))
	}
	return nil
}

// hasSlots makes room for the slots of a row, which is the same for all rows.
func (r *reader) hasSlots(n int) error {
	switch {
	case r.out.slots == n:
	case r.out.slots == 0:
		r.out.setSlots(n)
	case n > 0: // a former shard without embeddings has none
		return differentLengths(n, r.out.slots)
	}
	return nil
}

func differentLengths(is, others int) error {
	return fmt.Errorf("the length of the embedding is %d, and that of others is %d", is/4, others/4)
}

// sameLengths checks that all shards have slots of the same size.
func (s *scan) sameLengths() error {
	size := 0
	for _, p := range s.prints {
		switch {
		case size == 0:
			size = p.slots
		case p.slots > 0 && p.slots != size:
			return plugin.ArgumentErrorf(s.compared.Name, "Values cannot be compared\nIn some rows, %w.", differentLengths(p.slots, size))
		}
	}
	return nil
}

func (s *scan) close() error {
	var errs []error
	for _, p := range slices.AppendSeq(slices.Clone(s.prints), maps.Values(s.former)) {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// readRows is the number of rows in the batches that are read, few enough to decode the
// next ones meanwhile.
const readRows = 1024
