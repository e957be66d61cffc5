package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/planner/plan"
)

// Markdown shows a plan as a comment on a pull request: a table of the changes,
// followed by everything that is longer than a line.
func Markdown(w io.Writer, p *plan.Plan) error {
	b := bufio.NewWriter(w)
	markdown(b, p)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write plan as Markdown: %w", err)
	}
	return nil
}

func markdown(w *bufio.Writer, p *plan.Plan) {
	if p.RefreshOnly && len(p.Nodes) == 0 && len(p.Moves) == 0 {
		fmt.Fprintf(w, "### quern plan: no drift\n\nDeployments and sources match the state of environment `%s`.\n", p.Environment)
		return
	}
	if !p.RefreshOnly && !p.HasChanges() {
		fmt.Fprintf(w, "### quern plan: no changes\n\nEnvironment `%s` matches the configuration.\n", p.Environment)
		return
	}
	fmt.Fprintf(w, "### quern plan: %s\n\nEnvironment `%s`.", Summary(p), p.Environment)
	if all := totals(p); all != "" {
		fmt.Fprintf(w, " Estimate: %s.", all)
	}
	fmt.Fprint(w, "\n\n| | stage | action | why | estimate |\n| --- | --- | --- | --- | --- |\n")
	for _, n := range p.Nodes {
		if n.Action == plan.Keep && !p.RefreshOnly {
			continue
		}
		fmt.Fprintf(w, "| `%s` | `%s` | %s | %s | %s |\n",
			strings.TrimSpace(symbol(n)), strings.ReplaceAll(n.Address, "|", `\|`), phrase(n), cell(whyText(n)), cell(estimate(n)))
	}
	markdownDeferred(w, p)
	markdownMoves(w, p)
	markdownOutputs(w, p)
	markdownChecks(w, p)
	markdownDetails(w, p)
}

// whyText returns a node's reasons in one line.
func whyText(n *plan.Node) string {
	var parts []string
	for _, r := range n.Reasons {
		parts = append(parts, r.Text)
	}
	for _, c := range n.Changes {
		parts = append(parts, c.Argument+" changes")
	}
	return strings.Join(parts, "; ")
}

// cell escapes a text for a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "`", "\\`").Replace(printable.Text(s))
}

func markdownMoves(w *bufio.Writer, p *plan.Plan) {
	if len(p.Moves) == 0 {
		return
	}
	fmt.Fprint(w, "\n| moved from | to |\n| --- | --- |\n")
	for _, m := range p.Moves {
		fmt.Fprintf(w, "| `%s` | `%s` |\n", strings.ReplaceAll(m.From, "|", `\|`), strings.ReplaceAll(m.To, "|", `\|`))
	}
}

func markdownOutputs(w *bufio.Writer, p *plan.Plan) {
	shown := false
	for _, o := range p.Outputs {
		if o.Action == plan.Keep {
			continue
		}
		if !shown {
			fmt.Fprint(w, "\n| output | before | after |\n| --- | --- | --- |\n")
			shown = true
		}
		before, after := outputValues(o)
		if o.Action == plan.Delete {
			after = "(nothing)"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", o.Name, cell(before), cell(after))
	}
}

func markdownChecks(w *bufio.Writer, p *plan.Plan) {
	words := map[plan.CheckStatus]string{plan.Fail: "fails", plan.Unknown: "(known after apply)"}
	shown := false
	for _, c := range p.Checks {
		if c.Status == plan.Pass {
			continue
		}
		if !shown {
			fmt.Fprint(w, "\n| check | |\n| --- | --- |\n")
			shown = true
		}
		fmt.Fprintf(w, "| `%s` | %s |\n", c.Name, words[c.Status])
	}
}

func markdownDetails(w *bufio.Writer, p *plan.Plan) {
	for _, n := range p.Nodes {
		for _, r := range n.Reasons {
			if r.Code == plan.BecauseArgument && (r.Before != "" || r.After != "") {
				markdownDiff(w, n.Address+": "+r.Text, r.Before, r.After)
			}
		}
		for _, c := range n.Changes {
			markdownDiff(w, n.Address+": "+c.Argument+" changes", c.Before, c.After)
		}
	}
}

func markdownDiff(w *bufio.Writer, title, before, after string) {
	text := orNothing(before) + " → " + orNothing(after)
	if !isShort(before) || !isShort(after) {
		text = strings.Join(diffLines(before, after, plainMark), "\n")
	}
	fmt.Fprintf(w, "\n<details><summary>%s</summary>\n\n%s\n</details>\n", cell(title), fenced(text))
}

// fenced puts a text into a code block that nothing in the text can close.
func fenced(s string) string {
	s = printable.Text(s)
	fence := "```"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fence + "text\n" + s + "\n" + fence + "\n"
}
