package compare

import (
	"errors"
	"fmt"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/results"
)

// Profiles is how the datasets that two profiles describe differ.
type Profiles struct {
	// Before and After describe the datasets.
	Before Extent `json:"before"`
	After  Extent `json:"after"`
	// Drift says which columns only one of them has, and how the distributions of the
	// others differ.
	Drift *measurement.Drift `json:"drift"`
	// Columns are those with other numbers of nulls or distinct values.
	Columns []ProfileColumn `json:"columns"`

	before, after *results.Profile
}

// Extent is how large a dataset is.
type Extent struct {
	Rows          int64 `json:"rows"`
	DuplicateRows int64 `json:"duplicate_rows"`
}

// ProfileColumn is a column that both datasets have.
type ProfileColumn struct {
	Name   string      `json:"name"`
	Before ColumnCount `json:"before"`
	After  ColumnCount `json:"after"`
}

// ColumnCount counts the values of a column.
type ColumnCount struct {
	Nulls    int64                 `json:"nulls"`
	Values   int64                 `json:"values"`
	Distinct measurement.Estimated `json:"distinct"`
}

// Column returns the descriptions of a column that both datasets have.
func (p *Profiles) Column(name string) (before, after *measurement.ProfileColumn) {
	return p.before.Column(name), p.after.Column(name)
}

// TwoProfiles compares two profiles in a store. It returns nil for other instances.
// note says what is no longer in the store.
func TwoProfiles(s *store.Store, a, b *state.Instance) (out *Profiles, note string, err error) {
	before, was, err := profileOf(s, a)
	if err == nil {
		var after *results.Profile
		var is *drift.Sketches
		if after, is, err = profileOf(s, b); err == nil {
			out, err = compareProfiles(before, after, was, is)
		}
	}
	switch {
	case errors.Is(err, measurement.ErrNoProfile), errors.Is(err, drift.ErrNoSketches):
		return nil, "", nil
	case blob.Unavailable(err):
		return nil, "The profiles cannot be compared, because one of them is no longer in the store.", nil
	}
	return out, "", err
}

func profileOf(s *store.Store, inst *state.Instance) (*results.Profile, *drift.Sketches, error) {
	p, err := results.ReadProfile(s, inst)
	if err != nil {
		return nil, nil, err
	}
	text, err := results.ReportFile(s, inst, drift.File)
	if err != nil {
		return nil, nil, err
	}
	sketches, err := drift.Read(text)
	return p, sketches, err
}

func compareProfiles(before, after *results.Profile, was, is *drift.Sketches) (*Profiles, error) {
	found, err := drift.Compare(was, is, after.Confidence)
	if err != nil {
		return nil, fmt.Errorf("compare the profiles: %w", err)
	}
	out := &Profiles{
		Before: Extent{before.Rows, before.DuplicateRows}, After: Extent{after.Rows, after.DuplicateRows},
		Drift: found, Columns: []ProfileColumn{}, before: before, after: after,
	}
	for i := range after.Columns {
		now := &after.Columns[i]
		old := before.Column(now.Name)
		if old == nil {
			continue
		}
		if c := (ProfileColumn{now.Name, countOf(old), countOf(now)}); c.Before != c.After {
			out.Columns = append(out.Columns, c)
		}
	}
	return out, nil
}

func countOf(c *measurement.ProfileColumn) ColumnCount {
	return ColumnCount{c.Nulls, c.Values, c.Distinct}
}
