package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// SketchFile is the file of a report that other profiles are compared with.
const SketchFile = "sketches.json"

// sketchVersion identifies the form of Sketches.
const sketchVersion = "quern.profile-sketches/v1"

// Sketches are the distributions of the columns of a dataset.
type Sketches struct {
	Version string   `json:"sketches"`
	Rows    int64    `json:"rows"`
	Columns []sketch `json:"columns"`
}

// sketch is the distribution of a column.
type sketch struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Nulls  int64  `json:"nulls"`
	Values int64  `json:"values"`
	// Of says what the grid counts: values, characters, or items.
	Of string `json:"of,omitempty"`
	// Cells are those of a grid with the level, by key; see grid.
	Level uint   `json:"level,omitempty"`
	Cells []slot `json:"cells,omitempty"`
	// Classes are all values by their ids, if there are at most
	// comparedClasses.
	Classes []slot `json:"classes,omitempty"`
}

const (
	// sketchedCells is the maximum number of cells of a grid in the file.
	sketchedCells = 1 << 10
	// comparedClasses is the maximum number of distinct texts that are compared
	// by their shares.
	comparedClasses = 1000
)

// errNoSketches is the error for a report that is not a profile.
var errNoSketches = errors.New("it is not a profile")

// ReadSketches reads a SketchFile.
func ReadSketches(text []byte) (*Sketches, error) {
	s := &Sketches{}
	if json.Unmarshal(text, s) != nil || s.Version != sketchVersion {
		return nil, errNoSketches
	}
	return s, nil
}

// write writes the sketches into the folder of a report.
func (s *Sketches) write(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the sketches: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, SketchFile), text, 0o644); err != nil {
		return fmt.Errorf("write the sketches: %w", err)
	}
	return nil
}

// sketchesIn reads the sketches of a report.
func sketchesIn(report *plugin.ArtifactInput) (*Sketches, error) {
	for _, f := range report.Files {
		if f.Name != SketchFile {
			continue
		}
		text, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("read the baseline: %w", err)
		}
		if s, err := ReadSketches(text); err == nil {
			return s, nil
		}
	}
	return nil, plugin.ArgumentErrorf("baseline", "The baseline is not a profile\nUse a dataset, or the result of evaluate \"profile\".")
}

// sketches returns the distributions of the columns that were profiled.
func (p *pass) sketches(found *measurement.Profile) *Sketches {
	out := &Sketches{Version: sketchVersion, Rows: p.rows, Columns: make([]sketch, len(p.columns))}
	for i, c := range p.columns {
		about := &found.Columns[i]
		out.Columns[i] = sketch{Name: about.Name, Type: about.Type, Nulls: about.Nulls, Values: about.Values}
		c.sketch(&out.Columns[i])
	}
	return out
}

func (s *sketch) grid(of string, g *grid) {
	s.Of, s.Level = of, g.level
	s.Cells = sortedSlots(g.cells)
	for len(s.Cells) > sketchedCells {
		s.coarsen(s.Level + 1)
	}
}

// coarsen raises the level of the cells.
func (s *sketch) coarsen(level uint) {
	cells := s.Cells[:0:0]
	for _, c := range s.Cells {
		key := c.Key >> (level - s.Level)
		if last := len(cells) - 1; last >= 0 && cells[last].Key == key {
			cells[last].N += c.N
			continue
		}
		cells = append(cells, slot{key, c.N})
	}
	s.Cells, s.Level = cells, level
}

// classes adds the values of a column, if all are known and there are not too
// many.
func (s *sketch) classes(v *values) {
	if v.distinct != nil || len(v.frequent.values) > comparedClasses {
		return
	}
	for _, f := range v.frequent.values {
		s.Classes = append(s.Classes, slot{f.id, f.n})
	}
	slices.SortFunc(s.Classes, byKey)
}
