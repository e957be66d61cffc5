package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/plan"
)

// WorkingFolder is the name of what is not a revision.
const WorkingFolder = "the working folder"

// Compared are two configurations and how they differ.
type Compared struct {
	// Before and After are names of revisions, or WorkingFolder.
	Before, After string
	// Plans apply them. They may be nil.
	Plans [2]*plan.Plan
	*comparison.Comparison
}

// Comparison shows to a person how two plans differ.
func Comparison(w io.Writer, c Compared, o Options) error {
	t := &text{w: bufio.NewWriter(w), options: o}
	t.comparison(c)
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("show comparison: %w", err)
	}
	return nil
}

// comparedSymbols and comparedColors are those of changes.
var (
	comparedSymbols = map[comparison.Change]string{comparison.Added: "+", comparison.Removed: "-", comparison.Changed: "~", comparison.Moved: ">", comparison.Recomputed: "="}
	comparedColors  = map[comparison.Change]string{comparison.Added: green, comparison.Removed: red, comparison.Changed: yellow, comparison.Moved: cyan, comparison.Recomputed: cyan}
)

func (t *text) comparison(c Compared) {
	if c.IsEmpty() {
		t.printf("%s %s and %s describe the same pipeline of %s.\n", t.paint(bold+green, "No differences."), c.Before, c.After, english.Count(c.Unchanged, "stage"))
		return
	}
	t.printf("From %s to %s:\n\n", c.Before, c.After)
	for _, s := range c.Stages {
		t.compared(s)
	}
	t.named("Outputs", c.Outputs)
	t.named("Checks", c.Checks)
	t.named("Variables", c.Variables)
	t.named("Plugins", c.Plugins)
	t.printf("%s %s.\n", t.paint(bold, "Differences:"), comparedSummary(c.Comparison))
	if len(c.Dependent) > 0 {
		t.printf("%s on what differs: %s.\n", english.Count(len(c.Dependent), "other stage")+" "+english.Agree(len(c.Dependent), "depends", "depend"), someOf(c.Dependent))
	}
	for i, of := range []string{c.Before, c.After} {
		if p := c.Plans[i]; p != nil {
			t.printf("To apply %s: %s.\n", of, work(p))
		}
	}
}

// work describes what applying a plan takes.
func work(p *plan.Plan) string {
	if !p.HasChanges() {
		return "nothing to do"
	}
	if all := totals(p); all != "" {
		return Summary(p) + "; " + all
	}
	return Summary(p)
}

// someOf lists the first few of several names.
func someOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return english.And(names)
	}
	return strings.Join(names[:most], ", ") + ", and " + english.Number(len(names)-most) + " more"
}

// comparedSummary summarizes a comparison in one line.
func comparedSummary(c *comparison.Comparison) string {
	var parts []string
	count := func(n int, what string) {
		if n > 0 {
			parts = append(parts, english.Number(n)+" "+what)
		}
	}
	for _, change := range []comparison.Change{comparison.Added, comparison.Changed, comparison.Moved, comparison.Removed} {
		count(c.Count(change), string(change))
	}
	for _, of := range []struct {
		all  []*comparison.Named
		noun string
	}{{c.Outputs, "output"}, {c.Checks, "check"}, {c.Variables, "variable"}, {c.Plugins, "plugin"}} {
		if n := len(of.all); n > 0 {
			parts = append(parts, english.Count(n, of.noun))
		}
	}
	count(c.Unchanged+len(c.Dependent), "unchanged")
	return strings.Join(parts, ", ")
}

// comparedPhrase says how a stage differs.
func comparedPhrase(s *comparison.Stage) string {
	switch {
	case s.Change == comparison.Moved:
		return "moves from " + s.From
	case s.Change == comparison.Changed && len(s.Reasons) == 0:
		return "changes in ways that do not affect its result"
	}
	return map[comparison.Change]string{comparison.Added: "is added", comparison.Removed: "is removed", comparison.Changed: "changes"}[s.Change]
}

func (t *text) compared(s *comparison.Stage) {
	head := s.Address
	if s.Type != "" {
		head += " (" + s.Type + ")"
	}
	t.printf("  %s %s %s\n", t.paint(comparedColors[s.Change], comparedSymbols[s.Change]), t.paint(bold, head), comparedPhrase(s))
	for _, r := range append(grouped(s.Reasons), s.Settings...) {
		t.reason(r)
	}
	for _, c := range s.Columns {
		t.printf("        %s\n", columnText(c))
	}
	if e := comparedEstimate(s); e != "" {
		t.printf("        %s\n", t.paint(faint, e))
	}
	t.printf("\n")
}

