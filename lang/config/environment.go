package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
)

var (
	environmentSchema = schema{what: "an environment block", blocks: []blockSchema{{name: "budget"}}}
	budgetSchema      = schema{what: "a budget block", optional: []string{"money", "tokens", "calls", "seconds"}}
	// periodSchema is that of a budget in an environment block.
	periodSchema = schema{what: "the budget of an environment", optional: []string{"per", "money", "tokens", "calls", "seconds"}}

	pers = []string{string(PerRun), string(PerDay), string(PerMonth)}
)

// environment reads the settings of one environment.
func (l *loader) environment(b *hclsyntax.Block) {
	e := &Environment{Name: b.Labels[0], Budgets: map[Per]*Budget{}, Range: b.DefRange()}
	if other := l.m.Settings.Environments[e.Name]; other != nil {
		l.duplicate(b.LabelRanges[0], b.DefRange(), "environment", e.Name, other.Range)
	} else {
		l.m.Settings.Environments[e.Name] = e
	}
	_, blocks := l.content(b.Body, environmentSchema)
	for _, b := range blocks {
		per, ok := l.per(b)
		if !ok {
			continue
		}
		if other := e.Budgets[per]; other != nil {
			l.again(b.DefRange(), "budget per "+string(per), other.Range)
			continue
		}
		e.Budgets[per] = l.budget(b, periodSchema)
		if a := b.Body.Attributes["seconds"]; a != nil && per != PerRun {
			l.add(diag.Errorf(a.NameRange.Ptr(), "Unsupported argument", "Machine time is limited per run. Set seconds in a budget with per = %q.", PerRun))
		}
	}
}

// per returns what a budget in an environment block limits. It is not ok if
// that is invalid, which has been reported.
func (l *loader) per(b *hclsyntax.Block) (per Per, ok bool) {
	a := b.Body.Attributes["per"]
	if a == nil {
		return PerRun, true
	}
	v, ok := l.constant(a, cty.String, "a string")
	if !ok {
		return "", false
	}
	if !slices.Contains(pers, v.AsString()) {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid budget", "per must be %s, not %q.%s", english.Or(pers), v.AsString(), diag.Suggest(v.AsString(), pers)))
		return "", false
	}
	return Per(v.AsString()), true
}

func (l *loader) budget(b *hclsyntax.Block, s schema) *Budget {
	attrs, _ := l.content(b.Body, s)
	return &Budget{
		Money:   expression(attrs["money"]),
		Tokens:  expression(attrs["tokens"]),
		Calls:   expression(attrs["calls"]),
		Seconds: expression(attrs["seconds"]),
		Range:   b.DefRange(),
	}
}

// budgetReferences reports references to undeclared names in the budgets of the
// pipeline and its environments.
func (l *loader) budgetReferences() {
	limits := func(b *Budget) {
		if b != nil {
			l.expressions(inSettings, b.Money, b.Tokens, b.Calls, b.Seconds)
		}
	}
	limits(l.m.Settings.Budget)
	for _, e := range l.m.Settings.Environments {
		for _, b := range e.Budgets {
			limits(b)
		}
	}
}
