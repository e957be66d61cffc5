package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
)

// Text shows a plan to a person.
func Text(w io.Writer, p *plan.Plan, o Options) error {
	t := &text{w: bufio.NewWriter(w), options: o, destroying: p.Destroy}
	t.plan(p)
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("show plan: %w", err)
	}
	return nil
}

type text struct {
	w          *bufio.Writer
	options    Options
	destroying bool // so there is no need to say why things are deleted
}

func (t *text) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

// The colors of actions.
const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

func (t *text) paint(color, s string) string {
	if !t.options.Color || color == "" {
		return s
	}
	return color + s + reset
}

func colorOf(n *plan.Node) string {
	switch symbol(n) {
	case "  +":
		return green
	case "  -", "-/+":
		return red
	case "  ~", "+/-":
		return yellow
	case "  ?", "  =", "  >", "  »":
		return cyan
	}
	return ""
}

func (t *text) plan(p *plan.Plan) {
	if p.RefreshOnly {
		t.drift(p)
		return
	}
	if !p.HasChanges() {
		t.unchanged(p)
		return
	}
	t.legend(p)
	switch {
	case p.Destroy:
		t.printf("quern will destroy everything in environment %q:\n\n", p.Environment)
	case p.Adopts != "":
		t.printf("Environment %q will refer to the results of %s:\n\n", p.Environment, p.Adopts)
	default:
		t.printf("quern will perform these actions in environment %q:\n\n", p.Environment)
	}
	t.moves(p)
	for _, n := range p.Nodes {
		if n.Action != plan.Keep || t.options.Verbose {
			t.node(n)
		}
	}
	t.deferred(p)
	t.outputs(p)
	t.checks(p)
	t.printf("%s %s.\n", t.paint(bold, "Plan:"), Summary(p))
	if all := totals(p); all != "" {
		t.printf("Estimate: %s.\n", all)
	}
	if all := whole(p); all != "" {
		t.printf("The whole pipeline from scratch: %s.\n", all)
	}
	t.scope(p)
}

// moves shows which instances get new addresses.
func (t *text) moves(p *plan.Plan) {
	for _, m := range p.Moves {
		t.printf("    %s has moved to %s\n", t.paint(bold, m.From), t.paint(bold, m.To))
	}
	if len(p.Moves) > 0 {
		t.printf("\n")
	}
}

func (t *text) unchanged(p *plan.Plan) {
	if p.Destroy {
		t.printf("%s Environment %q has nothing to destroy.\n", t.paint(bold+green, "No changes."), p.Environment)
		return
	}
	if p.Adopts != "" {
		t.printf("%s Environment %q already refers to the results of %s.\n", t.paint(bold+green, "No changes."), p.Environment, p.Adopts)
		return
	}
	if p.Since != nil && len(p.Nodes) == 0 {
		t.printf("%s Nothing in the pipeline has changed since %s.\n", t.paint(bold+green, "No changes."), p.Since)
		return
	}
	if p.Since != nil {
		t.printf("%s The environment matches what has changed since %s: %s up to date.\n",
			t.paint(bold+green, "No changes."), p.Since, english.Count(len(p.Nodes), "stage")+" "+english.Agree(len(p.Nodes), "is", "are"))
		return
	}
	t.printf("%s The environment matches the configuration: %s up to date.\n",
		t.paint(bold+green, "No changes."), english.Count(len(p.Nodes), "stage")+" "+english.Agree(len(p.Nodes), "is", "are"))
	if t.options.Verbose {
		t.printf("\n")
		for _, n := range p.Nodes {
			t.node(n)
		}
	}
}

// scope says that a plan covers only a part of the pipeline.
func (t *text) scope(p *plan.Plan) {
	switch {
	case p.Since != nil:
		t.printf("\nThe plan covers only what has changed since %s, what depends on it, and what it depends on.\n", p.Since)
	case p.Partial:
		t.printf("\nThe plan covers only part of the pipeline, because of -target or -exclude.\n")
	}
}

