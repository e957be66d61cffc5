package survey

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTheGridDoesNotDependOnTheOrderOfValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	values := make([]float64, 100_000)
	for i := range values {
		values[i] = 1e9 + random.NormFloat64()*math.Exp(3*random.NormFloat64())
	}
	var first []span
	for range 3 {
		random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		g := newGrid()
		for some := range slices.Chunk(values, 5000) {
			g.add(runsOf(some, floatKey), &workroom{})
		}
		cells := g.spans()
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

// runsOf returns the sorted keys of values, with their counts.
func runsOf[T any](values []T, key func(T) uint64) []cell {
	var b block
	for _, v := range values {
		b.add(key(v))
	}
	return b.runs(&workroom{})
}

func same(k uint64) uint64 { return k }

// counted counts numbers in blocks.
func counted(t *testing.T, ids []uint64) *values {
	t.Helper()
	v := &values{dir: t.TempDir(), hash: mix}
	t.Cleanup(v.close)
	for some := range slices.Chunk(ids, 7000) {
		if _, err := v.add(runsOf(some, same), &workroom{}); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func TestDistinctValuesAreEstimated(t *testing.T) {
	for _, repeats := range []int{1, 3} {
		const n = 300_000
		var ids []uint64
		for range repeats {
			for i := range n {
				ids = append(ids, uint64(i))
			}
		}
		distinct, duplicates, err := counted(t, ids).counted(1.96)
		if err != nil {
			t.Fatal(err)
		}
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
	const n = 200_000
	var ids []uint64
	for i := range uint64(n) {
		if i > n-4 {
			i -= 100_000 // three values occur twice
		}
		ids = append(ids, i)
	}
	v := counted(t, ids)
	distinct, duplicates, err := v.counted(1.96)
	if err != nil {
		t.Fatal(err)
	}
	if v.unique != nil && duplicates.Value != 3 || duplicates.Exact() && duplicates.Value != 3 || duplicates.Value == 0 {
		t.Errorf("%+v distinct, %+v duplicates", distinct, duplicates)
	}
}

func TestFrequentValuesAreFoundAmongManyOthers(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	const n = 500_000
	counts := map[uint64]int64{}
	var ids []uint64
	for range n {
		id := random.Uint64()
		if u := random.Float64(); u < 0.3 {
			id = uint64(u * 100) // thirty values with a hundredth of the rows each
			counts[id]++
		}
		ids = append(ids, id)
	}
	f := &counted(t, ids).Frequent
	if f.Lost == 0 || f.Lost > n/frequentValues {
		t.Errorf("counts are too low by up to %d", f.Lost)
	}
	top := f.top(30)
	if len(top) != 30 {
		t.Fatalf("%d values are frequent", len(top))
	}
	for _, v := range top {
		if want := counts[v.id]; v.n > want || v.n+f.Lost < want {
			t.Errorf("value %d occurs %d to %d times, want %d", v.id, v.n, v.n+f.Lost, want)
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
		if err := r.add(hashes); err != nil {
			t.Fatal(err)
		}
		if i == heldHashes*2 { // what follows is counted by another method
			if err := r.settle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := r.count(); err != nil || got != want {
		t.Errorf("%d hashes repeat (%v), want %d", got, err, want)
	}
}

func TestKeysAreSorted(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for _, n := range []int{0, 1, 2, fewKeys - 1, fewKeys, 5000} {
		for _, bits := range []int{64, 63, 11, 12, 3, 0} {
			keys := make([]uint64, n)
			for i := range keys {
				keys[i] = random.Uint64()>>(64-bits) | 1<<40
			}
			want := slices.Clone(keys)
			slices.Sort(want)
			var other []uint64
			if sortKeys(keys, &other); !slices.Equal(keys, want) {
				t.Errorf("%d keys of %d bits are not sorted", n, bits)
			}
		}
	}
}

func TestTheRankOfACount(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	var all []cell
	var counts []int64
	for i := range 3000 {
		n := 1 + random.Int64N(1<<random.IntN(20))
		all, counts = append(all, cell{Key: uint64(i), N: n}), append(counts, n)
	}
	slices.Sort(counts)
	for rank := range counts {
		if got, want := ranked(all, rank), counts[len(counts)-1-rank]; got != want {
			t.Fatalf("the count with rank %d is %d, want %d", rank, got, want)
		}
	}
}

func TestTextsAreMeasured(t *testing.T) {
	for _, c := range []struct {
		text              string
		characters, words int64
		valid             bool
	}{
		{"", 0, 0, true}, {" \t\r\n", 4, 0, true}, {"one two  three ", 15, 3, true}, {"ä\u00a0ö", 3, 2, true}, {"a\xffb c", 5, 2, false},
		{"日本 語", 4, 2, true}, {"\ufffd", 1, 1, true}, {"x\u2028y", 3, 2, true}, {"a\rb", 3, 2, true},
		{"12345678", 8, 1, true}, {"1234567 9", 9, 2, true}, {"12345678 ", 9, 1, true}, {"12345678é abcdefgh", 18, 2, true},
	} {
		if characters, words, valid := lengthsOf(c.text); characters != c.characters || words != c.words || valid != c.valid {
			t.Errorf("%q has %d characters and %d words, valid: %v", c.text, characters, words, valid)
		}
	}
}

// Eight bytes at a time must give what one character at a time does.
func FuzzLengthsOf(f *testing.F) {
	for _, s := range []string{"", "some words, and more of them", "\x00\x08\x09\x0d\x0e\x1f\x20\x21\x7f", "tab\tnew\vline\u0085é ü", "\xff\xfe 12345678\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		characters, words, valid := lengthsOf(s)
		c, w, v := runes(s, false)
		if characters != c || words != w || valid != v || words != int64(len(strings.Fields(s))) {
			t.Errorf("%q has %d characters and %d words (valid: %v), want %d and %d (%v)", s, characters, words, valid, c, w, v)
		}
	})
}
