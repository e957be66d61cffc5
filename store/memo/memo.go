// Package memo remembers the results of stages by their definition, so that nothing is
// computed twice: those of row-wise stages by row, shards that lost rows in other
// stages, and the files that such a stage keeps for its next run.
//
// For row-wise stages, it works at two levels. A finished part covers a whole shard and is found by
// its shard key, without reading a row. For rows in other shards, parts say
// where the results of equal rows may be: a part names the input columns that
// it was computed from, so the keys of its rows can be computed again from the
// data itself (see docs/decisions/0002-row-keys-are-recomputed.md).
package memo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/document"
)

// Format is the version of a part.
const Format = "quern.memo/v1"

// Part contains the results of a definition for some rows of one shard.
type Part struct {
	Format     string `json:"format"`
	Definition string `json:"definition"`
	// ShardKey is the key of the shard that the part covers. It is empty for a
	// part of a shard that is not finished yet.
	ShardKey string `json:"shard_key,omitempty"`
	// Offset is the first row of the input shard that the part covers, and Rows
	// the number of rows.
	Offset int64 `json:"offset,omitempty"`
	Rows   int64 `json:"rows"`
	// InputRows is the number of rows in the input shard.
	InputRows int64 `json:"input_rows"`
	// Inputs are the column groups of the input shard that were read.
	Inputs []InputGroup `json:"inputs,omitempty"`
	Results
	// Failed are the rows without a result, in order.
	Failed []RowFailure `json:"failed,omitempty"`

	// ID is unique among the parts of a definition. Put sets it.
	ID string `json:"id"`
}

// Results are the results of the rows of a part.
type Results struct {
	// Output contains the new columns of a stage that produces one row for each
	// input row: one value for each row of the part.
	Output *dataset.Added `json:"output,omitempty"`
	// Expansion contains the output rows of a stage that produces any number of
	// rows for each.
	Expansion *Expansion `json:"expansion,omitempty"`
	// Selection contains the rows of a shard that a stage on whole datasets did not
	// drop. The shard key is that of dataset.SelectionKey.
	Selection *Selection `json:"selection,omitempty"`
	// Kept are the files that the last run of a stage on whole datasets kept for the
	// next one. The shard key is that of KeptKey.
	Kept []File `json:"kept,omitempty"`
	// Arguments are columns of row arguments that were computed for a stage on whole
	// datasets that keeps files.
	Arguments *dataset.Group `json:"arguments,omitempty"`
	// Checkpoints are those of a dataset that the last run produced. The shard key is
	// that of CheckpointsKey.
	Checkpoints []dataset.Checkpoint `json:"checkpoints,omitempty"`
}

// Selection are some rows of a shard.
type Selection struct {
	Shards []dataset.Shard `json:"shards"`
}

// File is a file that a stage keeps.
type File struct {
	Name  string `json:"name"`
	Blob  string `json:"blob"`
	Bytes int64  `json:"bytes"`
}

// KeptKey returns the shard key of the part with the files that a definition keeps.
func KeptKey(definition string) string { return blob.Sum([]byte("quern.kept/v1 " + definition)) }

// Expansion are the rows that came from the rows of a part, in order.
type Expansion struct {
	// Counts is a column of integers: how many rows came from each row of the
	// part.
	Counts dataset.Added `json:"counts"`
	// Shards contain the rows. There are none if there are no rows.
	Shards []dataset.Shard `json:"shards"`
}

// Groups returns the files of the results.
func (r *Results) Groups() []dataset.Group {
	var out []dataset.Group
	if r.Output != nil {
		out = append(out, r.Output.Group)
	}
	if r.Expansion != nil {
		out = append(out, r.Expansion.Counts.Group)
		for _, s := range r.Expansion.Shards {
			out = append(out, s.Groups...)
		}
	}
	if r.Selection != nil {
		for _, s := range r.Selection.Shards {
			out = append(out, s.Groups...)
		}
	}
	if r.Arguments != nil {
		out = append(out, *r.Arguments)
	}
	return out
}

