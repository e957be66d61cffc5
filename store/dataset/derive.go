package dataset

import (
	"context"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// Added is a new column group of one shard, as GroupWriter.Close returned it.
type Added struct {
	Group   Group    `json:"group"`
	Columns []Column `json:"columns"`
}

// Derivation describes a dataset that has the rows of another one.
type Derivation struct {
	Input  *Manifest
	Schema data.Schema
	// From maps each column that comes from the input to its input column. All
	// other columns are new.
	From map[string]string
	// Added are the new column groups: for each shard of the input, those that
	// contain its new columns. It may be nil if nothing is new.
	Added [][]Added
}

// Derive returns the manifest of a dataset that shares the input's files:
// columns are added, dropped, renamed, or reordered, and no row is written
// again. The new columns are read once, for their digests over the whole
// dataset, from the last checkpoint on.
func Derive(ctx context.Context, blobs *blob.Store, d Derivation, points *Checkpoints) (*Manifest, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("derive a dataset: %w", err)
	}
	m := &Manifest{Format: Format, Schema: d.Schema, Rows: d.Input.Rows, Shards: make([]Shard, len(d.Input.Shards))}
	for i := range m.Shards {
		s, err := d.Shard(i)
		if err != nil {
			return nil, fmt.Errorf("derive a dataset: shard %d: %w", i+1, err)
		}
		m.Shards[i] = s
	}
	if err := d.summarize(ctx, blobs, m, points); err != nil {
		return nil, fmt.Errorf("derive a dataset: %w", err)
	}
	return m, nil
}

func (d Derivation) check() error {
	if err := d.Schema.Check(); err != nil {
		return err
	}
	if d.Added != nil && len(d.Added) != len(d.Input.Shards) {
		return fmt.Errorf("there are new columns for %d shards of %d", len(d.Added), len(d.Input.Shards))
	}
	for _, c := range d.Schema {
		from, ok := d.From[c.Name]
		if !ok {
			continue
		}
		in, _, ok := d.Input.Schema.Lookup(from)
		if !ok {
			return fmt.Errorf("the input has no column %q", from)
		}
		if in.Type != c.Type {
			return fmt.Errorf("column %q is %s, but the input's %q is %s", c.Name, c.Type, from, in.Type)
		}
	}
	return nil
}

// Shard returns a shard of the result: the input's, with the groups that its columns
// need. Only that shard must have its new columns already.
func (d Derivation) Shard(i int) (Shard, error) {
	input := d.Input.Shards[i]
	out := Shard{Rows: input.Rows, Groups: []Group{}, Columns: make([]Column, len(d.Schema))}
	place := map[int]int{} // group of the input, or after them of the new ones → group of out
	for k, c := range d.Schema {
		column, group, at, err := d.find(i, c.Name)
		if err != nil {
			return Shard{}, err
		}
		to, ok := place[at]
		if !ok {
			to = len(out.Groups)
			place[at] = to
			out.Groups = append(out.Groups, group)
		}
		column.Name, column.Group = c.Name, to
		out.Columns[k] = column
	}
	return out, nil
}

// find returns a column of the result, its group, and a number for that group.
func (d Derivation) find(i int, name string) (Column, Group, int, error) {
	input := d.Input.Shards[i]
	if from, ok := d.From[name]; ok {
		c, _ := input.Column(from)
		return c, input.Groups[c.Group], c.Group, nil
	}
	if d.Added != nil {
		for k, a := range d.Added[i] {
			for _, c := range a.Columns {
				if c.Name == name {
					return c, a.Group, len(input.Groups) + k, nil
				}
			}
		}
	}
	return Column{}, Group{}, 0, fmt.Errorf("nothing produced column %q", name)
}

// summarize sets the columns' digests over the whole dataset. Those of the
// input are known, and the new ones are read.
func (d Derivation) summarize(ctx context.Context, blobs *blob.Store, m *Manifest, points *Checkpoints) error {
	m.Columns = make([]Summary, len(m.Schema))
	var fresh data.Schema
	var at []int
	for i, c := range m.Schema {
		if from, ok := d.From[c.Name]; ok {
			_, k, _ := d.Input.Schema.Lookup(from)
			m.Columns[i] = d.Input.Columns[k]
			m.Columns[i].Name = c.Name
			continue
		}
		fresh = append(fresh, c)
		at = append(at, i)
	}
	if len(fresh) == 0 {
		return nil
	}
	made, err := summarizeColumns(ctx, blobs, m, fresh, points)
	if err != nil {
		return err
	}
	for k, i := range at {
		m.Columns[i] = made[k]
	}
	return nil
}

// summarizeColumns returns the digests of some columns over all shards.
func summarizeColumns(ctx context.Context, blobs *blob.Store, m *Manifest, columns data.Schema, points *Checkpoints) ([]Summary, error) {
	t := newTotals(blobs, columns, points)
	for _, s := range m.Shards {
		t.share(s, nil)
	}
	if len(m.Shards) > 1 {
		if err := t.settle(ctx); err != nil {
			return nil, err
		}
	}
	return t.summaries(m.Shards), nil
}
