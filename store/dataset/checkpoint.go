package dataset

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// Checkpoint is the state of a column's digest between two shards. It depends only on
// the values before it, so any dataset that begins with them can continue from there.
type Checkpoint struct {
	// After identifies the values: a digest of the column's digests in the shards
	// before the checkpoint.
	After string `json:"after"`
	State []byte `json:"state"` // of SHA-256, as crypto/sha256 encodes it
	Nulls int64  `json:"nulls"`
}

// Checkpoints are the checkpoints of an earlier dataset, and those of the dataset that
// is made now. Nil has none and records none. It is not safe for concurrent use.
type Checkpoints struct {
	known map[string]Checkpoint
	made  []Checkpoint
}

// NewCheckpoints returns the checkpoints of an earlier dataset.
func NewCheckpoints(known []Checkpoint) *Checkpoints {
	c := &Checkpoints{known: make(map[string]Checkpoint, len(known))}
	for _, p := range known {
		c.known[p.After] = p
	}
	return c
}

// Made returns the checkpoints of the dataset that was made.
func (c *Checkpoints) Made() []Checkpoint { return c.made }

// Changed reports whether some of them are new.
func (c *Checkpoints) Changed() bool {
	return slices.ContainsFunc(c.made, func(p Checkpoint) bool { _, ok := c.known[p.After]; return !ok })
}

// find returns the hash after the shards that a key identifies, or nil.
func (c *Checkpoints) find(after string) *columnHash {
	if c == nil {
		return nil
	}
	p, ok := c.known[after]
	if !ok {
		return nil
	}
	return p.restore()
}

// totals computes the digests of columns over a whole dataset, shard by shard. Shards
// that exist already are not read if a checkpoint comes after them.
type totals struct {
	blobs   *blob.Store
	schema  data.Schema
	points  *Checkpoints
	columns []total
	// shards is the number of shards so far, and unread are the last ones among them,
	// which the hashes do not contain yet.
	shards int
	unread []unread
}

// unread is a shard that the hashes do not contain yet, with its values if they are in
// memory.
type unread struct {
	Shard
	values Values
}

// total is the digest of one column.
type total struct {
	hash  *columnHash // nil before the first shard
	after string      // identifies the values in hash
	made  []numbered
}

// numbered is a checkpoint after a number of shards.
type numbered struct {
	shards int
	Checkpoint
}

func newTotals(blobs *blob.Store, schema data.Schema, points *Checkpoints) *totals {
	return &totals{blobs: blobs, schema: schema, points: points, columns: make([]total, len(schema))}
}

// started reports whether hashes exist, to which the rows of the next shard are added.
func (t *totals) started() bool { return t.shards > 0 }

// share adds a shard that exists already. values may be nil.
func (t *totals) share(s Shard, values Values) {
	t.unread = append(t.unread, unread{s, values})
	t.shards++
}

// wrote adds a shard whose rows the hashes contain already. For the first shard, they
// are those of the shard.
func (t *totals) wrote(s Shard, first []*columnHash) {
	t.shards++
	for i := range t.columns {
		c := &t.columns[i]
		if t.shards == 1 {
			c.hash = first[i].clone()
		}
		c.after = follow(c.after, s.digest(t.schema[i].Name))
		t.record(c, t.shards, c.hash)
	}
}

// add adds values of a column to its hash.
func (t *totals) add(column int, values []byte, nulls int64) {
	t.columns[column].hash.add(values, nulls)
}

// settle makes the hashes contain all shards. It reads those that follow the last
// checkpoint of a column.
func (t *totals) settle(ctx context.Context) error {
	if len(t.unread) == 0 {
		return nil
	}
	begin := make([]int, len(t.columns)) // the first shard to read
	for i := range t.columns {
		begin[i] = t.resume(i)
	}
	first := t.shards - len(t.unread)
	for k, s := range t.unread {
		if err := t.read(ctx, s, begin, k); err != nil {
			return err
		}
		for i := range t.columns {
			c := &t.columns[i]
			c.after = follow(c.after, s.digest(t.schema[i].Name))
			hash := c.hash
			if k < begin[i] { // it contains later shards
				hash = t.points.find(c.after)
			}
			t.record(c, first+k+1, hash)
		}
	}
	t.unread = nil
	return nil
}

