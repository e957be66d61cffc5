package figures

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// MostPaired is the maximum number of subjects that are compared pairwise. The
// number of comparisons grows with the square of the number of subjects: 20
// subjects have 190 pairs.
const MostPaired = 20

// Design says which subjects are compared: all pairs or, with a Baseline, each
// other subject with the baseline.
type Design struct {
	Subjects []string
	Baseline string
}

// pairs yields the positions of each two subjects that are compared. With a
// baseline, the baseline comes second: it is subtracted.
func (d Design) pairs() iter.Seq2[int, int] {
	return func(yield func(first, second int) bool) {
		for first, name := range d.Subjects {
			for second, other := range d.Subjects {
				wanted := first < second
				if d.Baseline != "" {
					wanted = other == d.Baseline && name != other
				}
				if wanted && !yield(first, second) {
					return
				}
			}
		}
	}
}

func (d Design) name(first, second int) string { return Pair(d.Subjects[first], d.Subjects[second]) }

// CheckDesign reports a baseline that does not exist, and too many subjects
// without a baseline. It returns false if the baseline is not known yet,
// because the type of the differences depends on it.
func CheckDesign[A any](p *plugin.Prepare[A], d Design) bool {
	switch {
	case !p.Known("baseline"):
		p.Errorf("baseline", "The baseline must be known when planning\nIt depends on a stage that has not been applied yet. Write the name of the subject.")
		return false
	case d.Baseline == "" && len(d.Subjects) > MostPaired:
		n := len(d.Subjects)
		p.Errorf("", "%d subjects are too many to compare pairwise\nThat is %d comparisons; at most %d subjects are compared pairwise. "+
			"Set baseline = %q, or to another subject, to compare the others with that one only.", n, n*(n-1)/2, MostPaired, d.Subjects[0])
	case d.Baseline != "" && !slices.Contains(d.Subjects, d.Baseline):
		p.Errorf("baseline", "%s", d.Lacks(d.Baseline))
	}
	return true
}

// listed is the maximum number of subjects that a message lists.
const listed = 30

// Lacks says that a name is not one of the subjects, and suggests a similar
// one.
func (d Design) Lacks(name string) string {
	best, hint := 1+min(3, max(1, (utf8.RuneCountInString(name)+1)/3)), ""
	for _, s := range d.Subjects {
		if distance := levenshtein.Distance(strings.ToLower(name), strings.ToLower(s), nil); distance < best {
			best, hint = distance, fmt.Sprintf("Did you mean %q? ", s)
		}
	}
	more := ""
	if n := len(d.Subjects); n > listed {
		more = fmt.Sprintf(" and %d more", n-listed)
	}
	return fmt.Sprintf("There is no subject %q\n%sThe subjects are: %s%s.", name, hint, strings.Join(d.Subjects[:min(listed, len(d.Subjects))], ", "), more)
}
