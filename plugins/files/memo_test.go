package files

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func encodeMemo(m memo) []byte {
	w := newMemoWriter()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		w.add(name, m[name])
	}
	return w.text
}

func FuzzMemo(f *testing.F) {
	digest := strings.Repeat("0f", 32)
	f.Add(encodeMemo(memo{"data/a.csv": {1 << 40, -1, digest}, "data/b.csv": {0, 1 << 62, digest}, "data": {1, 2, digest}}))
	f.Add([]byte(memoMagic))
	f.Add([]byte(memoMagic + "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := decodeMemo(text)
		if m == nil {
			return
		}
		if again := decodeMemo(encodeMemo(m)); !maps.Equal(m, again) {
			t.Errorf("%v became %v", m, again)
		}
	})
}

func TestAMemoHasTheFilesThatWereAdded(t *testing.T) {
	digest := strings.Repeat("0f", 32)
	m := memo{"data/a.csv": {1 << 40, -1, digest}, "data/ab.csv": {0, 1 << 62, digest}, "Ä": {7, 8, strings.Repeat("a1", 32)}}
	text := encodeMemo(m)
	if again := decodeMemo(text); !maps.Equal(m, again) {
		t.Errorf("%v became %v", m, again)
	}
	for n := range text {
		if part := decodeMemo(text[:n]); len(part) >= len(m) {
			t.Errorf("%d of %d bytes have all files", n, len(text))
		}
	}
}
