package profile

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var drifting = data.Schema{{Name: "label", Type: "string"}, {Name: "size", Type: "float64"}, {Name: "text", Type: "string"}}

// drawn returns rows of which the labels, the sizes, and the nulls can be shifted.
func drawn(seed uint64, n int, shift, nulls float64) plugintest.Dataset {
	random := rand.New(rand.NewPCG(seed, 0))
	d := plugintest.Dataset{Columns: drifting}
	for range n {
		text := make([]byte, 5+random.IntN(30))
		for i := range text {
			text[i] = "abcdefgh "[random.IntN(9)]
		}
		row := map[string]any{"label": "a", "size": random.NormFloat64() + shift, "text": string(text)}
		if random.Float64() < 0.3+shift/2 {
			row["label"] = "b"
		}
		if random.Float64() < nulls {
			row["size"] = nil
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}

func TestDriftIsFoundInTheColumnsThatDiffer(t *testing.T) {
	base := drawn(1, 1500, 0, 0)
	for name, c := range map[string]struct {
		now  plugintest.Dataset
		want []string
	}{
		"the same distribution": {drawn(2, 1200, 0, 0), []string{}},
		"other values":          {drawn(3, 1200, 0.4, 0), []string{"label", "size"}},
		"more nulls":            {drawn(4, 1200, 0, 0.1), []string{"size"}},
		"no values":             {drawn(5, 1200, 0, 1), []string{"size"}},
	} {
		p, v := profileOf(t, c.now, map[string]any{"baseline": base, "tokenizer": "none"})
		if !slices.Equal(p.Drift.Drifted, c.want) {
			t.Errorf("%s: %v have drifted, want %v: %+v", name, p.Drift.Drifted, c.want, p.Drift.Columns)
		}
		if v.GetAttr("drift").GetAttr("baseline_rows").AsBigFloat().String() != "1500" {
			t.Errorf("%s: the value is %#v", name, v.GetAttr("drift"))
		}
		for _, d := range p.Drift.Columns {
			for what, f := range map[string]measurement.Figure{"psi": d.PSI, "distance": d.Distance, "nulls": d.Nulls} {
				if f.Value != nil && f.Low != nil && (*f.Low > *f.Value+1e-9 || *f.High < *f.Value-1e-9) {
					t.Errorf("%s: the %s of %s is %s", name, what, d.Name, f)
				}
			}
		}
	}
}

func TestADatasetHasNotDriftedFromItself(t *testing.T) {
	d := drawn(6, 900, 0, 0.2)
	p, _ := profileOf(t, d, map[string]any{"baseline": d})
	for _, c := range p.Drift.Columns {
		if *c.P != 1 || *c.PSI.Value != 0 || *c.Distance.Value != 0 || math.Abs(*c.Nulls.Value) > 0 {
			t.Errorf("got %+v", c)
		}
	}
	if len(p.Drift.Columns) != 3 || len(p.Drift.Drifted) != 0 {
		t.Errorf("got %+v", p.Drift)
	}
}

func TestColumnsThatOnlyOneDatasetHasAreListed(t *testing.T) {
	one := []map[string]any{{}}
	now := plugintest.Dataset{Columns: data.Schema{{Name: "new", Type: "string"}, {Name: "other", Type: "int64"}}, Rows: one}
	base := plugintest.Dataset{Columns: data.Schema{{Name: "old", Type: "string"}, {Name: "other", Type: "float64"}}, Rows: one}
	p, _ := profileOf(t, now, map[string]any{"baseline": base})
	if !slices.Equal(p.Drift.Added, []string{"new"}) || !slices.Equal(p.Drift.Removed, []string{"old"}) || !slices.Equal(p.Drift.Retyped, []string{"other"}) || len(p.Drift.Columns) != 0 {
		t.Errorf("got %+v", p.Drift)
	}
}
