package contract

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
)

// Finding is a rule with what a check found about it.
type Finding struct {
	*plan.Rule
	Figure
	// Share is Violations/Rows, or 0 if there are no rows.
	Share    float64
	Violated bool
	// why is a clause such as "2 of 5 rows (40%) are null".
	why string
}

// Judge decides which rules of a contract are violated. rows is the number of rows
// of the dataset. now is the time that the freshness of data is measured at.
func Judge(c *plan.Contract, figures []Figure, rows int64, now time.Time) []Finding {
	found := make(map[string]Figure, len(figures))
	for _, f := range figures {
		found[f.Rule] = f
	}
	all := make([]Finding, len(c.Rules))
	for i := range c.Rules {
		f := Finding{Rule: &c.Rules[i], Figure: found[c.Rules[i].Name]}
		switch f.Kind {
		case plan.RuleRows:
			f.judgeRows(rows)
		case plan.RuleFreshness:
			f.judgeFreshness(now)
		default:
			f.judgeShare()
		}
		all[i] = f
	}
	return all
}

func (f *Finding) judgeRows(rows int64) {
	f.Rows = rows
	has := "it has " + english.Count(rows, "row")
	switch n := cty.NumberIntVal(rows); {
	case f.Min != nil && n.LessThan(f.Min.Value).True():
		f.why = has + ", but needs at least " + value.Format(f.Min.Value)
	case f.Max != nil && n.GreaterThan(f.Max.Value).True():
		f.why = has + ", but may have at most " + value.Format(f.Max.Value)
	}
	f.Violated = f.why != ""
}

// judgeFreshness also rejects a time far in the future, which would hide that all other
// data is old.
func (f *Finding) judgeFreshness(now time.Time) {
	latest, err := time.Parse(time.RFC3339Nano, f.Latest)
	age := now.Sub(latest)
	is := fmt.Sprintf("the latest %s is %s, ", f.Columns[0], f.Latest)
	switch {
	case err != nil:
		f.why = "no row has a value in " + f.Columns[0]
	case age > f.MaxAge:
		f.why = is + english.Duration(age) + " before the plan, and may be at most " + english.Duration(f.MaxAge) + " old"
	case -age > f.MaxAge:
		f.why = is + english.Duration(-age) + " after the plan, so it does not show how old the data is"
	}
	f.Violated = f.why != ""
}

func (f *Finding) judgeShare() {
	if f.Rows > 0 {
		f.Share = float64(f.Violations) / float64(f.Rows)
	}
	f.Violated = f.Share > f.MaxShare
	f.why = fmt.Sprintf("%s of %s (%s) %s", english.Number(f.Violations), english.Count(f.Rows, f.unit()), percent(f.Share), f.predicate())
	if f.MaxShare > 0 {
		f.why += ", and at most " + percent(f.MaxShare) + " may"
	}
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'g', 3, 64) + "%" }

// unit is what the rule counts.
func (f *Finding) unit() string {
	switch f.Kind {
	case plan.RuleNotNull, plan.RuleUnique, plan.RuleCondition:
		return "row"
	}
	return "value"
}

// predicate says what the violations do, after their number.
func (f *Finding) predicate() string {
	one := func(single, several string) string { return english.Agree(f.Violations, single, several) }
	switch f.Kind {
	case plan.RuleNotNull:
		return one("is", "are") + " null in " + f.Columns[0]
	case plan.RuleUnique:
		return one("has", "have") + " the same " + english.And(f.Columns) + " as another row"
	case plan.RuleRange:
		return "of " + f.Columns[0] + " " + one("is", "are") + " " + f.outside()
	case plan.RuleAllowed:
		return "of " + f.Columns[0] + " " + one("is", "are") + " not one of " + shortened(value.Format(f.Allowed.Value))
	case plan.RulePattern:
		return "of " + f.Columns[0] + " " + one("does", "do") + " not match " + strconv.Quote(f.Pattern)
	case plan.RuleReferences:
		return "of " + f.Columns[0] + " " + one("does", "do") + " not exist in column " + f.OfColumn + " of " + f.Of.String()
	}
	return one("does", "do") + " not meet the condition " + shortened(expr.Readable(f.Condition.Text))
}

func (f *Finding) outside() string {
	switch {
	case f.Min == nil:
		return "greater than " + value.Format(f.Max.Value)
	case f.Max == nil:
		return "less than " + value.Format(f.Min.Value)
	}
	return "not between " + value.Format(f.Min.Value) + " and " + value.Format(f.Max.Value)
}

// longest is the length of a value in a message, in bytes.
const longest = 200

func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// Diagnose returns an error or a warning for each rule that is violated by a dataset
// of the instance with that address in an environment.
func Diagnose(findings []Finding, environment, address string, c *plan.Contract) hcl.Diagnostics {
	dataset := (&plan.Input{Address: address, Port: c.Output}).String()
	violations := addr.Argument((&plan.Input{Address: address, Port: c.Violations()}).String())
	var diags hcl.Diagnostics
	for i := range findings {
		f := &findings[i]
		if !f.Violated {
			continue
		}
		report := diag.Errorf
		if f.Warn {
			report = diag.Warningf
		}
		diags = append(diags, report(f.Rule.Range.Ptr(), "Contract violated", "%s", f.detail(dataset, environment, violations)))
	}
	return diags
}

func (f *Finding) detail(dataset, environment, violations string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s violates the rule %q: %s.", dataset, f.Name, f.why)
	if f.Message != "" {
		text.WriteString(" " + f.Message)
	}
	if len(f.First) == 0 {
		return text.String()
	}
	text.WriteString("\n\nThe first rows, counted from 0:\n")
	for _, s := range f.First {
		fmt.Fprintf(&text, "  row %d: %s\n", s.Row, s.Values)
	}
	fmt.Fprintf(&text, "\nTo see them all, run: quern artifact show -env=%s %s", environment, violations)
	return text.String()
}
