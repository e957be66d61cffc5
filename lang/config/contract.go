package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
)

// Contract is a contract block: what a dataset that a stage produces must be
// like. An expression that is not written is nil.
type Contract struct {
	// Output is the stage's output that the contract is about, or empty if the
	// stage itself is the dataset.
	Output      string
	OutputRange hcl.Range
	// Columns must exist. If Exact is set, no others may.
	Columns      []ColumnType
	ColumnsRange hcl.Range
	Exact        bool
	// NotNull, Unique, and Rows are rules that need no block of their own.
	// Severity is that of all rules that have none themselves.
	NotNull, Unique, Rows, Severity hcl.Expression
	// Clauses are the nested blocks, in the order in which they are written.
	Clauses []ContractClause
	// Range is the block's header.
	Range hcl.Range
}

// ContractClause is a block in a contract: column, freshness, or rule.
type ContractClause struct {
	Kind, Name string
	// Args are the expressions by name. They include those of a nested
	// references block, as references.dataset and references.column.
	Args  map[string]hcl.Expression
	Range hcl.Range
}

const contractBlock = "contract"

var (
	contractSchema = schema{
		what:     "a contract block",
		optional: []string{"output", "columns", "exact", "not_null", "unique", "rows", "severity"},
		blocks:   []blockSchema{{name: "column", labels: []string{"NAME"}}, {name: "freshness", once: true}, {name: "rule", labels: []string{"NAME"}}},
	}
	clauseSchemas = map[string]schema{
		"column": {
			what:     "a column block",
			optional: []string{"min", "max", "allowed", "pattern", "max_null_share", "max_share", "severity", "error_message"},
			blocks:   []blockSchema{{name: "references", once: true}},
		},
		"freshness": {what: "a freshness block", required: []string{"column", "max_age"}, optional: []string{"severity", "error_message"}},
		"rule":      {what: "a rule block", required: []string{"condition"}, optional: []string{"max_share", "severity", "error_message"}},
	}
	referencesSchema = schema{what: "a references block", required: []string{"dataset"}, optional: []string{"column"}}
)

// contractShape is the shape of a contract in JSON.
func contractShape() *Shape {
	return &Shape{
		reads: map[string]reading{"columns": asIs, "output": asIs},
		Blocks: map[string]*Shape{
			"column":    {Labels: []string{"NAME"}, Blocks: map[string]*Shape{"references": {}}},
			"freshness": {},
			"rule":      {Labels: []string{"NAME"}},
		},
	}
}

// contract reads a contract block of a stage.
func (l *loader) contract(s *Stage, b *hclsyntax.Block) {
	attrs, blocks := l.content(b.Body, contractSchema)
	c := Contract{
		NotNull: expression(attrs["not_null"]), Unique: expression(attrs["unique"]),
		Rows: expression(attrs["rows"]), Severity: expression(attrs["severity"]), Range: b.DefRange(),
	}
	if a := attrs["output"]; a != nil {
		c.Output, c.OutputRange = l.constString(a), a.Expr.Range()
	}
	if a := attrs["columns"]; a != nil {
		c.Columns, c.ColumnsRange = l.columnTypes(a.Expr), a.Expr.Range()
	}
	if a := attrs["exact"]; a != nil {
		c.Exact = l.constBool(a)
		if attrs["columns"] == nil {
			l.missing(diag.Errorf(a.NameRange.Ptr(), "Missing required argument", "exact forbids columns that are not listed in columns. Add columns = { NAME = TYPE, … }."))
		}
	}
	for _, nested := range blocks {
		c.Clauses = append(c.Clauses, l.clause(nested))
	}
	if len(attrs) == 0 && len(blocks) == 0 {
		r := b.Body.MissingItemRange()
		l.missing(diag.Errorf(&r, "Empty contract", "A contract needs at least one rule, such as columns = { text = string } or not_null = [\"text\"]."))
	}
	if i := slices.IndexFunc(s.Contracts, func(o Contract) bool { return o.Output == c.Output }); i >= 0 {
		l.add(diag.Errorf(c.Range.Ptr(), "Duplicate contract", "A contract for the same dataset already exists at %s. Put everything in that one, or set output to another output of the stage.", place(s.Contracts[i].Range)))
		return
	}
	s.Contracts = append(s.Contracts, c)
}

// clause reads a block in a contract.
func (l *loader) clause(b *hclsyntax.Block) ContractClause {
	attrs, blocks := l.content(b.Body, clauseSchemas[b.Type])
	c := ContractClause{Kind: b.Type, Args: map[string]hcl.Expression{}, Range: b.DefRange()}
	if len(b.Labels) > 0 {
		c.Name = b.Labels[0]
	}
	for name, a := range attrs {
		c.Args[name] = a.Expr
	}
	for _, nested := range blocks {
		of, _ := l.content(nested.Body, referencesSchema)
		for name, a := range of {
			c.Args[nested.Type+"."+name] = a.Expr
		}
	}
	if a := attrs["error_message"]; a != nil {
		l.errorMessage(a)
	}
	if rules := []string{"min", "max", "allowed", "pattern", "max_null_share", "references.dataset"}; b.Type == "column" && !slices.ContainsFunc(rules, func(name string) bool { return c.Args[name] != nil }) && len(blocks) == 0 {
		l.missing(diag.Errorf(&c.Range, "Empty column block", "This block has no rule. Add min, max, allowed, pattern, max_null_share, or a references block. A column that only has to exist belongs in columns, and one without nulls in not_null."))
	}
	return c
}

// expressions returns the expressions of a contract.
func (c *Contract) expressions() []hcl.Expression {
	all := []hcl.Expression{c.NotNull, c.Unique, c.Rows, c.Severity}
	for _, clause := range c.Clauses {
		for _, name := range ordered.Keys(clause.Args) {
			all = append(all, clause.Args[name])
		}
	}
	return all
}
