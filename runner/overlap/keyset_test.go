package overlap

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
)

// numbered streams the keys of numbers.
func numbered(passes *int, numbers ...uint64) Keys {
	return func(yield func([16]byte)) error {
		*passes++
		for _, n := range numbers {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
			yield([16]byte(sum[:16]))
		}
		return nil
	}
}

func between(from, to uint64) (numbers []uint64) {
	for n := from; n < to; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

func TestSharedRowsAreCountedInAsManyPassesAsMemoryRequires(t *testing.T) {
	twice := append(between(0, 500), between(400, 500)...) // 600 rows, 500 keys
	for _, c := range []struct{ most, least, greatest int }{{1 << 20, 1, 1}, {500, 1, 1}, {499, 2, 2}, {100, 5, 12}, {7, 72, 250}, {1, 500, 2000}} {
		ofPasses, inPasses := 0, 0
		// 60 keys are shared, each of two rows.
		got, distinct, err := count(numbered(&ofPasses, twice...), numbered(&inPasses, between(440, 900)...), c.most)
		if err != nil || got != 120 || distinct != 500 {
			t.Errorf("with %d keys at a time: %d rows, %d keys, %v", c.most, got, distinct, err)
		}
		if ofPasses < c.least || ofPasses > c.greatest || inPasses > ofPasses {
			t.Errorf("with %d keys at a time, %d and %d passes were made", c.most, ofPasses, inPasses)
		}
	}
}

func TestAKeySetNeverExceedsItsLimit(t *testing.T) {
	s, passes, seen := newKeySet(100), 0, int64(0)
	for more := true; more; more = s.next() {
		_ = numbered(&passes, append(between(0, 1000), between(0, 1000)...)...)(func(key [16]byte) {
			s.add(key)
			if len(s.rows) > 100 {
				t.Fatalf("it has %d keys", len(s.rows))
			}
		})
		for _, n := range s.rows {
			seen += n
		}
	}
	if seen != 2000 {
		t.Errorf("of 2,000 rows, %d had their turn", seen)
	}
}

func TestRowsThatCannotBeReadAreAnError(t *testing.T) {
	broken, passes := errors.New("broken"), 0
	failing := func(func([16]byte)) error { return broken }
	some := numbered(&passes, 1)
	for _, pair := range [][2]Keys{{failing, some}, {some, failing}} {
		if _, _, err := count(pair[0], pair[1], 10); !errors.Is(err, broken) {
			t.Errorf("the error is %v", err)
		}
	}
}
