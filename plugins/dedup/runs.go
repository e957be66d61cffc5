package dedup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// runs are the runs of words in the texts of one shard. They are a file, which the next
// run gets for a shard with the same texts:
//
//	magic     8 bytes
//	rows, runs, bytes of text    uint64 each
//	print     16 bytes for each row
//	hash      uint64 for each run, ascending, once
//	row       uint32 for each run: the one with the least print that has it
//
// Numbers are little-endian.
type runs struct {
	rows, n int
	bytes   int64
	content []byte
	file    []byte // if content is a file in memory
	// foreign has the runs of which the least print is in another shard.
	foreign []uint64
}

const (
	runsMagic  = "qruns01\n"
	runsHeader = len(runsMagic) + 3*8
)

func (s *runs) print(row int) digest {
	b := s.content[runsHeader+16*row:]
	return digest{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

func (s *runs) hash(run int) uint64 {
	return binary.LittleEndian.Uint64(s.content[runsHeader+16*s.rows+8*run:])
}

// owner is the row of the shard with the least print that has a run.
func (s *runs) owner(run int) int {
	return int(binary.LittleEndian.Uint32(s.content[runsHeader+16*s.rows+8*s.n+4*run:]))
}

// find returns the first run with at least this hash.
func (s *runs) find(hash uint64) int {
	return sort.Search(s.n, func(i int) bool { return s.hash(i) >= hash })
}

func (s *runs) isForeign(run int) bool { return s.foreign[run>>6]&(1<<(run&63)) != 0 }

// setForeign is safe for concurrent use.
func (s *runs) setForeign(run int) { atomic.OrUint64(&s.foreign[run>>6], 1<<(run&63)) }

// foreignHash identifies the set of foreign runs.
func (s *runs) foreignHash() string {
	h := xxh3.New()
	for _, word := range s.foreign {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, word)) // it never fails
	}
	sum := h.Sum128()
	return digest{sum.Hi, sum.Lo}.String()
}

func openRuns(path string, rows int) (*runs, error) {
	content, err := mapFile(path)
	if err != nil || content == nil {
		return nil, err
	}
	s := &runs{content: content, file: content}
	if len(content) >= runsHeader && bytes.HasPrefix(content, []byte(runsMagic)) {
		word := func(i int) int { return int(binary.LittleEndian.Uint64(content[len(runsMagic)+8*i:])) }
		s.rows, s.n, s.bytes = word(0), word(1), int64(word(2))
	}
	if s.rows != rows || s.n < 0 || s.n > len(content) || len(content) != runsHeader+16*s.rows+12*s.n {
		return nil, s.close()
	}
	s.foreign = make([]uint64, (s.n+63)/64)
	return s, nil
}

func (s *runs) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	p := prints{file: s.file}
	s.file, s.content = nil, nil
	return p.close()
}

// runReader learns about the texts of a shard.
type runReader struct {
	finder *minhash.Runs
	prints []digest
	found  []foundRun
	bytes  int64
}

type foundRun struct {
	hash uint64
	row  uint32
}

func (r *runReader) batch(texts *array.String) {
	for i := range texts.Len() {
		if texts.IsNull(i) {
			r.prints = append(r.prints, digest{})
			continue
		}
		text := texts.Value(i)
		hash := xxh3.HashString128(text)
		row := uint32(len(r.prints))
		r.prints = append(r.prints, digest{hash.Hi, hash.Lo | 1}) // never zero
		r.bytes += int64(len(text))
		hashes, _ := r.finder.Of(text)
		for _, h := range hashes {
			r.found = append(r.found, foundRun{h, row})
		}
	}
}

// encode returns the content of the file.
func (r *runReader) encode() []byte {
	slices.SortFunc(r.found, func(a, b foundRun) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), r.prints[a.row].compare(r.prints[b.row]), cmp.Compare(a.row, b.row))
	})
	r.found = slices.CompactFunc(r.found, func(a, b foundRun) bool { return a.hash == b.hash })
	out := make([]byte, 0, runsHeader+16*len(r.prints)+12*len(r.found))
	out = append(out, runsMagic...)
	for _, n := range []int64{int64(len(r.prints)), int64(len(r.found)), r.bytes} {
		out = binary.LittleEndian.AppendUint64(out, uint64(n))
	}
	for _, p := range r.prints {
		out = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(out, p.high), p.low)
	}
	for _, f := range r.found {
		out = binary.LittleEndian.AppendUint64(out, f.hash)
	}
	for _, f := range r.found {
		out = binary.LittleEndian.AppendUint32(out, f.row)
	}
	return out
}

