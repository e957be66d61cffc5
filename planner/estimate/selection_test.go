package estimate

import (
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// numbers is a sample of n rows with the column n, of which some are new.
func numbers(n, fresh int, weight float64) sample {
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "n", Type: "int64"}}.Arrow())
	s := sample{madeBy: map[string]string{"later": "transform.later"}}
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		s.weights, s.isFresh = append(s.weights, weight), append(s.isFresh, i < fresh)
	}
	s.rows = b.NewRecordBatch()
	return s
}

func TestALargeSampleOfAUnionRepresentsAllRows(t *testing.T) {
	var parts []sample
	var all, fresh float64
	for i := range 20 {
		s := numbers(1000+i, 10*i, 2)
		a, f := s.sizes()
		parts, all, fresh = append(parts, s), all+a.weight, fresh+f.weight
	}
	schema := data.Schema{{Name: "n", Type: "int64"}, {Name: "later", Type: "string"}, {Name: "own", Type: "string"}}
	united := together("transform.all", schema, parts)
	a, f := united.sizes()
	if math.Abs(a.weight-all) > 1e-6 || math.Abs(f.weight-fresh) > 1e-6 || a.n > unitedRows || int64(a.n) != united.rows.NumRows() {
		t.Errorf("%d rows represent %g, of which %g are new; want %g and %g", a.n, a.weight, f.weight, all, fresh)
	}
	if united.rows.NumCols() != 1 || united.madeBy["later"] != "transform.later" || united.madeBy["own"] != "transform.all" {
		t.Error(united.rows.Schema(), united.madeBy)
	}
	few := together("transform.all", schema, []sample{numbers(3, 1, 1), unread("source.b", schema)})
	if few.rows.NumCols() != 0 || few.madeBy["n"] != "source.b" {
		t.Error(few.rows.Schema(), few.madeBy)
	}
	if none := together("transform.all", schema, []sample{numbers(0, 0, 1), numbers(0, 0, 1)}); none.rows.NumRows() != 0 || none.rows.NumCols() != 1 {
		t.Error(none.rows)
	}
}

func TestPortionsHaveTheProportionOfTheirWeights(t *testing.T) {
	two, one := 2.0, 1.0
	for _, c := range []struct {
		a, b         spread
		sizeA, sizeB float64
		wantA, wantB spread
	}{
		{exactly(100), exactly(100), 1, 1, exactly(100), exactly(50)},
		{exactly(100), exactly(10), 1, 1, exactly(20), exactly(10)},
		{exactly(5), exactly(10), 1, 1, exactly(5), exactly(3)},
		{exactly(0), exactly(10), 1, 1, exactly(0), exactly(0)},
		{spread{0, 50, 100}, exactly(30), 1, 1, spread{0, 50, 60}, spread{0, 25, 30}},
		{exactly(100), exactly(100), 4, 1, exactly(50), exactly(100)},
	} {
		portions := []*portion{
			{forecast: counted(c.a), Selection: &pluginv1.Selection{Weight: &two}, size: exactly(c.sizeA)},
			{forecast: counted(c.b), Selection: &pluginv1.Selection{Weight: &one}, size: exactly(c.sizeB)},
		}
		proportion(portions)
		if portions[0].rows != c.wantA || portions[1].rows != c.wantB {
			t.Errorf("%v and %v: got %v and %v, want %v and %v", c.a, c.b, portions[0].rows, portions[1].rows, c.wantA, c.wantB)
		}
	}
}

func counted(rows spread) *forecast {
	return &forecast{rows: rows, fresh: rows, exact: true, sample: func() sample { return numbers(2, 2, rows.mid/2) }}
}

// A value is passed on in the rows of an input if nothing else is mixed into it.
func TestColumnsAreKnownInTheRowsThatTheyComeFrom(t *testing.T) {
	from := func(sources ...plan.LineageSource) *plan.Lineage { return &plan.Lineage{Sources: sources} }
	a, b := plan.LineageSource{Input: "a", Column: "x", Unchanged: true}, plan.LineageSource{Input: "b", Column: "y", Unchanged: true}
	key := plan.LineageSource{Input: "b", Column: "key"}
	for _, c := range []struct {
		lineage          *plan.Lineage
		passed, computed bool // of a
	}{
		{from(a), true, false}, {from(a, b), true, false}, {from(b), false, false}, {from(), false, false},
		{from(a, key), false, true}, {from(key), false, false}, {from(a, a), false, false}, {nil, false, true},
	} {
		if _, passed := c.lineage.PassedOn("a"); passed != c.passed || c.lineage.ComputedFrom("a") != c.computed {
			t.Errorf("%+v: passed on %v, computed %v", c.lineage, passed, c.lineage.ComputedFrom("a"))
		}
	}
}

func TestSizesAreNumbers(t *testing.T) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	b.AppendValues([]float64{2.5, -1, math.Inf(1), math.NaN(), 7}, []bool{true, true, true, true, false})
	values := b.NewArray()
	for i, want := range []float64{2.5, 0, 0, 0, 0} {
		if got := number(values, i); got != want {
			t.Errorf("%v: got %g, want %g", values, got, want)
		}
	}
}
