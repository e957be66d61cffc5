package terms

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
)

// containsNull reports whether a collection contains null.
func containsNull(v cty.Value) bool {
	null := false
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		null = null || v.IsKnown() && v.IsNull()
		return !null, nil
	})
	return null
}

// rows adds the rule about the number of rows.
func (c *compiler) rows() {
	e := c.cfg.Rows
	if e == nil {
		return
	}
	const as = "an object with min, max, or both: { min = 1, max = 1000000 }"
	v, ok := c.value(e, "rows", cty.DynamicPseudoType, as)
	if !ok {
		return
	}
	r := plan.Rule{Name: "rows", Kind: plan.RuleRows, Warn: c.warn}
	good := v.Type().IsObjectType() && v.LengthInt() > 0
	if good {
		for name, bound := range v.AsValueMap() {
			n, err := convert.Convert(bound, cty.Number)
			whole := err == nil && n.IsKnown() && !n.IsNull() && n.AsBigFloat().IsInt() && n.AsBigFloat().Sign() >= 0
			switch {
			case whole && name == "min":
				r.Min = &value.Value{Value: n}
			case whole && name == "max":
				r.Max = &value.Value{Value: n}
			default:
				good = false
			}
		}
	}
	if !good {
		c.errorf(e.Range().Ptr(), "Wrong value for rows", "rows must be %s. Both are whole numbers.", as)
		return
	}
	c.ordered(r.Min, r.Max, e.Range())
	c.add(r, e.Range())
}

// ordered reports bounds that no value is between.
func (c *compiler) ordered(low, high *value.Value, at hcl.Range) {
	if low != nil && high != nil && low.Type() == cty.Number && high.LessThan(low.Value).True() {
		c.errorf(&at, "Empty range", "min is greater than max, so nothing is between them.")
	}
}

func (c *compiler) notNull() {
	e := c.cfg.NotNull
	v, ok := c.value(e, "not_null", cty.List(cty.String), "a list of columns: [\"text\", \"label\"]")
	if !ok {
		return
	}
	for _, name := range v.AsValueSlice() {
		if col, ok := c.column(name.AsString(), e.Range()); ok {
			c.add(plan.Rule{Name: "not_null " + col.Name, Kind: plan.RuleNotNull, Columns: []string{col.Name}, Warn: c.warn}, e.Range())
		}
	}
}

// unique adds the rules about unique columns: a list of columns that are each
// unique, and of lists of columns that are unique together.
func (c *compiler) unique() {
	e := c.cfg.Unique
	const as = "a list of columns, or of lists of columns that are unique together: [\"id\", [\"user\", \"day\"]]"
	v, ok := c.value(e, "unique", cty.DynamicPseudoType, as)
	if !ok {
		return
	}
	if !isSequence(v.Type()) {
		c.errorf(e.Range().Ptr(), "Wrong value for unique", "unique must be %s.", as)
		return
	}
	for _, key := range v.AsValueSlice() {
		names, ok := columnNames(key)
		if !ok {
			c.errorf(e.Range().Ptr(), "Wrong value for unique", "unique must be %s.", as)
			return
		}
		c.uniqueKey(names, e.Range())
	}
}

func isSequence(t cty.Type) bool { return t.IsTupleType() || t.IsListType() || t.IsSetType() }

// columnNames returns the columns of a key: of a string or of a list of strings.
func columnNames(v cty.Value) (names []string, ok bool) {
	if v.Type() == cty.String {
		return []string{v.AsString()}, true
	}
	if !isSequence(v.Type()) {
		return nil, false
	}
	for _, name := range v.AsValueSlice() {
		if name.Type() != cty.String {
			return nil, false
		}
		names = append(names, name.AsString())
	}
	return names, len(names) > 0
}

func (c *compiler) uniqueKey(names []string, at hcl.Range) {
	r := plan.Rule{Name: "unique " + strings.Join(names, ", "), Kind: plan.RuleUnique, Warn: c.warn}
	for _, name := range names {
		col, ok := c.column(name, at)
		if !ok {
			return
		}
		if slices.Contains(r.Columns, col.Name) {
			c.errorf(&at, "Wrong value for unique", "unique names the column %q twice in the same list.", name)
			return
		}
		r.Columns = append(r.Columns, col.Name)
	}
	c.add(r, at)
}

// clause adds the rules of a nested block.
func (c *compiler) clause(cl *config.ContractClause) {
	common := plan.Rule{
		Warn:     c.severity(cl.Args["severity"], c.warn),
		Message:  c.message(cl.Args["error_message"]),
		MaxShare: c.share(cl.Args["max_share"], "max_share"),
	}
	switch cl.Kind {
	case "column":
		c.columnClause(cl, common)
	case "freshness":
		c.freshness(cl, common)
	default:
		c.condition(cl, common)
	}
}

func (c *compiler) message(e hcl.Expression) string {
	if v, ok := c.value(e, "error_message", cty.String, "a string"); ok {
		return v.AsString()
	}
	return ""
}

