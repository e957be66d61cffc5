// Package terms compiles the contract blocks of instances and checks what the
// types of their columns can show: whether the columns exist and have the types
// that the contract requires. The rest is checked when the rows exist.
package terms

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/dataset"
)

// Contract is the contract of an output of an instance.
type Contract struct {
	*plan.Contract
	// Referenced are the datasets that rules refer to, by the name of the rule.
	Referenced map[string]*module.Handle
	// Breaches are reported when it is known what reads the columns.
	Breaches []module.Breach
}

// Dataset returns a dataset that a rule refers to, or nil if it is not known yet.
func (c *Contract) Dataset(of *plan.Input) *dataset.Manifest {
	for _, h := range c.Referenced {
		if h.From.Address == of.Address && h.Port.Name == of.Port {
			return h.Manifest()
		}
	}
	return nil
}

// Unknown returns the addresses of the instances whose datasets rules refer to and
// that are not known yet.
func (c *Contract) Unknown() []string {
	unknown := map[string]bool{}
	for _, h := range c.Referenced {
		if h.Manifest() == nil {
			unknown[h.From.Address] = true
		}
	}
	return ordered.Keys(unknown)
}

// Compile compiles the contracts of an instance, whose outputs are known, and adds
// them to its node, with an output for the rows that violate each. It returns
// false if there are errors, which it has reported.
func Compile(n *expand.Instance) (contracts []*Contract, ok bool) {
	ok = true
	for i := range n.Stage.Config.Contracts {
		c := &compiler{Module: n.Stage.Module, n: n, cfg: &n.Stage.Config.Contracts[i]}
		contract := c.contract()
		if c.Report(c.diags...) || contract == nil {
			ok = false
			continue
		}
		contracts = append(contracts, contract)
		n.Contracts = append(n.Contracts, contract.Contract)
	}
	for _, c := range contracts {
		addViolations(n, c)
		addDependencies(n, c)
	}
	return contracts, ok
}

// addDependencies records that the datasets that a contract refers to come before
// the instance.
func addDependencies(n *expand.Instance, c *Contract) {
	if len(c.Referenced) == 0 {
		return
	}
	on := map[string]bool{}
	for _, address := range n.DependsOn {
		on[address] = true
	}
	for _, h := range c.Referenced {
		n.Stage.Module.Tree.Needs(h.From.Addr, on)
	}
	n.DependsOn = ordered.Keys(on)
}

// addViolations adds the output with the rows that violate a contract.
func addViolations(n *expand.Instance, c *Contract) {
	of, _ := n.Port(c.Output)
	columns := append(data.Schema{{Name: plan.ViolationRule, Type: "string"}, {Name: plan.ViolationRow, Type: "int64"}}, of.Columns...)
	n.Outputs = append(n.Outputs, plan.Port{Name: c.Violations(), Kind: plan.KindDataset, Columns: columns, Violations: true})
}

// compiler compiles one contract.
type compiler struct {
	*module.Module
	n     *expand.Instance
	cfg   *config.Contract
	port  *plan.Port
	out   *Contract
	diags hcl.Diagnostics
	warn  bool // the severity of rules that have none
}

func (c *compiler) errorf(at *hcl.Range, summary, format string, args ...any) {
	c.diags = append(c.diags, diag.Errorf(at, summary, format, args...))
}

// contract returns nil if there are errors that are already reported.
func (c *compiler) contract() *Contract {
	if c.port = c.subject(); c.port == nil {
		return nil
	}
	c.out = &Contract{Contract: &plan.Contract{Output: c.cfg.Output, Range: diag.NewRange(c.cfg.Range)}, Referenced: map[string]*module.Handle{}}
	c.out.Exact, c.warn = c.cfg.Exact, c.severity(c.cfg.Severity, false)
	c.columns()
	c.rows()
	c.notNull()
	c.unique()
	for i := range c.cfg.Clauses {
		c.clause(&c.cfg.Clauses[i])
	}
	return c.out
}

// subject returns the output that the contract is about, or nil after an error.
func (c *compiler) subject() *plan.Port {
	port, ok := c.n.Port(c.cfg.Output)
	if ok && port.Kind == plan.KindDataset {
		if _, taken := c.n.Port((&plan.Contract{Output: c.cfg.Output}).Violations()); taken {
			c.errorf(&c.cfg.Range, "Unsupported contract", "%s already has an output with the name of the violations of this contract.", c.n.Address)
			return nil
		}
		if slices.ContainsFunc(port.Columns, func(col data.Column) bool { return col.Name == plan.ViolationRule || col.Name == plan.ViolationRow }) {
			c.errorf(&c.cfg.Range, "Unsupported contract", "%s has a column %q or %q. The rows that violate a contract get columns with these names, so rename yours.", c.title(), plan.ViolationRule, plan.ViolationRow)
			return nil
		}
		return port
	}
	at, what := c.cfg.Range, c.n.Address+" is not a dataset."
	if c.cfg.Output != "" {
		at, what = c.cfg.OutputRange, c.n.Address+" has no dataset \""+c.cfg.Output+"\"."
	}
	var datasets []string
	for i := range c.n.Outputs {
		if p := &c.n.Outputs[i]; p.Kind == plan.KindDataset && p.Name != "" {
			datasets = append(datasets, p.Name)
		}
	}
	switch {
	case len(datasets) > 0:
		what += " Set output to one of its datasets: " + diag.List(datasets) + "."
	case c.cfg.Output != "" && c.isDataset():
		what += " The stage itself is the dataset, so remove output."
	default:
		what += " Put the contract in a stage that produces a dataset."
	}
	c.errorf(&at, "No dataset for this contract", "%s", what)
	return nil
}

