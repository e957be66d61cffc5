package contract

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
)

// Fields describes a contract for comparisons: one field for each column that it
// requires, and one for each rule.
func Fields(c *plan.Contract) []plan.Field {
	prefix := "contract "
	if c.Output != "" {
		prefix += "of " + c.Output + ": "
	}
	var fields []plan.Field
	for _, col := range c.Columns {
		fields = append(fields, plan.Field{Name: prefix + "column " + col.Name, Value: col.Type})
	}
	if c.Exact {
		fields = append(fields, plan.Field{Name: prefix + "exact", Value: "true"})
	}
	for i := range c.Rules {
		fields = append(fields, plan.Field{Name: prefix + "rule " + c.Rules[i].Name, Value: describe(&c.Rules[i])})
	}
	return fields
}

// describe returns a rule as people read it, in one line.
func describe(r *plan.Rule) string {
	parts := []string{what(r)}
	if r.MaxShare > 0 {
		parts = append(parts, "max_share = "+strconv.FormatFloat(r.MaxShare, 'g', -1, 64))
	}
	if r.Warn {
		parts = append(parts, `severity = "warn"`)
	}
	if r.Message != "" {
		parts = append(parts, "error_message = "+strconv.Quote(r.Message))
	}
	return strings.Join(parts, ", ")
}

// what returns what a rule requires.
func what(r *plan.Rule) string {
	switch r.Kind {
	case plan.RuleRows, plan.RuleRange:
		return bounds(r)
	case plan.RuleNotNull:
		return "not null"
	case plan.RuleUnique:
		return "unique"
	case plan.RuleAllowed:
		return "allowed = " + value.Format(r.Allowed.Value)
	case plan.RulePattern:
		return "pattern = " + strconv.Quote(r.Pattern)
	case plan.RuleReferences:
		return fmt.Sprintf("references column %s of %s", r.OfColumn, r.Of)
	case plan.RuleFreshness:
		return fmt.Sprintf("latest %s at most %s old", r.Columns[0], english.Duration(r.MaxAge))
	}
	return expr.Readable(r.Condition.Text)
}

func bounds(r *plan.Rule) string {
	var parts []string
	if r.Min != nil {
		parts = append(parts, "min = "+value.Format(r.Min.Value))
	}
	if r.Max != nil {
		parts = append(parts, "max = "+value.Format(r.Max.Value))
	}
	return strings.Join(parts, ", ")
}