// Has reports whether the results have a column. Results without rows have
// every column.
func (r *Results) Has(column string) bool {
	var columns []dataset.Column
	switch {
	case r.Output != nil:
		columns = r.Output.Columns
	case r.Expansion != nil && len(r.Expansion.Shards) == 0:
		return true
	case r.Expansion != nil:
		columns = r.Expansion.Shards[0].Columns
	}
	return slices.ContainsFunc(columns, func(c dataset.Column) bool { return c.Name == column })
}

// InputGroup is a file of the input shard and the columns that were read from
// it.
type InputGroup struct {
	Blob    string        `json:"blob"`
	Columns []InputColumn `json:"columns"`
}

// InputColumn is a column that was read.
type InputColumn struct {
	Stored string `json:"stored"` // its name in the file
	Name   string `json:"name"`   // the name that row keys are computed with
}

// RowFailure is a row that failed or is pending.
type RowFailure struct {
	Row     int64  `json:"row"` // in the input shard
	Message string `json:"message"`
	// Pending is set if the row has not failed, but waits for something.
	Pending bool `json:"pending,omitempty"`
}

// Blobs returns the digests of the files that the part needs: those of the
// output, and those of the input, which row keys are computed from.
func (p *Part) Blobs() []string {
	var out []string
	for _, in := range p.Inputs {
		out = append(out, in.Blob)
	}
	for _, g := range p.Groups() {
		out = append(out, g.Blob)
	}
	for _, f := range p.Kept {
		out = append(out, f.Blob)
	}
	return out
}

// Input returns the verified files of the input shard, for data.Read. The part
// covers its rows from Offset on.
func (p *Part) Input(blobs *blob.Store) (data.Shard, error) {
	out := data.Shard{Rows: p.InputRows}
	for _, in := range p.Inputs {
		path, err := blobs.Path(in.Blob)
		if err != nil {
			return data.Shard{}, err
		}
		g := data.Group{Path: path}
		for _, c := range in.Columns {
			g.Columns = append(g.Columns, data.Stored{Stored: c.Stored, Name: c.Name})
		}
		out.Groups = append(out.Groups, g)
	}
	return out, nil
}

