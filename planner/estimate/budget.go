package estimate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/history"
)

// Budget evaluates the budgets in a module's settings and compares them with
// plans.
type Budget struct {
	*module.Module
	Environment string
	// Runs are the records of what earlier runs have spent. It may be nil.
	Runs *history.Store
}

// Evaluate evaluates the limits in the settings: those of the environment, and
// those of the pipeline unless the environment has its own for a run. It returns
// nil if there are none.
func (b Budget) Evaluate(now time.Time) *plan.Budget {
	var out *plan.Budget
	if cfg := b.perRun(); cfg != nil {
		out = &plan.Budget{
			Money: b.limit("money", cfg.Money), Tokens: whole(b.limit("tokens", cfg.Tokens)), Calls: whole(b.limit("calls", cfg.Calls)),
			Seconds: b.limit("seconds", cfg.Seconds),
		}
	}
	e := b.Config.Settings.Environments[b.Environment]
	if e == nil {
		return out
	}
	for _, per := range []config.Per{config.PerDay, config.PerMonth} {
		cfg := e.Budgets[per]
		if cfg == nil {
			continue
		}
		if out == nil {
			out = &plan.Budget{}
		}
		p := plan.PeriodBudget{
			Per: string(per), Money: b.limit("money", cfg.Money), Tokens: whole(b.limit("tokens", cfg.Tokens)), Calls: whole(b.limit("calls", cfg.Calls)),
		}
		b.addSpent(&p, cfg.Range, now)
		out.Periods = append(out.Periods, p)
	}
	return out
}

// perRun returns the budget of a run, or nil if there is none.
func (b Budget) perRun() *config.Budget {
	if e := b.Config.Settings.Environments[b.Environment]; e != nil && e.Budgets[config.PerRun] != nil {
		return e.Budgets[config.PerRun]
	}
	return b.Config.Settings.Budget
}

// addSpent adds what the environment has spent in the present period.
func (b Budget) addSpent(p *plan.PeriodBudget, at hcl.Range, now time.Time) {
	if b.Runs == nil {
		return
	}
	spent, err := b.Runs.Spent(b.Environment, p.Began(now))
	if err != nil {
		b.Report(diag.Errorf(&at, "The budget cannot be enforced", "What environment %q has spent %s is not known: %s.", b.Environment, p.Name(), err))
	}
	p.Spent = spent
}

