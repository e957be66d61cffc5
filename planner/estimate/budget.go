package estimate

import (
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Budget evaluates the budget in a module's settings.
type Budget struct{ *module.Module }

// Evaluate evaluates the limits in the settings. It returns nil if there are
// none.
func (b Budget) Evaluate() *plan.Budget {
	cfg := b.Config.Settings.Budget
	if cfg == nil {
		return nil
	}
	out := &plan.Budget{Money: b.limit("money", cfg.Money), Seconds: b.limit("seconds", cfg.Seconds)}
	if tokens := b.limit("tokens", cfg.Tokens); tokens != nil {
		n := int64(*tokens)
		out.Tokens = &n
	}
	return out
}

func (b Budget) limit(name string, x hcl.Expression) *float64 {
	if x == nil {
		return nil
	}
	v, ok := b.constant(x, "budget "+name, cty.Number)
	if !ok || v.IsNull() {
		return nil
	}
	f, _ := v.AsBigFloat().Float64()
	if f < 0 {
		b.Report(diag.Errorf(x.Range().Ptr(), "Wrong value for budget "+name, "A budget cannot be negative."))
		return nil
	}
	return &f
}

// constant evaluates an expression of the settings, which may refer to
// variables and locals and must be known.
func (b Budget) constant(x hcl.Expression, what string, want cty.Type) (cty.Value, bool) {
	r := module.RefsOf(x)
	if b.BrokenUpstream(r) {
		return cty.NilVal, false
	}
	return b.Known(x, b.Scope(r), what, want)
}

const secondsOfTime = "seconds of machine time"

// Check refuses a plan whose known cost exceeds the budget, and warns
// if part of the cost is not known.
func (b Budget) Check(p *plan.Plan) {
	if p.Budget == nil {
		return
	}
	if p.Budget.Money != nil {
		b.checkPrices(p)
	}
	subject := b.Config.Settings.Budget.Range
	total := p.Total()
	check := func(what string, limit, sum *float64, unknown int, mayBeKept bool, amount func(float64) string) {
		switch {
		case limit == nil:
		case sum != nil && *sum > *limit && total.Estimated && what != secondsOfTime:
			b.Report(diag.Warningf(&subject, "Plan may exceed the budget", "The plan would take about %s %s, estimated from some of the sources' rows, but the budget is %s. A run that reaches the budget sends no more requests and keeps the answers it has.",
				amount(*sum), what, amount(*limit)))
		case sum != nil && *sum > *limit && mayBeKept:
			b.Report(diag.Warningf(&subject, "Plan may exceed the budget", "The plan would take %s %s if none of its requests had a cached answer, but the budget is %s. A run that reaches the budget sends no more requests and keeps the answers it has.",
				amount(*sum), what, amount(*limit)))
		case sum != nil && *sum > *limit:
			b.Report(diag.Errorf(&subject, "Plan exceeds the budget", "The plan would take %s %s, but the budget is %s. Raise the budget, or plan less with -target.",
				amount(*sum), what, amount(*limit)))
		case unknown > 0:
			b.Report(diag.Warningf(&subject, "Cost is only partly known", "How many %s %s will take is not known and does not count against the budget of %s.",
				what, english.Spell(unknown, "stage"), amount(*limit)))
		}
	}
	var tokens, tokenLimit *float64
	if p.Budget.Tokens != nil {
		f := float64(*p.Budget.Tokens)
		tokenLimit = &f
	}
	if total.Tokens != nil {
		f := float64(*total.Tokens)
		tokens = &f
	}
	check(secondsOfTime, p.Budget.Seconds, total.Seconds, total.SecondsUnknown, false, seconds)
	check("tokens", tokenLimit, tokens, total.TokensUnknown, total.MayBeKept, whole)
	check("units of money", p.Budget.Money, total.Money, total.CostUnknown, total.MayBeKept, llm.FormatMoney)
}

// checkPrices refuses a plan that calls models without a known price, because a
// budget in money could not be enforced.
func (b Budget) checkPrices(p *plan.Plan) {
	said := map[string]bool{}
	for _, s := range b.Stages() {
		for _, n := range s.Instances() {
			m := unpriced(n)
			if m == nil || said[m.Address] || !slices.Contains(p.Nodes, n.Node) || n.Action != plan.Run && n.Action != plan.MayRun {
				continue
			}
			said[m.Address] = true
			b.Report(diag.Errorf(m.Range.Ptr(), "Price is not known", "The budget in money cannot be enforced without the price of %s, which %s calls. Give the model%s a price block: price { input = …, output = … }, in money per million tokens (0 for a model that costs nothing).",
				m.Address, n.Address, wrapping(m)))
		}
	}
}

// wrapping says how to give a model that a stage trained a price.
func wrapping(m *module.Instance) string {
	if m.Model != nil {
		return ""
	}
	return ", in a model block that wraps it,"
}

// unpriced returns a language model without a known price that an instance may
// call, or nil if there is none. A model that also predicts may not be called.
func unpriced(n *module.Instance) *module.Instance {
	for _, in := range module.Artifacts(n.Inputs) {
		if in.Port != nil && in.Port.Model != nil && !in.Port.Predicts() && !in.Port.Model.Priced() {
			return in.From
		}
	}
	return nil
}

func whole(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }

func seconds(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
