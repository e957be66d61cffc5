package profile

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func TestTheGridDoesNotDependOnTheOrderOfValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	values := make([]float64, 100_000)
	for i := range values {
		values[i] = 1e9 + random.NormFloat64()*math.Exp(3*random.NormFloat64())
	}
	var first []cell
	for range 3 {
		random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		g := newGrid()
		for _, v := range values {
			if !g.add(floatKey(v)) {
				g.coarsen()
			}
		}
		cells := g.sorted()
		if len(cells) > gridCells || len(cells) < gridCells/3 {
			t.Errorf("%d cells have values", len(cells))
		}
		if first != nil && !reflect.DeepEqual(first, cells) {
			t.Error("another order of the values gives other cells")
		}
		first = cells
	}
	slices.Sort(values)
	for _, p := range numberShares {
		rank := p * float64(len(values)-1)
		below := int(rank)
		want := values[below]
		if below+1 < len(values) {
			want += (rank - float64(below)) * (values[below+1] - values[below])
		}
		got := quantile(first, int64(len(values)), p, keyFloat)
		// The rank of the quantile is right to within 0.2% of the values.
		at, _ := slices.BinarySearch(values, got)
		if math.Abs(float64(at)-rank) > 200 || p == 0 && got != want || p == 1 && got != want {
			t.Errorf("the quantile %g is %v, want %v (rank %d, want %g)", p, got, want, at, rank)
		}
	}
}

func TestKeysAreInTheOrderOfValues(t *testing.T) {
	floats := []float64{math.Inf(-1), -math.MaxFloat64, -1, -5e-324, 0, 5e-324, 1e-300, 1, math.MaxFloat64, math.Inf(1)}
	ints := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
	for i := range floats {
		if keyFloat(floatKey(floats[i])) != floats[i] {
			t.Errorf("%g does not come back", floats[i])
		}
		if i > 0 && floatKey(floats[i-1]) >= floatKey(floats[i]) {
			t.Errorf("%g is not below %g", floats[i-1], floats[i])
		}
	}
	for i := range ints {
		if keyInt(intKey(ints[i])) != ints[i] {
			t.Errorf("%d does not come back", ints[i])
		}
		if i > 0 && intKey(ints[i-1]) >= intKey(ints[i]) {
			t.Errorf("%d is not below %d", ints[i-1], ints[i])
		}
	}
}

func TestSumsAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var sum exactSum
		want := new(big.Float).SetPrec(precision)
		for range 1 + random.IntN(50) {
			v := math.Float64frombits(random.Uint64())
			if random.IntN(3) == 0 {
				v = random.NormFloat64()
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			sum.add(v)
			want.Add(want, big.NewFloat(v))
		}
		if got := sum.value(); got.Cmp(want) != 0 {
			t.Fatalf("the sum is %s, want %s", got, want)
		}
	}
}

func TestMomentsOfExtremeNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		numbers   []float64
		mean, std float64
	}{
		"large":          {[]float64{1e300, 2e300, 3e300}, 2e300, 1e300},
		"small":          {[]float64{1e-300, 2e-300, 3e-300}, 2e-300, 1e-300},
		"close together": {[]float64{1e15 + 1, 1e15 + 2, 1e15 + 3}, 1e15 + 2, 1},
		"cancelling":     {[]float64{1e100, 1, -1e100, 1}, 0.5, math.Sqrt(2e200 / 3)},
		"equal":          {[]float64{0.1, 0.1, 0.1}, 0.1, 0},
		"mixed":          {[]float64{1e300, 1e-300}, 5e299, 1e300 / math.Sqrt2},
	} {
		var m moments
		for _, v := range c.numbers {
			m.add(v)
		}
		if mean, std := m.mean(), m.std(); mean != c.mean || math.Abs(std-c.std) > 1e-15*c.std {
			t.Errorf("%s: %v ± %v, want %v ± %v", name, mean, std, c.mean, c.std)
		}
	}
}

func TestDistinctValuesAreEstimated(t *testing.T) {
	for _, repeats := range []int{1, 3} {
		v := newValues(t.TempDir(), mix)
		const n = 300_000
		for range repeats {
			for i := range n {
				if err := v.add(uint64(i), 1, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		distinct, duplicates, err := v.counted(1.96)
		if err != nil {
			t.Fatal(err)
		}
		v.close()
		if distinct.Low > n || distinct.High < n || math.Abs(float64(distinct.Value)/n-1) > 0.02 {
			t.Errorf("%d distinct values, want %d", distinct, n)
		}
		if distinct.Value+duplicates.Value != int64(repeats*n) {
			t.Errorf("%d distinct and %d duplicates", distinct, duplicates)
		}
		if exact := duplicates.Exact() && duplicates.Value == 0; exact != (repeats == 1) {
			t.Errorf("%d times: %+v duplicates", repeats, duplicates)
		}
	}
}

func TestFewDuplicatesAmongManyValuesAreFoundExactly(t *testing.T) {
	v := newValues(t.TempDir(), mix)
	defer v.close()
	const n = 200_000
	for i := range n {
		id := uint64(i)
		if i > n-4 {
			id = uint64(i - 100_000) // three values occur twice
		}
		if err := v.add(id, 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	distinct, duplicates, err := v.counted(1.96)
	if err != nil {
		t.Fatal(err)
	}
	if v.unique != nil && duplicates.Value != 3 || duplicates.Exact() && duplicates.Value != 3 || duplicates.Value == 0 {
		t.Errorf("%+v distinct, %+v duplicates", distinct, duplicates)
	}
}

func TestFrequentValuesAreFoundAmongManyOthers(t *testing.T) {
	f := newFrequent()
	random := rand.New(rand.NewPCG(7, 8))
	const n = 500_000
	counts := map[uint64]int64{}
	for range n {
		id := random.Uint64()
		if u := random.Float64(); u < 0.3 {
			id = uint64(u * 100) // thirty values with a hundredth of the rows each
		}
		if id < 100 {
			counts[id]++
		}
		f.add(id, 1, "")
	}
	if f.lost > 2*n/frequentValues {
		t.Errorf("counts are too low by up to %d", f.lost)
	}
	top := f.top(30)
	if len(top) != 30 {
		t.Fatalf("%d values are frequent", len(top))
	}
	for _, v := range top {
		if want := counts[v.id]; v.n > want || v.n+f.lost < want {
			t.Errorf("value %d occurs %d to %d times, want %d", v.id, v.n, v.n+f.lost, want)
		}
	}
}

func TestRepeatedHashesAreCountedAcrossFiles(t *testing.T) {
	r := newRepeats(t.TempDir())
	defer r.close()
	want := int64(0)
	for i := range uint64(heldHashes * 3) {
		hashes := []uint64{mix(i)}
		if i%1000 == 0 {
			hashes, want = append(hashes, mix(i/2)), want+1
		}
		if err := r.add(hashes...); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.count(); err != nil || got != want {
		t.Errorf("%d hashes repeat (%v), want %d", got, err, want)
	}
}
