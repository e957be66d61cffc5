package plan

import (
	"errors"
	"fmt"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Contract says what a dataset that a node produces must be like. Whether the
// node has a result does not depend on it: the rules are checked against the
// result, and only a result that meets them is written to the state.
type Contract struct {
	// Output is the name of the port, or empty if the stage itself is the
	// dataset.
	Output string `json:"output,omitempty"`
	// Columns must exist, which planning has checked. The type is as it is written
	// in the configuration, such as "optional(number)". If Exact is set, no others
	// may exist.
	Columns []data.Column `json:"columns,omitempty"`
	Exact   bool          `json:"exact,omitempty"`
	Rules   []Rule        `json:"rules,omitempty"`
	// Key identifies the check of the rules over the dataset that the plan
	// knows. It is empty if the dataset, or one that the rules refer to, is not
	// known yet.
	Key   string     `json:"key,omitempty"`
	Range diag.Range `json:"range"`
}

// RuleKind is what a rule checks.
type RuleKind string

const (
	RuleRows       RuleKind = "rows"       // the number of rows is between Min and Max
	RuleNotNull    RuleKind = "not_null"   // the column is not null
	RuleUnique     RuleKind = "unique"     // no two rows have the same values in the columns
	RuleRange      RuleKind = "range"      // the column is null or between Min and Max
	RuleAllowed    RuleKind = "allowed"    // the column is null or one of Allowed
	RulePattern    RuleKind = "pattern"    // the column is null or contains a match of Pattern
	RuleReferences RuleKind = "references" // the column is null or a value of OfColumn in Of
	RuleFreshness  RuleKind = "freshness"  // the latest value of the column is at most MaxAge before the plan
	RuleCondition  RuleKind = "condition"  // the row expression is true
)

// Rule is one rule of a contract.
type Rule struct {
	// Name is unique in its contract.
	Name string   `json:"name"`
	Kind RuleKind `json:"kind"`
	// Columns are those that it reads.
	Columns []string `json:"columns,omitempty"`

	Min       *value.Value   `json:"min,omitempty"`
	Max       *value.Value   `json:"max,omitempty"`
	Allowed   *value.Value   `json:"allowed,omitempty"` // a list
	Pattern   string         `json:"pattern,omitempty"`
	Of        *Input         `json:"of,omitempty"`
	OfColumn  string         `json:"of_column,omitempty"`
	MaxAge    time.Duration  `json:"max_age,omitempty"`
	Condition *expr.Compiled `json:"condition,omitempty"`

	// MaxShare is the share of rows, from 0 to 1, that may violate the rule.
	MaxShare float64 `json:"max_share,omitempty"`
	// Warn is set if a violation is a warning, so that the result is published.
	Warn bool `json:"warn,omitempty"`
	// Message is the author's explanation, or empty.
	Message string     `json:"message,omitempty"`
	Range   diag.Range `json:"range"`
}

// OverRows reports whether single rows violate the rule, as opposed to the
// dataset as a whole.
func (r *Rule) OverRows() bool { return r.Kind != RuleRows && r.Kind != RuleFreshness }

// Violations returns the name of the port with the rows that violate the
// contract.
func (c *Contract) Violations() string {
	if c.Output == "" {
		return violationsName
	}
	return c.Output + "_" + violationsName
}

const violationsName = "violations"

// The columns that a dataset of violations has in addition to those of the
// dataset that it comes from.
const (
	ViolationRule = "violation_rule" // string: the name of the rule
	ViolationRow  = "violation_row"  // int64: the position of the row in the dataset, from 0
)

// check returns an error if a contract that was read cannot be followed.
func (c *Contract) check() error {
	if c == nil {
		return errors.New("a contract is missing")
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Kind == RuleCondition && r.Condition == nil || r.Kind == RuleReferences && r.Of == nil || r.Kind == RuleAllowed && r.Allowed == nil {
			return fmt.Errorf("rule %q of a contract is incomplete", r.Name)
		}
		for _, v := range []*value.Value{r.Min, r.Max, r.Allowed} {
			if err := checkValue(v); err != nil {
				return fmt.Errorf("rule %q of a contract: %w", r.Name, err)
			}
		}
	}
	return nil
}
