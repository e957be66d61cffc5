package arguments

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/ui/report"
)

// Show is quern show.
type Show struct {
	Environment
	Variables
	Form
	Row      Flag[int]
	Stage    Flag[string]
	Failures Flag[bool]
	Diff     Flag[string]
	Rows     Flag[int]
	// Subject is what to show: an address, the file of a saved plan, or "".
	Subject string
	// Other is the second subject of -diff.
	Other string

	command string
}

// Flags implements [Set].
func (s *Show) Flags() []cli.Flag {
	return flags(s.Environment.flags(), s.Variables.flags(), []cli.Flag{
		s.Form.flag(),
		s.formatFlag("text", "for a saved plan: text, json, or markdown; for an evaluation: also csv or junit"),
		declare(&s.Row, cli.IntFlag{Name: "row", Usage: "for a prompt: the row to fill it in with, counted from 0", Validator: atLeast(0)}),
		declare(&s.Stage, cli.StringFlag{Name: "stage", Usage: "for a prompt: the stage that uses it (default: the first)"}),
		declare(&s.Failures, cli.BoolFlag{Name: "failures", Usage: "for an evaluation: show only the answers that failed"}),
		declare(&s.Diff, cli.StringFlag{Name: "diff", Usage: "for an evaluation: -diff `A` B shows the rows that only one of two subjects passes"}),
		declare(&s.Rows, cli.IntFlag{Name: "rows", Usage: "for an evaluation: show at most `N` answers; 0 shows all", Value: 20, Validator: atLeast(0)}),
	})
}

// Parse implements [Set].
func (s *Show) Parse(given Positional) hcl.Diagnostics {
	s.command = given.Command
	diags := all(s.parseSubject(given), exclusive("", &s.Failures, &s.Diff))
	if s.Diff.Given() && s.Format.Value == "junit" {
		diags = append(diags, refuse(fmt.Sprintf("%s and %s=junit cannot be combined", &s.Diff, &s.Format), fmt.Sprintf("Use %s=text, markdown, csv, or json.", &s.Format))...)
	}
	return diags
}

// parseSubject splits the arguments of -diff A B, because the command line
// treats B as a positional argument.
func (s *Show) parseSubject(given Positional) hcl.Diagnostics {
	if !s.Diff.Given() {
		return given.optional(&s.Subject, "at most one address or saved plan")
	}
	at := slices.IndexFunc(given.Given, func(text string) bool { return strings.HasPrefix(text, "evaluate.") })
	if len(given.Given) != 2 || at < 0 {
		return refuse("-diff needs an evaluation and two subjects", "For example: quern show evaluate.NAME -diff A B")
	}
	s.Subject, s.Other = given.Given[at], given.Given[1-at]
	return nil
}

// Shown is a kind of thing that quern show can show.
type Shown int

// The things that quern show can show.
const (
	ShownState Shown = iota // or one instance in it
	ShownPlan
	ShownPrompt
	ShownEvaluation
)

// shownFormats are the formats of each.
var shownFormats = map[Shown][]string{
	ShownState:      {"text", "json"},
	ShownPlan:       PlanFormats,
	ShownPrompt:     {"text", "json"},
	ShownEvaluation: {"text", "markdown", "csv", "json", "junit"},
}

// For returns the format of what is shown, and rejects flags that do not apply
// to it.
func (s *Show) For(what Shown) (format string, diags hcl.Diagnostics) {
	refuseUnless := func(is bool, name, example string, options ...option) {
		for _, o := range options {
			if !is && o.inUse() {
				diags = append(diags, refuse(fmt.Sprintf("%s can only be used with %s", o.Name(), name), "For example: quern show "+example)...)
			}
		}
	}
	refuseUnless(what == ShownPrompt, "a prompt", "prompt.NAME -row=3", &s.Row, &s.Stage)
	refuseUnless(what == ShownEvaluation, "an evaluation", "evaluate.NAME -failures", &s.Failures, &s.Diff, &s.Rows)
	format, more := s.In(s.command, shownFormats[what])
	return format, append(diags, more...)
}

// Report is quern report.
type Report struct {
	Environment
	Out     Flag[string]
	Rows    Flag[int]
	Address string
}