func (c *compiler) share(e hcl.Expression, name string) float64 {
	v, ok := c.value(e, name, cty.Number, "a number from 0 to 1")
	if !ok {
		return 0
	}
	share, _ := v.AsBigFloat().Float64()
	if share < 0 || share > 1 {
		c.errorf(e.Range().Ptr(), "Wrong value for "+name, "%s must be a share from 0 to 1, such as 0.01 for 1%%.", name)
		return 0
	}
	return share
}

// columnClause adds the rules about the values of a column.
func (c *compiler) columnClause(cl *config.ContractClause, common plan.Rule) {
	col, ok := c.column(cl.Name, cl.Range)
	if !ok {
		return
	}
	common.Columns = []string{col.Name}
	rule := func(kind plan.RuleKind) plan.Rule {
		r := common
		r.Kind, r.Name = kind, string(kind)+" "+col.Name
		return r
	}
	if e := cl.Args["max_null_share"]; e != nil {
		r := rule(plan.RuleNotNull)
		r.MaxShare = c.share(e, "max_null_share")
		c.add(r, e.Range())
	}
	c.bounds(cl, col, rule(plan.RuleRange))
	c.allowed(cl.Args["allowed"], col, rule(plan.RuleAllowed))
	c.pattern(cl.Args["pattern"], col, rule(plan.RulePattern))
	c.references(cl, col, rule(plan.RuleReferences))
}

// boundType is the type of values that are compared with those of a column, or
// cty.NilType if they have no order.
func boundType(col data.Column) (t cty.Type, as string) {
	switch col.Type {
	case "int64", "float64":
		return cty.Number, "a number"
	case "date":
		return cty.String, "a date, such as \"2026-01-31\""
	case "timestamp":
		return cty.String, "a time, such as \"2026-01-31T12:00:00Z\""
	}
	return cty.NilType, ""
}

func (c *compiler) bounds(cl *config.ContractClause, col data.Column, r plan.Rule) {
	var at hcl.Range
	for _, bound := range []struct {
		name string
		to   **value.Value
	}{{"min", &r.Min}, {"max", &r.Max}} {
		e := cl.Args[bound.name]
		if e == nil {
			continue
		}
		at = e.Range()
		t, as := boundType(col)
		if t == cty.NilType {
			c.errorf(&at, "Wrong type of column", "The column %q of %s is %s, and %s needs int64, float64, date, or timestamp. Write a rule block with a condition instead.", col.Name, c.title(), col.Type, bound.name)
			return
		}
		v, ok := c.value(e, bound.name, t, as)
		if ok && t == cty.String {
			ok = c.isTime(v, col, as, at)
		}
		if ok {
			*bound.to = &value.Value{Value: v}
		}
	}
	if r.Min != nil || r.Max != nil {
		c.ordered(r.Min, r.Max, at)
		c.add(r, at)
	}
}

func (c *compiler) isTime(v cty.Value, col data.Column, as string, at hcl.Range) bool {
	layout := time.RFC3339Nano
	if col.Type == "date" {
		layout = time.DateOnly
	}
	if _, err := time.Parse(layout, v.AsString()); err != nil {
		c.errorf(&at, "Wrong type of value", "The column %q is %s, so the bound must be %s.", col.Name, col.Type, as)
		return false
	}
	return true
}

func (c *compiler) allowed(e hcl.Expression, col data.Column, r plan.Rule) {
	if e == nil {
		return
	}
	types := map[string]cty.Type{"string": cty.String, "int64": cty.Number, "float64": cty.Number, "bool": cty.Bool}
	t, ok := types[col.Type]
	if !ok {
		c.errorf(e.Range().Ptr(), "Wrong type of column", "The column %q of %s is %s, and allowed needs string, int64, float64, or bool. Write a rule block with a condition instead.", col.Name, c.title(), col.Type)
		return
	}
	v, ok := c.value(e, "allowed", cty.List(t), "a list of values of the column, which is "+col.Type)
	if !ok {
		return
	}
	if v.LengthInt() == 0 {
		c.errorf(e.Range().Ptr(), "Wrong value for allowed", "allowed is empty, so every value would violate it.")
		return
	}
	r.Allowed = &value.Value{Value: v}
	c.add(r, e.Range())
}

func (c *compiler) pattern(e hcl.Expression, col data.Column, r plan.Rule) {
	if e == nil {
		return
	}
	if col.Type != "string" {
		c.errorf(e.Range().Ptr(), "Wrong type of column", "The column %q of %s is %s, and pattern needs string.", col.Name, c.title(), col.Type)
		return
	}
	v, ok := c.value(e, "pattern", cty.String, "a regular expression")
	if !ok {
		return
	}
	if _, err := regexp.Compile(v.AsString()); err != nil {
		c.errorf(e.Range().Ptr(), "Wrong value for pattern", "pattern must be a regular expression: %s.", err)
		return
	}
	r.Pattern = v.AsString()
	c.add(r, e.Range())
}

