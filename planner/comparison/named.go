package comparison

import (
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
)

// compareNamed compares what two plans have, as texts by name.
func compareNamed(before, after *plan.Plan, texts func(*plan.Plan) map[string]string) []*Named {
	was, is := texts(before), texts(after)
	var out []*Named
	for _, name := range ordered.Keys(union(was, is)) {
		n := &Named{Name: name, Change: Changed, Before: was[name], After: is[name]}
		_, had := was[name]
		_, has := is[name]
		switch {
		case !had:
			n.Change = Added
		case !has:
			n.Change = Removed
		case n.Before == n.After:
			continue
		}
		out = append(out, n)
	}
	return out
}

func outputs(p *plan.Plan) map[string]string {
	texts := map[string]string{}
	for _, o := range p.Outputs {
		switch {
		case o.Action == plan.Delete:
		case o.Sensitive:
			texts[o.Name] = value.Redacted
		case o.Expr != nil:
			texts[o.Name] = expr.Readable(o.Expr.Text)
		}
	}
	return texts
}

func checks(p *plan.Plan) map[string]string {
	texts := map[string]string{}
	for _, c := range p.Checks {
		var conditions []string
		for _, condition := range c.Conditions {
			conditions = append(conditions, expr.Readable(condition.Test.Text)+": "+expr.Readable(condition.Message.Text))
		}
		texts[c.Name] = strings.Join(conditions, "\n")
	}
	return texts
}

func variables(p *plan.Plan) map[string]string {
	texts := map[string]string{}
	for name, v := range p.Variables {
		texts[name] = value.Format(v.Value)
	}
	return texts
}

func plugins(p *plan.Plan) map[string]string {
	texts := map[string]string{}
	for name, plugin := range p.Plugins {
		texts[name] = plugin.Version
	}
	return texts
}
