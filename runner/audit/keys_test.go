package audit

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func keyOf(n uint64) (key [16]byte) {
	binary.BigEndian.PutUint64(key[:], n*0x9e3779b97f4a7c15)
	return key
}

// TestKeysBeyondMemoryGiveTheSameResult compares keys that go to a file with a map.
func TestKeysBeyondMemoryGiveTheSameResult(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	folder := t.TempDir()
	k := newKeys(folder)
	k.most = 100
	defer k.close()
	byKey := map[[16]byte][]int64{}
	const rows = 5000
	for from := int64(0); from < rows; from += 50 {
		var all [][16]byte
		for i := range int64(50) {
			key := keyOf(r.Uint64N(4000))
			all = append(all, key)
			byKey[key] = append(byKey[key], from+i)
		}
		if err := k.add(all, func(i int) int64 { return from + int64(i) }); err != nil {
			t.Fatal(err)
		}
	}
	if k.file == nil {
		t.Fatal("nothing went to a file")
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("the file has a name: %v", left)
	}
	var want, got []int64
	for _, same := range byKey {
		if len(same) > 1 {
			want = append(want, same...)
		}
	}
	if err := k.repeated(func(row int64) { got = append(got, row) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d rows have the key of another one, not %d", len(got), len(want))
	}
}

func TestRowsWithUnknownKeysAreFound(t *testing.T) {
	k := newKeys(t.TempDir())
	k.most = 3
	defer k.close()
	rows := []int64{0, 1, none, 3}
	if err := k.add([][16]byte{keyOf(1), keyOf(2), keyOf(9), keyOf(1)}, func(i int) int64 { return rows[i] }); err != nil {
		t.Fatal(err)
	}
	if err := k.add([][16]byte{keyOf(2), keyOf(5)}, func(int) int64 { return known }); err != nil {
		t.Fatal(err)
	}
	var got []int64
	if err := k.unknown(func(row int64) { got = append(got, row) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, []int64{0, 3}) {
		t.Errorf("the rows %v have unknown keys", got)
	}
}