// Files returns the verified files of the results, for data.Read. For a stage
// that produces one row for each, this is a shard with the rows of the part;
// otherwise, the shards with the rows that came from them.
func (p *Part) Files(blobs *blob.Store) ([]data.Shard, error) {
	shards := []dataset.Shard{{Rows: p.Rows}}
	switch {
	case p.Output != nil:
		shards[0].Groups, shards[0].Columns = []dataset.Group{p.Output.Group}, p.Output.Columns
	case p.Expansion != nil:
		shards = p.Expansion.Shards
	}
	out := make([]data.Shard, len(shards))
	for i, s := range shards {
		var err error
		if out[i], err = s.Files(blobs, columnNames(s.Columns)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Counts returns the verified file with the counts of an expansion, for
// data.Read.
func (p *Part) Counts(blobs *blob.Store) (data.Shard, error) {
	c := p.Expansion.Counts
	return dataset.Shard{Rows: p.Rows, Groups: []dataset.Group{c.Group}, Columns: c.Columns}.Files(blobs, columnNames(c.Columns))
}

func columnNames(columns []dataset.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

// Check returns an error if the part is invalid.
func (p *Part) Check() error {
	if _, err := blob.Hex(p.Definition); err != nil {
		return fmt.Errorf("definition: %w", err)
	}
	if p.ShardKey != "" {
		if _, err := blob.Hex(p.ShardKey); err != nil {
			return fmt.Errorf("shard key: %w", err)
		}
		if p.Offset != 0 || p.Rows != p.InputRows {
			return fmt.Errorf("it covers a shard of %d rows, but has %d rows from row %d on", p.InputRows, p.Rows, p.Offset)
		}
	}
	if p.Offset < 0 || p.Rows < 0 || p.Offset > p.InputRows || p.Rows > p.InputRows-p.Offset {
		return fmt.Errorf("%d rows from row %d on do not fit in %d", p.Rows, p.Offset, p.InputRows)
	}
	for _, digest := range p.Blobs() {
		if _, err := blob.Hex(digest); err != nil {
			return err
		}
	}
	for _, s := range p.outputShards() {
		if s.Rows <= 0 || slices.ContainsFunc(s.Columns, func(c dataset.Column) bool { return c.Group < 0 || c.Group >= len(s.Groups) }) {
			return fmt.Errorf("a shard of its output has no rows, or a column that is not in any file")
		}
	}
	for _, f := range p.Failed {
		if f.Row < p.Offset || f.Row >= p.Offset+p.Rows {
			return fmt.Errorf("row %d, which failed, is not one of its rows", f.Row)
		}
	}
	return nil
}

// outputShards returns the shards among the results.
func (r *Results) outputShards() []dataset.Shard {
	var out []dataset.Shard
	if r.Expansion != nil {
		out = append(slices.Clone(r.Expansion.Shards), dataset.Shard{Rows: 1, Groups: []dataset.Group{r.Expansion.Counts.Group}, Columns: r.Expansion.Counts.Columns})
	}
	if r.Selection != nil {
		out = append(out, r.Selection.Shards...)
	}
	return out
}

// flushEvery bounds how much finished work a power failure can undo. Parts are
// visible to all processes immediately in any case.
const flushEvery = time.Second

// Store contains the parts in a backend. It is safe for concurrent use and, if
// the backend is, for use by several processes.
type Store struct {
	ctx     context.Context
	backend backend.Backend

	mu      sync.Mutex
	flushed time.Time
}

// New returns a store that keeps parts in b. ctx applies to all its calls.
func New(ctx context.Context, b backend.Backend) *Store {
	return &Store{ctx: ctx, backend: b, flushed: time.Now()}
}

const prefix, suffix = "memo/", ".json"

// partsOf returns the key prefix of a definition's parts. Definitions that
// begin with the same digit share a folder, because creating folders is slow.
func partsOf(definition string) (string, error) {
	h, err := blob.Hex(definition)
	if err != nil {
		return "", fmt.Errorf("definition: %w", err)
	}
	return prefix + h[:1] + "/" + h + ".", nil
}

// object returns the key of the object that contains a part.
func object(definition, id string) (string, error) {
	begin, err := partsOf(definition)
	return begin + id + suffix, err
}

// Put stores a part and replaces one with the same shard key. A part without a
// shard key is durable when Put returns; a finished part a second later, or
// with the next action entry.
func (s *Store) Put(p *Part) error {
	if p.Format == "" {
		p.Format = Format
	}
	if err := p.Check(); err != nil {
		return fmt.Errorf("remember rows: %w", err)
	}
	if err := p.name(); err != nil {
		return err
	}
	at, err := object(p.Definition, p.ID)
	if err != nil {
		return err
	}
	text, err := document.Encode(p)
	if err != nil {
		return fmt.Errorf("remember rows: %w", err)
	}
	if err := s.backend.Put(s.ctx, at, backend.Bytes(text)); err != nil {
		return fmt.Errorf("remember rows: %w", err)
	}
	if p.ShardKey != "" && !s.flushIsDue() {
		return nil
	}
	return s.backend.Flush(s.ctx)
}

// flushIsDue returns true to one caller per flushEvery, who flushes finished
// parts.
func (s *Store) flushIsDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.flushed) < flushEvery {
		return false
	}
	s.flushed = time.Now()
	return true
}

// name gives a part its ID: the shard key, or an arbitrary one. IDs of
// unfinished parts sort by age.
func (p *Part) name() error {
	if p.ShardKey != "" {
		h, err := blob.Hex(p.ShardKey)
		p.ID = h
		return err
	}
	if p.ID == "" {
		var random [6]byte
		if _, err := rand.Read(random[:]); err != nil {
			return err
		}
		p.ID = fmt.Sprintf("%s%016x-%s", unfinished, time.Now().UnixNano(), hex.EncodeToString(random[:]))
	}
	return nil
}

// unfinished is the prefix of the IDs of parts without a shard key.
const unfinished = "part-"

// Lookup returns the part of a shard, or nil, nil if there is none. It sets a
// damaged part aside and returns *document.Damaged; the part then no longer
// exists.
func (s *Store) Lookup(definition, shardKey string) (*Part, error) {
	h, err := blob.Hex(shardKey)
	if err != nil {
		return nil, fmt.Errorf("shard key: %w", err)
	}
	p, err := s.get(definition, h)
	if err != nil || p == nil {
		return nil, err
	}
	return p, nil
}

func (s *Store) get(definition, id string) (*Part, error) {
	at, err := object(definition, id)
	if err != nil {
		return nil, err
	}
	p := &Part{}
	err = document.Read(s.ctx, s.backend, at, Format, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = p.isAt(s.backend.Place(at), definition, id)
	}
	if err != nil {
		return nil, document.SetAside(s.ctx, s.backend, at, err)
	}
	return p, nil
}

func (p *Part) isAt(path, definition, id string) error {
	if p.Definition != definition || p.ID != id {
		return &document.Damaged{Path: path, Reason: "it is another part: " + p.ID + " of " + p.Definition}
	}
	if err := p.Check(); err != nil {
		return &document.Damaged{Path: path, Reason: err.Error()}
	}
	return nil
}

// Parts lists the parts of a definition: unfinished parts first, oldest first.
// For a damaged part, which it sets aside, it yields *document.Damaged and
// continues.
func (s *Store) Parts(definition string) iter.Seq2[*Part, error] {
	return func(yield func(*Part, error) bool) {
		ids, _, err := s.list(definition)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, id := range ids {
			p, err := s.get(definition, id)
			if p == nil && err == nil {
				continue // dropped in the meantime
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// list returns the IDs of a definition's parts in the order of Parts, and the
// time when the last one was written.
func (s *Store) list(definition string) (ids []string, last time.Time, err error) {
	begin, err := partsOf(definition)
	if err != nil {
		return nil, last, err
	}
	var open, whole []string
	for o, err := range s.backend.List(s.ctx, begin) {
		if err != nil {
			return nil, last, err
		}
		id, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, begin), suffix)
		switch {
		case !ok:
			continue
		case strings.HasPrefix(id, unfinished):
			open = append(open, id)
		default:
			whole = append(whole, id)
		}
		if o.Written.After(last) {
			last = o.Written
		}
	}
	return append(open, whole...), last, nil
}

// Drop removes a part. Its blobs remain.
func (s *Store) Drop(p *Part) error {
	at, err := object(p.Definition, p.ID)
	if err != nil {
		return err
	}
	if err := s.backend.Delete(s.ctx, at, backend.Any); err != nil {
		return fmt.Errorf("drop a part: %w", err)
	}
	return nil
}

// Forget removes the parts of a definition that are of no more use.
func (s *Store) Forget(definition string, useless func(*Part) bool) error {
	for part, err := range s.Parts(definition) {
		if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
			continue
		}
		if err != nil {
			return err
		}
		if useless(part) {
			if err := s.Drop(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// Changed returns when a part of a definition was last added, or the zero time
// if it has none.
func (s *Store) Changed(definition string) (time.Time, error) {
	_, last, err := s.list(definition)
	if err != nil {
		return time.Time{}, fmt.Errorf("inspect the memo of %s: %w", definition, err)
	}
	return last, nil
}

// Definitions lists the definitions that have parts, sorted.
func (s *Store) Definitions() ([]string, error) {
	var out []string
	for o, err := range s.backend.List(s.ctx, prefix) {
		if err != nil {
			return nil, err
		}
		h, _, _ := strings.Cut(path.Base(o.Key), ".")
		digest := "sha256:" + h
		if _, err := blob.Hex(digest); err == nil {
			out = append(out, digest)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
