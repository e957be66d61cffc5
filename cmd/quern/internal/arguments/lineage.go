package arguments

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Lineage is quern lineage.
type Lineage struct {
	Environment
	Variables
	Form
	Downstream Flag[bool]
	Column     Flag[bool]
	Row        Flag[int]
	Calls      Flag[bool]
	Namespace  Flag[string]
	// Subject is an address; with -column, one with a column or value.
	Subject string
	// Chosen is the form of the lineage.
	Chosen string
}

// Flags implements [Set].
func (l *Lineage) Flags() []cli.Flag {
	return flags(l.Environment.flags(), l.Variables.flags(), []cli.Flag{
		declare(&l.Downstream, cli.BoolFlag{Name: "downstream", Usage: "show what was made from the result, in all environments"}),
		declare(&l.Column, cli.BoolFlag{Name: "column", Usage: "show what a column or value came from: -column ADDRESS.NAME"}),
		declare(&l.Row, cli.IntFlag{Name: "row", Usage: "show the rows that row `N` of a dataset came from, counted from 0", Validator: atLeast(0)}),
		declare(&l.Calls, cli.BoolFlag{Name: "calls", Usage: "with -row: show the requests to language models for these rows, too"}),
		l.formatFlag("text", "text, json, mermaid, or openlineage"),
		declare(&l.Namespace, cli.StringFlag{Name: "namespace", Value: "quern", Usage: "the namespace of jobs and datasets in OpenLineage events"}),
		l.Form.flag(),
	})
}

// Parse implements [Set].
func (l *Lineage) Parse(given Positional) hcl.Diagnostics {
	what := instance
	switch {
	case l.Column.Value:
		what = "a column or value, such as label.intent.intent or evaluate.quality.accuracy"
	case l.Row.Given():
		what = "the address of a dataset"
	}
	formats := []string{"text", "json", "mermaid", "openlineage"}
	narrowed := l.Downstream.Value || l.Column.Value || l.Row.Given()
	if narrowed && l.Format.Value != "openlineage" {
		formats = formats[:3]
	}
	chosen, diags := l.In(given.Command, formats)
	l.Chosen = chosen
	diags = all(given.one(&l.Subject, what), exclusive("", &l.Downstream, &l.Column, &l.Row), exclusive("", &l.Column, &l.Row), diags)
	if narrowed && chosen == "openlineage" {
		diags = append(diags, refuse(fmt.Sprintf("%s=openlineage shows a whole lineage", &l.Format), "Omit -downstream, -column, and -row. The events contain the lineage of columns.")...)
	}
	if l.Namespace.Given() && chosen != "openlineage" {
		diags = append(diags, refuse(fmt.Sprintf("%s can only be used with %s=openlineage", &l.Namespace, &l.Format), "")...)
	}
	if l.Calls.Value && !l.Row.Given() {
		diags = append(diags, refuse(fmt.Sprintf("%s can only be used with %s", &l.Calls, &l.Row), "Add the row that the requests were made for: -row=N.")...)
	}
	if !l.Calls.Value && (l.Vars.Given() || l.VarFiles.Given()) {
		diags = append(diags, refuse(fmt.Sprintf("%s and %s can only be used with %s", &l.Vars, &l.VarFiles, &l.Calls), "Otherwise, the lineage does not depend on the configuration.")...)
	}
	return diags
}

// Request is what -calls plans.
func (l *Lineage) Request() Request {
	return Request{Environment: l.Env.Value, Variables: &l.Variables}
}
