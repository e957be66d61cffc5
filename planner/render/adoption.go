package render

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/planner/plan"
)

// adoption describes how the result that a node adopts differs from the one
// before: its artifacts, rows, columns, and figures.
func adoption(n *plan.Node) []string {
	if n.Adoption == nil || n.Adoption.After == nil {
		return nil
	}
	before, after := n.Adoption.Before, n.Adoption.After
	if before == nil {
		before = &plan.Content{}
	}
	lines := artifactChanges(before, after)
	if after.Rows != nil {
		lines = append(lines, rowChange(before.Rows, *after.Rows))
	}
	lines = append(lines, columnChanges(before, after)...)
	return append(lines, figureChanges(before, after)...)
}

// mostNewFigures is how many figures without an earlier value are shown of a result.
const mostNewFigures = 12

// figureChanges describes figures that differ, and those that are new. If many are new,
// as in a first promotion, only the most general ones are shown.
func figureChanges(before, after *plan.Content) (lines []string) {
	var fresh []string
	for _, name := range ordered.Keys(after.Figures) {
		was, had := before.Figures[name]
		switch is := after.Figures[name]; {
		case !had:
			fresh = append(fresh, name)
		case figure(was) != figure(is):
			lines = append(lines, fmt.Sprintf("%s %s → %s", name, figure(was), figure(is)))
		}
	}
	slices.SortStableFunc(fresh, func(a, b string) int { return cmp.Compare(generality(a), generality(b)) })
	for i, name := range fresh {
		if i == mostNewFigures {
			return append(lines, "and "+english.Count(len(fresh)-i, "more figure"))
		}
		lines = append(lines, name+" "+figure(after.Figures[name]))
	}
	return lines
}

// generality is lower for a figure of a whole subject than for one of its classes, and
// highest for a difference between two subjects.
func generality(figure string) int {
	n := strings.Count(figure, ".")
	if strings.HasPrefix(figure, "differences.") {
		n += 100
	}
	return n
}

func artifactChanges(before, after *plan.Content) []string {
	var lines []string
	for _, port := range ordered.Keys(after.Artifacts) {
		was, is := before.Artifacts[port], after.Artifacts[port]
		name := "artifact"
		if port != "" {
			name = port
		}
		switch {
		case was == is:
		case was == "":
			lines = append(lines, name+" "+short(is))
		default:
			lines = append(lines, fmt.Sprintf("%s %s → %s", name, short(was), short(is)))
		}
	}
	return lines
}

// short is the digest of an artifact as commands print it.
func short(digest string) string {
	return digest[:min(len("sha256:")+12, len(digest))]
}

func rowChange(was *int64, is int64) string {
	if was == nil || *was == is {
		return english.Count(is, "row")
	}
	return fmt.Sprintf("%s → %s", english.Number(*was), english.Count(is, "row"))
}

func columnChanges(before, after *plan.Content) []string {
	if before.Columns == nil {
		return nil
	}
	var lines []string
	for _, c := range after.Columns {
		if !slices.Contains(before.Columns, c) {
			lines = append(lines, "column "+c+" was added")
		}
	}
	for _, c := range before.Columns {
		if !slices.Contains(after.Columns, c) {
			lines = append(lines, "column "+c+" was removed")
		}
	}
	return lines
}

func figure(f plan.Figure) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	if f.Low == nil || f.High == nil {
		return number(f.Value)
	}
	return fmt.Sprintf("%s [%s, %s]", number(f.Value), number(*f.Low), number(*f.High))
}
