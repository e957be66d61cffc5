package decode

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/secrets"
	"github.com/quern-dev/quern/sdk/go/data"
)

// row compiles a row expression.
func (a *argument) row(e hclsyntax.Expression) *plan.Arg {
	of := a.inputs[a.Rows]
	if of == nil {
		// The dataset has an error of its own or is missing.
		if !a.diags.HasErrors() && !a.skip && !a.starved && !a.stage.Flawed() {
			a.errorf(e.Range(), "No dataset for this row expression", "The argument %q is evaluated for each row of the argument %q, which is not set.", a.Name, a.Rows)
		}
		a.skip = true
		a.diags = append(a.diags, expr.CheckBlind(e, valueScope(a.scope))...)
		return nil
	}
	s := rowScope(a.scope, of)
	s.Late = a.LateNames
	if name := a.impureLocal(e); name != "" {
		return nil
	}
	c, diags := expr.Compile(e, s, a.Element)
	a.diags = append(a.diags, diags...)
	if diags.HasErrors() {
		return nil
	}
	if c.Exposes() {
		a.errorf(e.Range(), "Secret in a result", "The argument %q has a value for each row, which may be stored with the results, and this value contains %s. Compare with the secret (==), or use a hash of it, such as sha256(…). If the value is not secret here, wrap it in nonsensitive(…).", a.Name, diag.List(secrets.Names(c.Secrets)))
		return nil
	}
	a.checkDepends(e, of)
	row := &plan.RowArg{Expr: c, Of: a.Rows, Late: len(a.LateNames) > 0}
	if len(c.Refs) > 0 {
		row.Schema = pickColumns(of.Port.Columns, c.Columns)
	}
	return &plan.Arg{Row: row}
}

// checkDepends reports a row expression that is the same for every row, because
// it is easy to write a column's name in place of the column.
func (a *argument) checkDepends(e hclsyntax.Expression, of *module.Handle) {
	names := append(ordered.Keys(a.LateNames), "row")
	if a.Element == cty.Bool || expr.Mentions(e, names...) {
		return
	}
	meant, isColumn := meantColumn(e, a.scope, of.Port.Columns)
	switch {
	case !a.Constant:
		a.errorf(e.Range(), "Expression does not depend on row", "%s does not depend on %s, so it is the same for every row of %s.%s",
			a.Name, english.Or(names), of, meant)
	case isColumn:
		a.diags = append(a.diags, diag.Warningf(e.Range().Ptr(), "Expression does not depend on row", "This text is the same for every row, but it is also the name of a column of %s.%s", of, meant))
	}
}

// meantColumn suggests a column in place of a constant text. isColumn reports
// whether the text is the name of a column.
func meantColumn(e hclsyntax.Expression, sc *module.Scope, columns data.Schema) (suggestion string, isColumn bool) {
	v, diags := e.Value(sc.Values)
	if v, _ = v.Unmark(); diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	name := strings.TrimPrefix(v.AsString(), "row.")
	if _, _, ok := columns.Lookup(name); ok {
		return fmt.Sprintf(" Did you mean %s?", expr.RowColumn(name)), true
	}
	if closest := diag.Closest(expr.RowColumn(name), rowNames(columns)); closest != "" {
		return fmt.Sprintf(" Did you mean %s?", closest), false
	}
	return "", false
}

func rowNames(columns data.Schema) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = expr.RowColumn(c.Name)
	}
	return names
}

// impureLocal reports a local that contains the result of an impure function.
func (a *argument) impureLocal(e hclsyntax.Expression) string {
	if len(a.stage.Refs.Locals) == 0 {
		return ""
	}
	r := module.RefsOf(e)
	for _, name := range r.Locals {
		if l := a.Local(name); l != nil && l.Impure {
			a.errorf(e.Range(), "Value is not reproducible",
				"local.%s comes from a function that returns a different result on every call, so nothing computed from it could be reused. Pass the value in through a variable instead.", name)
			return name
		}
	}
	return ""
}

func pickColumns(all data.Schema, names []string) data.Schema {
	picked := data.Schema{}
	for _, name := range names {
		if c, _, ok := all.Lookup(name); ok {
			picked = append(picked, c)
		}
	}
	return picked
}