// resume continues a column's hash after as many unread shards as possible, and returns
// their number.
func (t *totals) resume(column int) int {
	c := &t.columns[column]
	if c.hash == nil {
		c.hash = newColumnHash(t.schema[column].Type)
	}
	after, done := c.after, 0
	for k, s := range t.unread {
		after = follow(after, s.digest(t.schema[column].Name))
		if hash := t.points.find(after); hash != nil {
			c.hash, done = hash, k+1
		}
	}
	return done
}

// read adds the rows of an unread shard to the hashes that do not contain it.
func (t *totals) read(ctx context.Context, s unread, begin []int, k int) error {
	if s.values != nil {
		for i := range t.schema {
			if begin[i] <= k {
				for _, piece := range s.values[i] {
					t.add(i, piece, 0)
				}
				t.add(i, nil, s.Columns[i].Nulls)
			}
		}
		return nil
	}
	var columns data.Schema
	var hashes []*columnHash
	for i, c := range t.schema {
		if begin[i] <= k {
			columns, hashes = append(columns, c), append(hashes, t.columns[i].hash)
		}
	}
	if len(columns) == 0 {
		return nil
	}
	files, err := s.Files(t.blobs, columns.Names())
	if err != nil {
		return err
	}
	scratch, want := make([]encoded, len(columns)), columns.Arrow()
	for rec, err := range data.Read(ctx, []data.Shard{files}, columns.Names(), 0) {
		if err != nil {
			return err
		}
		rec, err := data.Conform(rec, want)
		if err != nil {
			return err
		}
		hashColumns(rec, scratch, hashes)
		rec.Release()
	}
	return nil
}

// How many checkpoints of a column are recorded: the last ones, and others at regular
// distances, so that a change anywhere costs little more than reading what follows it.
const (
	lastCheckpoints  = 4
	otherCheckpoints = 32
)

// record records the state of a column's hash after a number of shards, if it is known.
func (t *totals) record(c *total, shards int, hash *columnHash) {
	if t.points == nil || hash == nil {
		return
	}
	c.made = append(c.made, numbered{shards, hash.checkpoint(c.after)})
	if len(c.made) > 2*(lastCheckpoints+otherCheckpoints) {
		c.made = thin(c.made)
	}
}

// thin returns the checkpoints that are worth keeping, given those so far.
func thin(all []numbered) []numbered {
	if len(all) == 0 {
		return nil
	}
	n := all[len(all)-1].shards
	step := 1
	for n/step > otherCheckpoints {
		step *= 2
	}
	return slices.DeleteFunc(all, func(p numbered) bool { return p.shards%step != 0 && p.shards <= n-lastCheckpoints })
}

// summaries returns the digests over all shards, and hands the checkpoints over.
func (t *totals) summaries(all []Shard) []Summary {
	if len(all) == 1 {
		return ofOneShard(all[0], t.schema)
	}
	out := make([]Summary, len(t.schema))
	for i, c := range t.schema {
		total := t.columns[i]
		if total.hash == nil {
			total.hash = newColumnHash(c.Type)
		}
		out[i] = Summary{Name: c.Name, Digest: total.hash.digest(), Nulls: total.hash.nulls}
		for _, p := range thin(total.made) {
			t.points.made = append(t.points.made, p.Checkpoint)
		}
	}
	return out
}

// follow identifies the values of a column after one more shard.
func follow(after, digest string) string {
	h := newFields("quern.checkpoint/v1")
	h.text(after)
	h.text(digest)
	return h.digest()
}

// ofOneShard returns the summaries of a single shard, for which both digests
// are equal.
func ofOneShard(s Shard, columns data.Schema) []Summary {
	out := make([]Summary, len(columns))
	for i, c := range columns {
		in, _ := s.Column(c.Name)
		out[i] = Summary{Name: c.Name, Digest: in.Digest, Nulls: in.Nulls}
	}
	return out
}
