package diag

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// Suggest returns ` Did you mean "x"?`, with the space before it, for the
// candidate that given is most likely a misspelling of; "" where none is
// close. Among equally close candidates, it picks the first by name.
func Suggest(given string, candidates []string) string {
	if best := Closest(given, candidates); best != "" {
		return ` Did you mean "` + best + `"?`
	}
	return ""
}

// Closest returns the candidate that given is most likely a misspelling of;
// "" where none is close.
func Closest(given string, candidates []string) string {
	best, least := "", allowed(given)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if c == given || c == "" {
			continue
		}
		if d := distance(given, c); d < least && d < max(len(plain(given)), len(plain(c))) { // they have something in common
			best, least = c, d
		}
	}
	return best
}

// listed is the most names that a message lists.
const listed = 30

// List joins names with commas. If there are many, it lists the first ones and
// says how many more there are.
func List(names []string) string {
	if len(names) <= listed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:listed], ", "), len(names)-listed)
}

// allowed is the largest edit distance between a name and its misspelling: a
// third of its length, so that short names are not all alike, and never more
// than three.
func allowed(name string) int {
	return min(3, max(1, (utf8.RuneCountInString(name)+1)/3))
}

// distance is 0 for names that differ only in case or separators.
func distance(a, b string) int {
	a, b = plain(a), plain(b)
	if a == b {
		return 0
	}
	d := levenshtein.Distance(a, b, nil)
	if d == 2 && transposed(a, b) {
		return 1
	}
	return d
}

func plain(s string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s))
}

// transposed reports whether a and b differ in two adjacent letters that
// are swapped.
func transposed(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