// comparedEstimate describes what running a stage takes.
func comparedEstimate(s *comparison.Stage) string {
	if s.Estimate == nil {
		return ""
	}
	return estimate(&plan.Node{Action: s.Action, Estimate: *s.Estimate})
}

func columnText(c comparison.Column) string {
	name := c.Name
	if c.Port != "" {
		name = c.Port + "." + c.Name
	}
	switch {
	case c.Before == "":
		return fmt.Sprintf("column %s is added: %s", name, c.After)
	case c.After == "":
		return fmt.Sprintf("column %s is removed: %s", name, c.Before)
	}
	return fmt.Sprintf("column %s: %s → %s", name, c.Before, c.After)
}

// named shows outputs, checks, variables, or plugins that differ.
func (t *text) named(title string, all []*comparison.Named) {
	if len(all) == 0 {
		return
	}
	t.printf("%s:\n", title)
	for _, n := range all {
		r := printedReason(plan.Reason{Before: n.Before, After: n.After})
		t.printf("  %s %s", t.paint(comparedColors[n.Change], comparedSymbols[n.Change]), n.Name)
		switch {
		case n.Change != comparison.Changed:
			t.printf(" = %s\n", oneLine(r.Before+r.After))
		case isShort(r.Before) && isShort(r.After):
			t.printf(": %s → %s\n", orNothing(r.Before), orNothing(r.After))
		default:
			t.printf(":\n")
			for _, line := range diffLines(r.Before, r.After, t.mark) {
				t.printf("      %s\n", line)
			}
		}
	}
	t.printf("\n")
}

// ComparisonMarkdown shows how two plans differ as a comment on a pull request, as
// [Markdown] does for a plan.
func ComparisonMarkdown(w io.Writer, c Compared) error {
	out := &comment{}
	out.comparison(c)
	return out.write(w, "The complete comparison is what quern diff prints in a terminal.")
}

func (c *comment) comparison(d Compared) {
	if d.IsEmpty() {
		c.printf("### quern diff: no differences\n\n%s and %s describe the same pipeline.\n", side(d.Before), side(d.After))
		return
	}
	c.printf("### quern diff: %s\n\nFrom %s to %s.\n\n", comparedSummary(d.Comparison), side(d.Before), side(d.After))
	for i, of := range []string{d.Before, d.After} {
		if p := d.Plans[i]; p != nil {
			c.printf("- To apply %s: %s.\n", side(of), work(p))
		}
	}
	var rows []row
	var folds []fold
	for _, s := range d.Stages {
		why, differences := explained(s.Address, append(grouped(s.Reasons), s.Settings...))
		folds = append(folds, differences...)
		for _, column := range s.Columns {
			why = append(why, columnText(column))
		}
		rows = append(rows, row{
			cells:  []string{code(comparedSymbols[s.Change]), code(s.Address), cell(comparedPhrase(s)), cell(strings.Join(why, "; ")), cell(comparedEstimate(s))},
			urgent: s.Change == comparison.Removed,
		})
	}
	c.table("stage", []string{"", "stage", "change", "how", "estimate"}, rows)
	for _, of := range []struct {
		noun string
		all  []*comparison.Named
	}{{"output", d.Outputs}, {"check", d.Checks}, {"variable", d.Variables}, {"plugin", d.Plugins}} {
		folds = append(folds, c.named(of.noun, of.all)...)
	}
	c.folds(merged(folds))
}

// explained returns the texts of reasons, and a fold for each that changes a value.
func explained(address string, reasons []plan.Reason) (why []string, folds []fold) {
	for _, r := range reasons {
		why = append(why, r.Text)
		if isDifference(r) {
			folds = append(folds, difference(address, r.Text, r.Before, r.After))
		}
	}
	return why, folds
}

// named adds a table of what has other values. It returns folds for the long ones.
func (c *comment) named(noun string, all []*comparison.Named) []fold {
	var rows []row
	var folds []fold
	for _, n := range all {
		rows = append(rows, row{cells: []string{code(n.Name), cell(orNothing(n.Before)), cell(orNothing(n.After))}})
		if !isShort(n.Before) || !isShort(n.After) {
			folds = append(folds, difference(n.Name, noun+" changes", n.Before, n.After))
		}
	}
	c.table(noun, []string{noun, "before", "after"}, rows)
	return folds
}

// side shows the name of a revision.
func side(name string) string {
	if name == WorkingFolder {
		return name
	}
	return code(name)
}