// Flags implements [Set].
func (r *Report) Flags() []cli.Flag {
	return flags(r.Environment.flags(), []cli.Flag{
		declare(&r.Out, cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write to `FILE` (default: ADDRESS.html)"}),
		declare(&r.Rows, cli.IntFlag{Name: "rows", Value: report.DefaultRows, Usage: "embed the answers of at most the first `N` rows", Validator: atLeast(1)}),
	})
}

// Parse implements [Set].
func (r *Report) Parse(given Positional) hcl.Diagnostics {
	return given.one(&r.Address, instance)
}

// instance describes an argument.
const instance = "the address of an instance"

// Output is quern output.
type Output struct {
	Environment
	Document
	Raw  Flag[bool]
	Name string
}

// Flags implements [Set].
func (o *Output) Flags() []cli.Flag {
	return flags(o.Environment.flags(), []cli.Flag{
		declare(&o.Raw, cli.BoolFlag{Name: "raw", Usage: "print a string, number, or bool without quotes, for scripts"}),
		o.Document.flag(),
	})
}

// Parse implements [Set].
func (o *Output) Parse(given Positional) hcl.Diagnostics {
	return all(given.optional(&o.Name, "at most one name"), exclusive("", &o.Raw, &o.JSON))
}

// Request returns the request for the plan that a prompt is shown in.
func (s *Show) Request() Request {
	return Request{Environment: s.Env.Value, Variables: &s.Variables}
}

// Graph is quern graph.
type Graph struct {
	Environment
	Variables
	Form
	Refresh Flag[bool]
	// Chosen is the form of the graph.
	Chosen string
}

// Flags implements [Set].
func (g *Graph) Flags() []cli.Flag {
	return flags(g.Environment.flags(), g.Variables.flags(), []cli.Flag{
		g.formatFlag("dot", "dot, mermaid, or json"),
		declare(&g.Refresh, cli.BoolFlag{Name: "refresh", Usage: "refresh sources and deployments first"}),
		g.Form.flag(),
	})
}

// Parse implements [Set].
func (g *Graph) Parse(given Positional) hcl.Diagnostics {
	chosen, diags := g.In(given.Command, []string{"dot", "mermaid", "json"})
	g.Chosen = chosen
	return all(given.none(), diags)
}

// Request returns the request for the plan.
func (g *Graph) Request() Request {
	return Request{Environment: g.Env.Value, Variables: &g.Variables, Refresh: g.Refresh.Value}
}

// Why is quern why.
type Why struct {
	Environment
	Variables
	Document
	Refresh Flag[bool]
	Address addr.Instance
}

// Flags implements [Set].
func (w *Why) Flags() []cli.Flag {
	return flags(w.Environment.flags(), w.Variables.flags(), []cli.Flag{
		declare(&w.Refresh, cli.BoolFlag{Name: "refresh", Value: true, Usage: "refresh sources and deployments first"}),
		w.Document.flag(),
	})
}

// Parse implements [Set].
func (w *Why) Parse(given Positional) hcl.Diagnostics {
	var text string
	if diags := given.one(&text, instance); diags.HasErrors() {
		return diags
	}
	parsed, diags := parseAddress(text)
	w.Address = parsed
	return diags
}

// Request returns the request for the plan.
func (w *Why) Request() Request {
	return Request{Environment: w.Env.Value, Variables: &w.Variables, Refresh: w.Refresh.Value}
}

// Console is quern console.
type Console struct {
	Environment
	Variables
	Document
	Eval Flag[string]
}

// Flags implements [Set].
func (c *Console) Flags() []cli.Flag {
	return flags(c.Environment.flags(), c.Variables.flags(), []cli.Flag{
		declare(&c.Eval, cli.StringFlag{Name: "eval", Usage: "evaluate `EXPRESSION` and exit"}), c.Document.flag(),
	})
}

// Parse implements [Set].
func (c *Console) Parse(given Positional) hcl.Diagnostics { return given.none() }

// Request returns the request for the plan that expressions are evaluated in.
func (c *Console) Request() Request {
	return Request{Environment: c.Env.Value, Variables: &c.Variables}
}

// Log is quern log.
type Log struct {
	Environment
	Document
	N     Flag[int]
	Costs Flag[bool]
	Run   string
}

// Flags implements [Set].
func (l *Log) Flags() []cli.Flag {
	return append(l.Environment.flags(), l.Document.flag(),
		declare(&l.Costs, cli.BoolFlag{Name: "costs", Usage: "compare what runs took with their estimates"}),
		declare(&l.N, cli.IntFlag{Name: "n", Value: 20, Usage: "list the last `N` runs; 0 lists all", Validator: atLeast(0)}))
}

// Parse implements [Set].
func (l *Log) Parse(given Positional) hcl.Diagnostics {
	diags := given.optional(&l.Run, "at most one run")
	if l.Run != "" && l.N.Given() {
		diags = append(diags, refuse(l.N.Name()+" cannot be used with a run", "It limits the list of runs. A run that is named is shown as a whole.")...)
	}
	return diags
}