// drift shows what a refresh-only plan found.
func (t *text) drift(p *plan.Plan) {
	if len(p.Nodes) == 0 && len(p.Moves) == 0 {
		t.printf("%s Deployments and sources match the state of environment %q.\n", t.paint(bold+green, "No changes."), p.Environment)
		return
	}
	t.printf("These differ from the state of environment %q:\n\n", p.Environment)
	t.moves(p)
	for _, n := range p.Nodes {
		t.node(n)
	}
	switch {
	case p.HasChanges():
		t.printf("%s %s. Applying this plan updates the state and changes nothing else.\n", t.paint(bold, "Plan:"), Summary(p))
	default:
		t.printf("%s The state needs no update: it records the content of a source when the source is read again.\n", t.paint(bold, "No changes."))
	}
	t.scope(p)
}

// legend explains the symbols that occur in the plan.
func (t *text) legend(p *plan.Plan) {
	meanings := []struct{ symbol, color, text string }{
		{"  +", green, "run for the first time, or create"},
		{"  ~", yellow, "run again, or update"},
		{"+/-", yellow, "replace: create, then delete"},
		{"-/+", red, "replace: delete, then create"},
		{"  -", red, "delete, or forget"},
		{"  »", cyan, "adopt a result; nothing is computed"},
		{"  =", cyan, "reuse a result from the store"},
		{"  ?", cyan, "may run, depending on upstream results"},
		{"  >", cyan, "check"},
		{symbolDeferred, cyan, "plan during the run, when instances are known"},
	}
	used := map[string]bool{symbolDeferred: p.Deferred != nil}
	for _, n := range p.Nodes {
		used[symbol(n)] = true
	}
	first := true
	for _, m := range meanings {
		if !used[m.symbol] {
			continue
		}
		if first {
			t.printf("Symbols show the actions:\n")
			first = false
		}
		t.printf("%s %s\n", t.paint(m.color, m.symbol), m.text)
	}
	if !first {
		t.printf("\n")
	}
}

func (t *text) node(n *plan.Node) {
	head := n.Address
	if n.Type != "" {
		head += " (" + n.Type + ")"
	}
	t.printf("%s %s %s\n", t.paint(colorOf(n), symbol(n)), t.paint(bold, head), phrase(n))
	for _, r := range grouped(n.Reasons) {
		t.reason(r)
	}
	for _, c := range n.Changes {
		t.change(c)
	}
	for _, c := range contracts(n) {
		t.printf("        %s\n", t.paint(faint, c))
	}
	for _, note := range notes(n) {
		t.printf("        %s\n", t.paint(faint, note))
	}
	for _, line := range slices.Concat(adoption(n), n.Differences) {
		t.printf("        %s\n", printable.Text(line))
	}
	if e := estimate(n); e != "" {
		t.printf("        %s\n", t.paint(faint, e))
	}
	t.printf("\n")
}

// notes are what the plugin says about how a stage will work.
func notes(n *plan.Node) (lines []string) {
	if n.Action == plan.Keep || n.Action == plan.Adopt || n.Action == plan.Forget {
		return nil
	}
	for _, note := range n.Notes {
		lines = append(lines, printable.Text(note))
	}
	return lines
}

// contracts says which rules will be checked when there is a result.
func contracts(n *plan.Node) (lines []string) {
	if n.Action == plan.Keep || n.Action == plan.Adopt {
		return nil
	}
	for _, c := range n.Contracts {
		of := ""
		if c.Output != "" {
			of = " of " + c.Output
		}
		lines = append(lines, "contract"+of+": "+english.Count(len(c.Rules), "rule")+" to check")
	}
	return lines
}

func (t *text) reason(r plan.Reason) {
	r = printedReason(r)
	switch r.Code {
	case plan.BecauseNew:
		if r.After != "" {
			t.printf("        %s\n", r.After)
		}
		return
	case plan.BecauseRemoved:
		if t.destroying {
			return
		}
	}
	if r.Code != plan.BecauseArgument || (r.Before == "" && r.After == "") {
		t.printf("        %s\n", indented(r.Text, "        "))
		return
	}
	t.difference(r.Text, r.Before, r.After)
}

// printedReason returns r with text that is safe to print, because it may quote
// data.
func printedReason(r plan.Reason) plan.Reason {
	r.Text, r.Before, r.After = printable.Text(r.Text), printable.Text(r.Before), printable.Text(r.After)
	return r
}

func printedChange(c plan.Change) plan.Change {
	c.Before, c.After = printable.Text(c.Before), printable.Text(c.After)
	return c
}

