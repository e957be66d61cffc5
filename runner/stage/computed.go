package stage

import (
	"errors"
	"strings"
	"sync"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/memo"
)

// Computed are row arguments that earlier runs of a definition computed, as parts of the
// memo: one column group for each shard. A stage that keeps files for its next run also
// keeps its row arguments, so that a small change costs little. Nil finds and keeps
// nothing.
type Computed struct {
	store      *store.Store
	definition string

	mu    sync.Mutex
	used  map[string]bool // parts of this run, by shard key
	fresh []freshArguments
}

// freshArguments are row arguments of a shard that were computed by this run.
type freshArguments struct {
	key, path string
	rows      int64
	columns   []string
}

// NewComputed returns the row arguments of a definition.
func NewComputed(s *store.Store, definition string) *Computed {
	return &Computed{store: s, definition: definition, used: map[string]bool{}}
}

// key identifies row arguments of a shard. It is empty if they are not kept, because they
// depend on something else or contain secrets.
func (c *Computed) key(input string, args []RowArgument, columns []string, s dataset.Shard) string {
	if c == nil {
		return ""
	}
	of := []string{"quern.arguments/v1", c.definition, input}
	for _, a := range args {
		if len(a.Expr.Secrets) > 0 || len(a.Expr.Late) > 0 {
			return ""
		}
		of = append(of, a.Key, a.Expr.ColumnType, a.Expr.Text)
	}
	return dataset.ShardKey(strings.Join(of, "\x00"), s, columns)
}

// find returns the file with row arguments of a shard, or "" if there is none.
func (c *Computed) find(key string) (path string, err error) {
	if key == "" {
		return "", nil
	}
	part, err := c.store.Memo.Lookup(c.definition, key)
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) || err == nil && (part == nil || part.Arguments == nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	path, err = c.store.Blobs.Path(part.Arguments.Blob)
	if blob.Unavailable(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[key] = true
	return path, nil
}

// made adds a file that was computed.
func (c *Computed) made(key, path string, rows int64, columns data.Schema) {
	if key == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[key] = true
	c.fresh = append(c.fresh, freshArguments{key, path, rows, columns.Names()})
}

// Keep keeps the row arguments of this run for the next one, and forgets others. Their
// files must still exist.
func (c *Computed) Keep() error {
	for _, f := range c.fresh {
		ref, err := c.store.Blobs.PutFile(f.path)
		if err != nil {
			return err
		}
		group := &dataset.Group{Blob: ref.Digest, Bytes: ref.Size, Columns: f.columns}
		if err := c.store.Memo.Put(&memo.Part{
			Definition: c.definition, ShardKey: f.key, Rows: f.rows, InputRows: f.rows, Results: memo.Results{Arguments: group},
		}); err != nil {
			return err
		}
	}
	return c.store.Memo.Forget(c.definition, func(p *memo.Part) bool { return p.Arguments != nil && !c.used[p.ShardKey] })
}
