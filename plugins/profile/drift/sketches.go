// Package drift compares the distributions of the columns of two datasets.
//
// It works on sketches, so neither dataset is needed: a profile keeps those of
// its columns in a file.
package drift

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// File is the file of a profile that contains its sketches.
const File = "sketches.json"

// version identifies the form of Sketches.
const version = "quern.profile-sketches/v1"

// Sketches are the distributions of the columns of a dataset.
type Sketches struct {
	Version string   `json:"sketches"`
	Rows    int64    `json:"rows"`
	Columns []Column `json:"columns"`
}

// Column is the distribution of a column.
type Column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Nulls  int64  `json:"nulls"`
	Values int64  `json:"values"`
	// Of says what the cells count: values, characters, or items.
	Of string `json:"of,omitempty"`
	// Cells count ranges of values. The range of a key is all values that equal
	// it without their Level lowest bits.
	Level uint   `json:"level,omitempty"`
	Cells []Cell `json:"cells,omitempty"`
	// Classes are all values by their hashes, if there are at most MostClasses.
	Classes []Cell `json:"classes,omitempty"`
}

// Cell counts values that have a key. Lists of cells are in the order of the keys.
type Cell struct {
	Key uint64 `json:"k"`
	N   int64  `json:"n"`
}

// Compare orders cells by their keys.
func (c Cell) Compare(d Cell) int { return cmp.Compare(c.Key, d.Key) }

const (
	// mostCells is the maximum number of cells of a column.
	mostCells = 1 << 10
	// MostClasses is the maximum number of distinct texts that are compared by
	// their shares.
	MostClasses = 1000
)

// ErrNoSketches is the error for a file that contains no sketches.
var ErrNoSketches = errors.New("it is not a profile")

// New returns sketches without columns.
func New(rows int64) *Sketches { return &Sketches{Version: version, Rows: rows} }

// Read reads a File.
func Read(text []byte) (*Sketches, error) {
	s := &Sketches{}
	if json.Unmarshal(text, s) != nil || s.Version != version {
		return nil, ErrNoSketches
	}
	return s, nil
}

// Write writes the sketches into the folder of a report.
func (s *Sketches) Write(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the sketches: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), text, 0o644); err != nil {
		return fmt.Errorf("write the sketches: %w", err)
	}
	return nil
}

func (s *Sketches) column(name string) *Column {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return &s.Columns[i]
		}
	}
	return nil
}

// SetCells sets the cells. It joins neighbors until there are few enough.
func (c *Column) SetCells(of string, level uint, cells []Cell) {
	c.Of, c.Level, c.Cells = of, level, slices.Clone(cells)
	for len(c.Cells) > mostCells {
		c.coarsen(c.Level + 1)
	}
}

// coarsen raises the level of the cells.
func (c *Column) coarsen(level uint) {
	cells := c.Cells[:0:0]
	for _, cell := range c.Cells {
		key := cell.Key >> (level - c.Level)
		if last := len(cells) - 1; last >= 0 && cells[last].Key == key {
			cells[last].N += cell.N
			continue
		}
		cells = append(cells, Cell{key, cell.N})
	}
	c.Cells, c.Level = cells, level
}