// grouped merges the reasons for several columns of an input that changed in the
// same way.
func grouped(reasons []plan.Reason) []plan.Reason {
	var out []plan.Reason
	at := map[string]int{}
	for _, r := range reasons {
		input, column, ok := strings.Cut(r.Subject, ".")
		// The column is what comes after the last dot.
		if i := strings.LastIndexByte(r.Subject, '.'); ok {
			input, column = r.Subject[:i], r.Subject[i+1:]
		}
		_, change, found := strings.Cut(r.Text, "column "+column+" of "+input)
		if r.Code != plan.BecauseColumn || !ok || !found {
			out = append(out, r)
			continue
		}
		key := input + change
		i, again := at[key]
		if !again {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		columns := out[i].Before
		if columns == "" {
			columns = out[i].Subject[len(input)+1:]
		}
		columns += ", " + column
		out[i].Before = columns
		out[i].Text = "columns " + columns + " of " + input + strings.Replace(change, " is ", " are ", 1)
	}
	return out
}

// indented indents all lines of a text but the first.
func indented(s, by string) string { return strings.ReplaceAll(s, "\n", "\n"+by) }

func (t *text) change(c plan.Change) {
	c = printedChange(c)
	head := c.Argument + " changes"
	if c.ForcesReplacement {
		head += t.paint(red, " (forces replacement)")
	}
	t.difference(head, c.Before, c.After)
}

// difference shows two values: short ones side by side, long ones word by word.
func (t *text) difference(head, before, after string) {
	if isShort(before) && isShort(after) {
		t.printf("        %s: %s → %s\n", head, orNothing(before), orNothing(after))
		return
	}
	t.printf("        %s:\n", head)
	for _, line := range diffLines(before, after, t.mark) {
		t.printf("            %s\n", line)
	}
}

// mark shows a part of a text that was removed or added.
func (t *text) mark(s string, added bool) string {
	switch {
	case t.options.Color && added:
		return green + s + reset
	case t.options.Color:
		return red + "\x1b[9m" + s + "\x1b[29m" + reset
	}
	return plainMark(s, added)
}

func plainMark(s string, added bool) string {
	if added {
		return "{+" + s + "+}"
	}
	return "[-" + s + "-]"
}

// shortValue is the length in characters up to which a value is shown
// completely.
const shortValue = 60

func isShort(s string) bool { return len(s) <= shortValue && !strings.Contains(s, "\n") }

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}

func (t *text) outputs(p *plan.Plan) {
	shown := false
	for _, o := range p.Outputs {
		if o.Action == plan.Keep {
			continue
		}
		if !shown {
			t.printf("Outputs:\n")
			shown = true
		}
		t.output(o)
	}
	if shown {
		t.printf("\n")
	}
}

// checks shows the checks that fail or wait for results.
func (t *text) checks(p *plan.Plan) {
	shown := false
	for _, c := range p.Checks {
		if c.Status == plan.Pass {
			continue
		}
		if !shown {
			t.printf("Checks:\n")
			shown = true
		}
		if c.Status == plan.Fail {
			t.printf("%s %s fails\n", t.paint(red, "  !"), c.Name)
			continue
		}
		t.printf("%s %s (known after apply)\n", t.paint(cyan, "  ?"), c.Name)
	}
	if shown {
		t.printf("\n")
	}
}

func (t *text) output(o *plan.Output) {
	before, after := outputValues(o)
	switch o.Action {
	case plan.Create:
		t.printf("%s %s = %s\n", t.paint(green, "  +"), o.Name, indented(after, "    "))
	case plan.Delete:
		t.printf("%s %s\n", t.paint(red, "  -"), o.Name)
	case plan.Update:
		t.printf("%s %s = %s → %s\n", t.paint(yellow, "  ~"), o.Name, indented(before, "    "), indented(after, "    "))
	default:
		t.printf("%s %s = %s\n", t.paint(cyan, "  ?"), o.Name, after)
	}
}

// outputValues returns an output's values as people see them.
func outputValues(o *plan.Output) (before, after string) {
	before, after = "(nothing)", "(known after apply)"
	if o.Before != nil {
		before = value.Format(o.Before.Value)
	}
	if o.Expr != nil && len(o.Expr.Refs) == 0 {
		after = o.Expr.Text
	}
	if o.Sensitive {
		before, after = value.Redacted, value.Redacted
	}
	return before, after
}