// repeats finds the runs that occur several times.
type repeats struct {
	*scan
	length int // of a run, in words
	shards []*runs
}

// readRuns sets the runs of each shard: those that the last run kept, or from its texts.
func (r *repeats) readRuns(ctx context.Context) error {
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	reading := map[string]bool{}
	for i, shard := range r.in.Shards() {
		name := fileName("runs", shard, r.compared)
		if name == "" {
			return fmt.Errorf("the content of shard %d is not known", i+1)
		}
		known, err := openRuns(r.files.path(name), int(shard.Rows))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		r.shards[i] = known
		if known != nil {
			if err := r.files.keep(name); err != nil {
				return err
			}
			r.done.Add(shard.Rows)
			continue
		}
		if !reading[name] { // another shard can have the same texts
			reading[name] = true
			g.Go(func() error { return r.readShard(ctx, name, shard) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, shard := range r.in.Shards() {
		if r.shards[i] == nil {
			var err error
			if r.shards[i], err = openRuns(r.files.path(fileName("runs", shard, r.compared)), int(shard.Rows)); err != nil {
				return err
			}
			if r.shards[i] == nil {
				return fmt.Errorf("what is known about shard %d was written, but cannot be read", i+1)
			}
		}
	}
	return nil
}

func (r *repeats) readShard(ctx context.Context, name string, shard data.Shard) error {
	reader := &runReader{finder: minhash.NewRuns(r.length)}
	for rec, err := range data.ReadRefs(ctx, []data.Shard{shard}, []data.Ref{r.compared}, 0) {
		if err != nil {
			return err
		}
		reader.batch(rec.Column(0).(*array.String))
		r.run.Progress(r.done.Add(rec.NumRows()), r.in.Rows, "rows", "reading")
	}
	return writeFile(r.files.folder, name, reader.encode())
}

// mergedRuns is about the number of runs that are compared at a time.
const mergedRuns = 1 << 20

// merge finds the runs of each shard that another shard has with a lesser print. It goes
// over ranges of hashes, in each of which are a limited number of runs.
func (r *repeats) merge(ctx context.Context) error {
	total := 0
	for _, s := range r.shards {
		total += s.n
	}
	bits := 0
	for total>>bits > mergedRuns {
		bits++
	}
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for part := range uint64(1) << bits {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.mergeRange(part<<(64-bits), (part+1)<<(64-bits)-1)
			return nil
		})
	}
	return g.Wait()
}

// sharedRun is a run of a shard.
type sharedRun struct {
	hash       uint64
	shard, run uint32
}

func (r *repeats) mergeRange(least, most uint64) {
	var all []sharedRun
	for i, s := range r.shards {
		for run := s.find(least); run < s.n; run++ {
			hash := s.hash(run)
			if hash > most {
				break
			}
			all = append(all, sharedRun{hash, uint32(i), uint32(run)})
		}
	}
	slices.SortFunc(all, func(a, b sharedRun) int { return cmp.Compare(a.hash, b.hash) })
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].hash == all[from].hash {
			to++
		}
		if to > from+1 {
			r.mergeEqual(all[from:to])
		}
		from = to
	}
}

func (r *repeats) mergeEqual(equal []sharedRun) {
	owner := func(s sharedRun) digest {
		shard := r.shards[s.shard]
		return shard.print(shard.owner(int(s.run)))
	}
	least := owner(equal[0])
	for _, s := range equal[1:] {
		if p := owner(s); p.compare(least) < 0 {
			least = p
		}
	}
	for _, s := range equal {
		if owner(s) != least {
			r.shards[s.shard].setForeign(int(s.run))
		}
	}
}
