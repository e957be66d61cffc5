package profile

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "builtin", Version: "1.0.0", Types: Types()}

// profileOf profiles rows, and returns the report and the value.
func profileOf(t *testing.T, d plugintest.Dataset, args map[string]any) (*measurement.Profile, cty.Value) {
	t.Helper()
	all := map[string]any{"dataset": d}
	for name, v := range args {
		all[name] = v
	}
	got, err := plugintest.Run(t, offer, plugintest.Case{Kind: plugin.KindEvaluate, Type: "profile", Args: all})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, got.Folders[""]), got.Value
}

func read(t *testing.T, dir string) *measurement.Profile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, measurement.File))
	if err != nil {
		t.Fatal(err)
	}
	p, err := measurement.ReadProfile(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var hostile = data.Schema{
	{Name: "b", Type: "bool"}, {Name: "bytes", Type: "binary"}, {Name: "d", Type: "date"}, {Name: "f", Type: "float64"}, {Name: "i", Type: "int64"},
	{Name: "list", Type: "list<string>"}, {Name: "s", Type: "string"}, {Name: "struct", Type: "struct<a:int64,b:list<float64>>"}, {Name: "t", Type: "timestamp"},
}

func TestAProfileOfNoRowsHasTheTypesOfAnyOther(t *testing.T) {
	p, v := profileOf(t, plugintest.Dataset{Columns: hostile}, nil)
	if p.Rows != 0 || p.DuplicateRows != 0 || len(p.Columns) != len(hostile) || len(p.Warnings) != 0 {
		t.Errorf("got %+v", p)
	}
	for _, c := range p.Columns {
		if c.Nulls+c.Values+c.Distinct.Value != 0 || c.Constant || c.Unique {
			t.Errorf("got %+v", c)
		}
	}
	if !v.GetAttr("columns").GetAttr("f").GetAttr("mean").IsNull() {
		t.Errorf("the mean of no numbers is %#v", v)
	}
}

func TestColumnsOfNulls(t *testing.T) {
	d := plugintest.Dataset{Columns: hostile, Rows: []map[string]any{{}, {}, {}}}
	p, v := profileOf(t, d, nil)
	if p.DuplicateRows != 2 || p.NullCells != 3*int64(len(hostile)) {
		t.Errorf("%d duplicate rows, %d nulls", p.DuplicateRows, p.NullCells)
	}
	for _, c := range p.Columns {
		if c.Nulls != 3 || c.Values != 0 || c.Distinct != (measurement.Exact(0)) || c.Constant || c.Unique {
			t.Errorf("got %+v", c)
		}
	}
	if got := v.GetAttr("null_share"); !got.RawEquals(cty.NumberIntVal(1)) {
		t.Errorf("the share of nulls is %#v", got)
	}
}

func TestOneRow(t *testing.T) {
	d := plugintest.Dataset{Columns: data.Schema{{Name: "f", Type: "float64"}, {Name: "s", Type: "string"}}, Rows: []map[string]any{{"f": 2.5, "s": "a b"}}}
	p, v := profileOf(t, d, nil)
	f := p.Column("f").Numbers
	if *f.Mean != 2.5 || f.Std != nil || *f.Quantile(0.5) != 2.5 || *f.Quantile(0) != 2.5 || len(f.Histogram) != 1 {
		t.Errorf("got %+v", f)
	}
	if !p.Column("f").Constant || !p.Column("f").Unique {
		t.Errorf("got %+v", p.Column("f"))
	}
	tokens := v.GetAttr("columns").GetAttr("s").GetAttr("tokens").GetAttr("total")
	if !tokens.GetAttr("value").RawEquals(cty.NumberIntVal(2)) || !tokens.GetAttr("low").RawEquals(cty.NumberIntVal(2)) {
		t.Errorf("the tokens are %#v", tokens)
	}
}

func TestNumbersThatAreNotFiniteAreCountedAndLeftOut(t *testing.T) {
	columns := data.Schema{{Name: "f", Type: "float64"}}
	var rows []map[string]any
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), -3, 1e308, -1e308, 5e-324} {
		rows = append(rows, map[string]any{"f": v})
	}
	p, _ := profileOf(t, plugintest.Dataset{Columns: columns, Rows: rows}, nil)
	c := p.Column("f")
	n := c.Numbers
	if n.NaN != 1 || n.Infinite != 2 || n.Zeros != 2 || n.Negatives != 2 || c.Values != 9 || c.Distinct.Value != 5 || c.Duplicates.Value != 1 {
		t.Errorf("got %+v of %+v", n, c)
	}
	if *n.Quantile(0) != -1e308 || *n.Quantile(1) != 1e308 || *n.Mean != -0.5 || n.Std == nil {
		t.Errorf("got %+v", n)
	}
	if p.DuplicateRows != 1 {
		t.Errorf("%d rows are duplicates, but -0 and 0 are the same", p.DuplicateRows)
	}
}

func TestAMistakeIsReportedWhenPlanning(t *testing.T) {
	d := plugintest.Dataset{Columns: hostile}
	for name, c := range map[string]struct {
		args map[string]any
		want string
	}{
		"columns":    {map[string]any{"columns": []string{"nix"}}, `The dataset has no column "nix"`},
		"again":      {map[string]any{"columns": []string{"s", "s"}}, `The column "s" is listed twice`},
		"confidence": {map[string]any{"confidence": 1.0}, "The confidence level 1 is out of range"},
		"top":        {map[string]any{"top": 101}, "Cannot list 101 values"},
		"sample":     {map[string]any{"sample": 10}, "A sample of 10 rows is out of range"},
	} {
		c.args["dataset"] = d
		_, err := plugintest.Run(t, offer, plugintest.Case{Kind: plugin.KindEvaluate, Type: "profile", Args: c.args})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