// isDataset reports whether the stage itself is a dataset.
func (c *compiler) isDataset() bool {
	port, ok := c.n.Port("")
	return ok && port.Kind == plan.KindDataset
}

// title is the name of the dataset, for messages.
func (c *compiler) title() string {
	return (&plan.Input{Address: c.n.Address, Port: c.cfg.Output}).String()
}

// value evaluates an expression whose value must be known when planning and must
// not depend on the results of stages, so that the contract means the same for
// every plan. It returns false if there is no value.
func (c *compiler) value(e hcl.Expression, name string, want cty.Type, as string) (cty.Value, bool) {
	if e == nil || !c.independent(e, name) {
		return cty.NilVal, false
	}
	v, diags := eval.Value(e, c.n.Scope.Values)
	if c.diags = append(c.diags, diags...); diags.HasErrors() {
		return cty.NilVal, false
	}
	switch {
	case c.MayBeAnything(v):
		return cty.NilVal, false
	case v.ContainsMarked():
		c.errorf(e.Range().Ptr(), "Sensitive value in a contract", "%s comes from a sensitive variable, and the messages and figures of a contract would reveal it. Wrap the value in nonsensitive(…) if it is not secret here.", name)
		return cty.NilVal, false
	case v.IsWhollyKnown() && v.IsNull():
		return cty.NilVal, false
	}
	converted, err := convert.Convert(v, want)
	if err != nil || !converted.IsWhollyKnown() || containsNull(converted) {
		c.errorf(e.Range().Ptr(), "Wrong value for "+name, "%s must be %s.", name, as)
		return cty.NilVal, false
	}
	return converted, true
}

// independent reports an expression that depends on the result of a stage.
func (c *compiler) independent(e hcl.Expression, name string) bool {
	on := c.Upstream(module.RefsOf(e))
	if len(on) == 0 {
		return true
	}
	c.errorf(e.Range().Ptr(), "Contract depends on a result", "%s depends on %s, but a contract cannot depend on the results of stages: it would change with them. Compare with results in a gate or a postcondition instead.", name, diag.List(on))
	return false
}

// severity evaluates a severity: whether violations are warnings.
func (c *compiler) severity(e hcl.Expression, otherwise bool) bool {
	v, ok := c.value(e, "severity", cty.String, `"error" or "warn"`)
	if !ok {
		return otherwise
	}
	switch v.AsString() {
	case "warn", "warning":
		return true
	case "error":
		return false
	}
	c.errorf(e.Range().Ptr(), "Wrong value for severity", "severity must be \"error\" or \"warn\", not %q.", v.AsString())
	return otherwise
}

// columns checks that the columns exist and have the required types.
func (c *compiler) columns() {
	named := map[string]bool{}
	for i := range c.cfg.Columns {
		want := &c.cfg.Columns[i]
		named[want.Name] = true
		c.out.Columns = append(c.out.Columns, data.Column{Name: want.Name, Type: want.String()})
		if _, there := expr.LookupColumn(c.port.Columns, want.Name); !there && want.Optional {
			continue
		}
		col, ok := c.column(want.Name, c.cfg.ColumnsRange)
		if ok && !want.Accepts(col.Type) {
			c.breach(col.Name, c.cfg.ColumnsRange, "The column %q of %s is %s, but the contract requires %s.", want.Name, c.title(), col.Type, want)
		}
	}
	if !c.cfg.Exact {
		return
	}
	var more []string
	for _, col := range c.port.Columns {
		if !named[col.Name] {
			more = append(more, col.Name)
		}
	}
	if len(more) > 0 {
		c.errorf(&c.cfg.Range, "Contract violated", "%s has columns that the contract does not list, and exact is set: %s. Add them to columns, or remove them from the stage.", c.title(), diag.List(more))
	}
}

// column returns a column that a rule is about. It reports one that does not exist.
func (c *compiler) column(name string, at hcl.Range) (data.Column, bool) {
	col, ok := expr.LookupColumn(c.port.Columns, name)
	if !ok {
		names := c.port.Columns.Names()
		c.breach(name, at, "%s has no column %q, which the contract requires.%s Its columns are: %s.", c.title(), name, diag.Suggest(name, names), diag.List(names))
	}
	return col, ok
}

// breach records a column that is not as the contract requires, once.
func (c *compiler) breach(column string, at hcl.Range, format string, args ...any) {
	if !slices.ContainsFunc(c.out.Breaches, func(b module.Breach) bool { return b.Column == column }) {
		c.out.Breaches = append(c.out.Breaches, module.Breach{Output: c.cfg.Output, Column: column, Diagnostic: diag.Errorf(&at, "Contract violated", format, args...)})
	}
}

// add adds a rule. Its name must be unique.
func (c *compiler) add(r plan.Rule, at hcl.Range) {
	r.Range = diag.NewRange(at)
	if slices.ContainsFunc(c.out.Rules, func(o plan.Rule) bool { return o.Name == r.Name }) {
		c.errorf(&at, "Duplicate rule", "The contract already has a rule %q. Remove one of them, or rename it.", r.Name)
		return
	}
	c.out.Rules = append(c.out.Rules, r)
}