// references adds the rule that the values of a column exist in a column of another
// dataset.
func (c *compiler) references(cl *config.ContractClause, col data.Column, r plan.Rule) {
	e := cl.Args["references.dataset"]
	if e == nil {
		return
	}
	h := c.referenced(e)
	if h == nil {
		return
	}
	r.OfColumn = col.Name
	if v, ok := c.value(cl.Args["references.column"], "column", cty.String, "the name of a column"); ok {
		r.OfColumn = v.AsString()
	}
	of, ok := expr.LookupColumn(h.Port.Columns, r.OfColumn)
	names := h.Port.Columns.Names()
	switch {
	case !ok:
		c.errorf(e.Range().Ptr(), "Unknown column", "%s has no column %q.%s Its columns are: %s.", h, r.OfColumn, diag.Suggest(r.OfColumn, names), diag.List(names))
		return
	case of.Type != col.Type:
		c.errorf(e.Range().Ptr(), "Wrong type of column", "The column %q of %s is %s, but the column %q of %s is %s, so no value of one exists in the other.", col.Name, c.title(), col.Type, of.Name, h, of.Type)
		return
	}
	r.OfColumn = of.Name
	r.Of = &plan.Input{Address: h.From.Address, Port: h.Port.Name, Kind: plan.KindDataset}
	c.out.Referenced[r.Name] = h
	c.add(r, e.Range())
}

// referenced returns the dataset in a references block, or nil after an error.
func (c *compiler) referenced(e hcl.Expression) *module.Handle {
	v, diags := eval.Value(e, c.n.Scope.Handles)
	if c.diags = append(c.diags, diags...); diags.HasErrors() {
		return nil
	}
	h, ok := module.HandleOf(v)
	switch {
	case !ok && !v.IsKnown():
		return nil // something upstream is broken, which is reported
	case !ok || !h.IsDataset() || h.Among != nil:
		c.errorf(e.Range().Ptr(), "Wrong type of value", "dataset must be a dataset, such as source.users.")
		return nil
	}
	return h
}

func (c *compiler) freshness(cl *config.ContractClause, r plan.Rule) {
	name, ok := c.value(cl.Args["column"], "column", cty.String, "the name of a column")
	if !ok {
		return
	}
	at := cl.Args["column"].Range()
	col, ok := c.column(name.AsString(), at)
	if !ok {
		return
	}
	if col.Type != "timestamp" && col.Type != "date" {
		c.errorf(&at, "Wrong type of column", "The column %q of %s is %s, and freshness needs timestamp or date.", col.Name, c.title(), col.Type)
		return
	}
	age, ok := c.value(cl.Args["max_age"], "max_age", cty.String, "a duration, such as \"24h\"")
	if !ok {
		return
	}
	d, err := time.ParseDuration(age.AsString())
	if err != nil || d <= 0 {
		c.errorf(cl.Args["max_age"].Range().Ptr(), "Wrong value for max_age", "max_age must be a duration greater than 0, such as \"24h\" or \"90m\".")
		return
	}
	r.Name, r.Kind, r.Columns, r.MaxAge = "freshness "+col.Name, plan.RuleFreshness, []string{col.Name}, d
	c.add(r, cl.Range)
}

// condition adds a rule that is a row expression.
func (c *compiler) condition(cl *config.ContractClause, r plan.Rule) {
	e := cl.Args["condition"]
	if e == nil || !c.independent(e, "condition") {
		return
	}
	scope := c.n.Scope.Expr()
	scope.Row, scope.RowOf = c.schema(), c.title()
	compiled, diags := expr.Compile(closed(e, true), scope, cty.Bool)
	if c.diags = append(c.diags, diags...); diags.HasErrors() {
		return
	}
	if len(compiled.Secrets) > 0 {
		name := compiled.Secrets[0]
		if c.Validating && !c.Secrets.IsGiven(name) {
			return
		}
		c.errorf(e.Range().Ptr(), "Sensitive value in a contract", "The condition uses the sensitive value %s, and the rows that violate it would reveal something about it. Wrap the value in nonsensitive(…) if it is not secret here.", name)
		return
	}
	if len(compiled.Columns) == 0 {
		c.errorf(e.Range().Ptr(), "Condition does not depend on row", "The condition is the same for every row of %s. Compare a column, such as %s.", c.title(), english.Or(first(rowNames(c.port.Columns))))
		return
	}
	r.Name, r.Kind, r.Columns, r.Condition = cl.Name, plan.RuleCondition, compiled.Columns, compiled
	c.add(r, e.Range())
}

// schema is never nil, so that row can be used even if there are no columns.
func (c *compiler) schema() data.Schema { return append(data.Schema{}, c.port.Columns...) }

func rowNames(columns data.Schema) []string {
	names := make([]string, len(columns))
	for i, col := range columns {
		names[i] = expr.RowColumn(col.Name)
	}
	return names
}

// first returns at most three names.
func first(names []string) []string { return names[:min(len(names), 3)] }
