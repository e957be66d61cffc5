package render

import (
	"fmt"
	"slices"
	"strconv"

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
	for _, name := range ordered.Keys(after.Figures) {
		is := after.Figures[name]
		was, had := before.Figures[name]
		switch {
		case !had:
			lines = append(lines, name+" "+figure(is))
		case figure(was) != figure(is):
			lines = append(lines, fmt.Sprintf("%s %s → %s", name, figure(was), figure(is)))
		}
	}
	return lines
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
