// Package dataset writes rows to a store and reads them back: as shards whose
// boundaries depend on the content, each with one or more column groups and a
// digest of every column's values.
//
// For keys, a dataset is its values: digests depend neither on the batches in
// which rows came, nor on shard boundaries, nor on the bytes of Parquet files.
package dataset

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
)

// Format is the version of the manifest.
const Format = "quern.dataset/v1"

// Manifest describes a dataset. It is immutable.
type Manifest struct {
	Format string      `json:"format"`
	Schema data.Schema `json:"schema"`
	Rows   int64       `json:"rows"`
	// Columns has one entry for each column of the schema, in its order.
	Columns []Summary `json:"columns"`
	Shards  []Shard   `json:"shards"`
}

// Summary describes a column over the whole dataset.
type Summary struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // of the values
	Nulls  int64  `json:"nulls"`
}

// Shard is a range of consecutive rows.
type Shard struct {
	Rows    int64    `json:"rows"`
	Groups  []Group  `json:"groups"`
	Columns []Column `json:"columns"` // in the schema's order
}

// Group is a column group: a Parquet file.
type Group struct {
	Blob    string   `json:"blob"`
	Bytes   int64    `json:"bytes"`
	Columns []string `json:"columns"` // the names in the file
}

// Column describes where a shard's column is stored, and its content.
type Column struct {
	Name   string `json:"name"`
	Group  int    `json:"group"`  // index into Groups
	Stored string `json:"stored"` // name in the file
	Digest string `json:"digest"` // of the shard's values
	Nulls  int64  `json:"nulls"`
}

// Column returns a shard's column by name.
func (s Shard) Column(name string) (Column, bool) {
	for _, c := range s.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// digest returns the digest of a column's values in the shard, or "" if there is no
// such column.
func (s Shard) digest(name string) string {
	c, _ := s.Column(name)
	return c.Digest
}

// ColumnDigest returns the digest of a column's values over the whole dataset,
// or "" if there is no such column.
func (m *Manifest) ColumnDigest(name string) string {
	for _, c := range m.Columns {
		if c.Name == name {
			return c.Digest
		}
	}
	return ""
}

// Digest returns the logical digest of the dataset, or of the named columns in
// that order: of their names, types, and values, and of the number of rows.
func (m *Manifest) Digest(columns ...string) string {
	if len(columns) == 0 {
		columns = m.Schema.Names()
	}
	h := newFields("quern.dataset.digest/v1")
	h.int(m.Rows)
	for _, name := range columns {
		h.text(name)
		h.text(m.ColumnDigest(name))
	}
	return h.digest()
}

// ShardKey returns the key that identifies a row-wise stage's result for a
// shard: a digest of the stage's definition key and of the values in the
// columns that it reads. Columns that the shard does not have count as absent.
func ShardKey(definition string, s Shard, columns []string) string {
	h := newFields("quern.shard/v1")
	h.text(definition)
	h.int(s.Rows)
	for _, name := range columns {
		c, _ := s.Column(name)
		h.text(name)
		h.text(c.Digest)
	}
	return h.digest()
}

// SelectionKey returns the key that identifies a shard without some of its rows, as a
// stage produced it: a digest of the stage's definition key, the values of all
// columns, and the rows that are left out, ascending.
func SelectionKey(definition string, s Shard, dropped []int64) string {
	h := newFields("quern.selection/v1")
	h.text(definition)
	h.int(s.Rows)
	h.int(int64(len(s.Columns)))
	for _, c := range s.Columns {
		h.text(c.Name)
		h.text(c.Digest)
	}
	for _, row := range dropped {
		h.int(row)
	}
	return h.digest()
}

// Bytes returns the size of the dataset's files.
func (m *Manifest) Bytes() int64 {
	total := int64(0)
	for _, s := range m.Shards {
		for _, g := range s.Groups {
			total += g.Bytes
		}
	}
	return total
}

// Blobs returns the digests of the dataset's files, without duplicates.
func (m *Manifest) Blobs() []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range m.Shards {
		for _, g := range s.Groups {
			if !seen[g.Blob] {
				seen[g.Blob] = true
				out = append(out, g.Blob)
			}
		}
	}
	return out
}

