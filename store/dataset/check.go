package dataset

import (
	"fmt"
	"math"

	"github.com/quern-dev/quern/store/blob"
)

// Check returns an error if a manifest is invalid. A valid manifest can be used
// without further checks: indexes are in range, names match, and rows add up.
func (m *Manifest) Check() error {
	if m.Format != Format {
		return fmt.Errorf("its format is %q, but this version of quern supports %q", m.Format, Format)
	}
	if err := m.Schema.Check(); err != nil {
		return err
	}
	if len(m.Columns) != len(m.Schema) {
		return fmt.Errorf("it describes %d columns of %d", len(m.Columns), len(m.Schema))
	}
	for i, c := range m.Columns {
		if c.Name != m.Schema[i].Name {
			return fmt.Errorf("column %d is %q in one place and %q in another", i+1, c.Name, m.Schema[i].Name)
		}
		if _, err := blob.Hex(c.Digest); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	rows := int64(0)
	for i, s := range m.Shards {
		if err := s.check(m); err != nil {
			return fmt.Errorf("shard %d: %w", i+1, err)
		}
		if s.Rows > math.MaxInt64-rows {
			return fmt.Errorf("it has too many rows")
		}
		rows += s.Rows
	}
	if rows != m.Rows {
		return fmt.Errorf("it says that it has %d rows, but its shards have %d", m.Rows, rows)
	}
	return nil
}

func (s Shard) check(m *Manifest) error {
	if s.Rows <= 0 {
		return fmt.Errorf("it has %d rows", s.Rows)
	}
	if len(s.Columns) != len(m.Schema) {
		return fmt.Errorf("it has %d columns, but the dataset has %d", len(s.Columns), len(m.Schema))
	}
	for i, g := range s.Groups {
		if _, err := blob.Hex(g.Blob); err != nil {
			return fmt.Errorf("column group %d: %w", i+1, err)
		}
		if g.Bytes < 0 {
			return fmt.Errorf("column group %d has %d bytes", i+1, g.Bytes)
		}
	}
	for i, c := range s.Columns {
		if c.Name != m.Schema[i].Name {
			return fmt.Errorf("column %d is %q, but in the schema it is %q", i+1, c.Name, m.Schema[i].Name)
		}
		if c.Group < 0 || c.Group >= len(s.Groups) {
			return fmt.Errorf("column %q is in column group %d of %d", c.Name, c.Group, len(s.Groups))
		}
		if _, err := blob.Hex(c.Digest); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}