func whole(f *float64) *int64 {
	if f == nil {
		return nil
	}
	n := int64(*f)
	return &n
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

// Check refuses a plan whose known cost exceeds a budget, and warns if part of
// the cost is not known.
func (b Budget) Check(p *plan.Plan) {
	if p.LimitsMoney() {
		b.checkPrices(p)
		b.checkPayments(p)
	}
	b.checkStages(p)
	if p.Budget == nil {
		return
	}
	total := p.Total()
	if cfg := b.perRun(); cfg != nil {
		b.compare("The plan", p.Budget, total, cfg.Range)
	}
	for _, period := range p.Budget.Periods {
		cfg := b.Config.Settings.Environments[b.Environment].Budgets[config.Per(period.Per)]
		left := &plan.Budget{}
		if period.Money != nil {
			money := *period.Money - period.Spent.Cost
			left.Money = &money
		}
		if period.Tokens != nil {
			tokens := *period.Tokens - period.Spent.Tokens()
			left.Tokens = &tokens
		}
		if period.Calls != nil {
			calls := *period.Calls - period.Spent.Calls
			left.Calls = &calls
		}
		b.compare(fmt.Sprintf("Environment %q may not spend more than its budget %s. The plan", b.Environment, period.Name()), left, total, cfg.Range)
	}
}

// checkStages compares stages with budgets of their own.
func (b Budget) checkStages(p *plan.Plan) {
	for _, n := range p.Nodes {
		if n.Budget == nil {
			continue
		}
		only := plan.Plan{Nodes: []*plan.Node{n}}
		at := n.Range.Ptr()
		if a, err := addr.Parse(n.Address); err == nil {
			if s := b.Stage(a.Stage); s != nil && s.Config.Budget != nil {
				at = &s.Config.Budget.Range
			}
		}
		b.compare(n.Address, n.Budget, only.Total(), *at)
	}
}

// resource is something that a budget limits.
type resource struct {
	noun        string // what stages need: "machine time"
	verb, units string // what a plan would do: "take" 3 " seconds of machine time"
	limit       string // the unit of the budget: " seconds"
	amount      func(float64) string
}

func (r *resource) would(amount string) string { return r.verb + " " + amount + r.units }

var (
	timeLimit  = &resource{"machine time", "take", " seconds of machine time", " seconds", seconds}
	tokenLimit = &resource{"number of tokens", "take", " tokens", " tokens", digits}
	callLimit  = &resource{"number of calls", "take", " calls", " calls", digits}
	moneyLimit = &resource{"cost", "cost", "", "", llm.FormatMoney}
)

// UnknownTime is the summary of the warning about stages whose time is not known. It
// says nothing about what a test runs.
const UnknownTime = "Time is only partly known"

// compare compares what who would take with a budget.
func (b Budget) compare(who string, limits *plan.Budget, total plan.Total, subject hcl.Range) {
	check := func(of *resource, limit, sum *float64, unknown int, mayBeKept bool) {
		switch {
		case limit == nil:
		case sum != nil && *sum > *limit && (total.Estimated || total.RowsAtMost) && of != timeLimit:
			b.Report(diag.Warningf(&subject, "Plan may exceed the budget", "%s would %s, estimated from some of the sources' rows, but the budget is %s. A run that reaches the budget sends no more requests and keeps the answers it has.",
				who, of.would("about "+of.amount(*sum)), of.amount(*limit)))
		case sum != nil && *sum > *limit && mayBeKept:
			b.Report(diag.Warningf(&subject, "Plan may exceed the budget", "%s would %s if none of its requests had a cached answer, but the budget is %s. A run that reaches the budget sends no more requests and keeps the answers it has.",
				who, of.would(of.amount(*sum)), of.amount(*limit)))
		case sum != nil && *sum > *limit:
			b.Report(diag.Errorf(&subject, "Plan exceeds the budget", "%s would %s, but the budget is %s. Raise the budget, or plan less with -target.",
				who, of.would(of.amount(*sum)), of.amount(*limit)))
		case unknown > 0:
			summary := "Cost is only partly known"
			if of == timeLimit {
				summary = UnknownTime
			}
			b.Report(diag.Warningf(&subject, summary, "The %s of %s is not known yet, so it does not count against the budget of %s%s.",
				of.noun, english.Spell(unknown, "stage"), of.amount(*limit), of.limit))
		}
	}
	check(timeLimit, limits.Seconds, total.Seconds, total.Change.Missing.Seconds, false)
	check(tokenLimit, float(limits.Tokens), float(total.Tokens), total.Change.Missing.Tokens, total.MayBeKept)
	check(callLimit, float(limits.Calls), float(total.Calls), total.Change.Missing.Calls, total.MayBeKept)
	check(moneyLimit, limits.Money, total.Money, total.Change.Missing.Money, total.MayBeKept)
}

func float(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

// checkPayments refuses a plan that pays for something other than calls of models
// whose price is not known.
func (b Budget) checkPayments(p *plan.Plan) {
	for _, n := range p.Nodes {
		if n.Payment == nil || n.Payment.Unpriced == "" || n.Pending != nil || !n.Computes() || !p.Budget.LimitsMoney() && !n.Budget.LimitsMoney() {
			continue
		}
		b.Report(diag.Errorf(n.Range.Ptr(), "Price is not known", "The budget in money cannot be enforced, because it is not known what %s will cost. %s", n.Address, n.Payment.Unpriced))
	}
}

// checkPrices refuses a plan that calls models without a known price, because a
// budget in money could not be enforced.
func (b Budget) checkPrices(p *plan.Plan) {
	said := map[string]bool{}
	for _, s := range b.Stages() {
		for _, n := range s.Instances() {
			m := unpriced(n)
			if m == nil || said[m.Address] || !slices.Contains(p.Nodes, n.Node) || n.Action != plan.Run && n.Action != plan.MayRun || !p.Budget.LimitsMoney() && !n.Budget.LimitsMoney() {
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

func digits(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }

func seconds(f float64) string { return strconv.FormatFloat(math.Round(10*f)/10, 'f', -1, 64) }