// Files returns the verified files of the dataset, for data.Read: those that
// contain the named columns, or all if columns is nil. If a file is missing or
// damaged, the error is *blob.Missing or *blob.Damaged.
func (m *Manifest) Files(blobs *blob.Store, columns []string) ([]data.Shard, error) {
	return m.files(columns, func(digest string) (data.Group, error) { return verified(blobs, digest) })
}

// FilesToVerify returns the files like Files, but those that this process has not
// verified yet are verified when data.Read first reads them.
func (m *Manifest) FilesToVerify(blobs *blob.Store, columns []string) ([]data.Shard, error) {
	return m.files(columns, func(digest string) (data.Group, error) {
		path, ok, err := blobs.Unverified(digest)
		if ok || err != nil {
			return data.Group{Path: path, Unverified: data.NewUnverified(digest)}, err
		}
		return verified(blobs, digest)
	})
}

func verified(blobs *blob.Store, digest string) (data.Group, error) {
	path, err := blobs.Path(digest)
	return data.Group{Path: path}, err
}

func (m *Manifest) files(columns []string, open func(digest string) (data.Group, error)) ([]data.Shard, error) {
	if columns == nil {
		columns = m.Schema.Names()
	}
	out := make([]data.Shard, len(m.Shards))
	group := parallel.New(parallelFiles)
	for i, s := range m.Shards {
		group.Go(func() (err error) {
			out[i], err = s.files(columns, open)
			if err != nil {
				return fmt.Errorf("shard %d of %d: %w", i+1, len(m.Shards), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// parallelFiles is the number of files that are verified at the same time.
const parallelFiles = 4

// Files returns the verified files of one shard that contain the named columns.
func (s Shard) Files(blobs *blob.Store, columns []string) (data.Shard, error) {
	return s.files(columns, func(digest string) (data.Group, error) { return verified(blobs, digest) })
}

func (s Shard) files(columns []string, open func(digest string) (data.Group, error)) (data.Shard, error) {
	parts, err := s.Parts(columns)
	if err != nil {
		return data.Shard{}, err
	}
	out := data.Shard{Rows: s.Rows}
	for _, p := range parts {
		group, err := open(p.Blob)
		if err != nil {
			return data.Shard{}, fmt.Errorf("column %q: %w", p.Columns[0].Name, err)
		}
		group.Columns = p.Columns
		out.Groups = append(out.Groups, group)
	}
	return out, nil
}

// Part says which columns to read from a file of a shard.
type Part struct {
	Blob    string // the file's digest
	Columns []data.Stored
}

// Parts returns the files of the shard that contain the named columns.
func (s Shard) Parts(columns []string) ([]Part, error) {
	var out []Part
	place := map[int]int{} // index in s.Groups → in out
	for _, name := range columns {
		c, ok := s.Column(name)
		if !ok {
			return nil, fmt.Errorf("column %q does not exist", name)
		}
		at, ok := place[c.Group]
		if !ok {
			at = len(out)
			place[c.Group] = at
			out = append(out, Part{Blob: s.Groups[c.Group].Blob})
		}
		out[at].Columns = append(out[at].Columns, data.Stored{Stored: c.Stored, Name: name})
	}
	return out, nil
}

// Encode encodes the manifest.
func (m *Manifest) Encode() ([]byte, error) { return json.Marshal(m) }

// Decode reads a manifest and checks that it is consistent.
func Decode(b []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read a dataset's manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("read a dataset's manifest: %w", err)
	}
	return m, nil
}

// Verify reads all files of the dataset and returns an error for each one that
// is missing or damaged.
func (m *Manifest) Verify(ctx context.Context, blobs *blob.Store) []error {
	var errs []error
	for _, digest := range m.Blobs() {
		if err := blobs.Verify(ctx, digest); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errs
}
