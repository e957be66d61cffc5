package english

import (
	"strings"
	"testing"
	"time"
)

func TestWordsAgreeWithTheirNumber(t *testing.T) {
	for n, want := range map[int]string{
		-1: "-1 rows", 0: "0 rows", 1: "1 row", 2: "2 rows", 999: "999 rows", 1000: "1,000 rows", -1000: "-1,000 rows", 1234567: "1,234,567 rows",
	} {
		if got := Count(n, "row"); got != want {
			t.Errorf("Count(%d): %q, not %q", n, got, want)
		}
	}
	for n, want := range []string{"no labels are", "one label is", "two labels are", "3 labels are"} {
		if got := Spell(n, "label") + " " + Agree(n, "is", "are"); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if got := Plural(int64(1), "line") + " " + Plural(int32(4), "line"); got != "line lines" {
		t.Errorf("got %q", got)
	}
}

func TestAlternativesAreJoinedByOr(t *testing.T) {
	for want, given := range map[string]string{"": "", "a": "a", "a or b": "a b", "a, b, or c": "a b c"} {
		if got := Or(strings.Fields(given)); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestPhrasesAreJoinedByAnd(t *testing.T) {
	for want, given := range map[string]string{"": "", "a": "a", "a and b": "a b", "a, b, and c": "a b c"} {
		if got := And(strings.Fields(given)); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestDurationsAreShort(t *testing.T) {
	for given, want := range map[string]string{
		"0s": "0s", "1.4s": "1s", "90s": "1m30s", "10m": "10m", "24h": "24h", "20h30m": "20h30m", "47h59m59s": "47h59m59s",
		"47h59m59.9s": "2 days", "60h": "2 days 12h", "876000h": "36,500 days", "72h0m1s": "3 days 1s",
	} {
		d, err := time.ParseDuration(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := Duration(d); got != want {
			t.Errorf("%s: %q, not %q", given, got, want)
		}
	}
}
