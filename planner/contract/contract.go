// Package contract judges datasets by their contracts. A check of a contract
// reads a dataset and counts the rows that violate each rule. Its figures are
// stored under a key, so that the same check is never repeated. Whether they are
// acceptable (tolerated shares, severities, the number of rows, the age of the
// data) is decided each time and needs no check.
package contract

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/dataset"
)

// checkTag changes when the encoding of keys, or what a check finds, changes.
const checkTag = "quern.contract/v1"

// Port is the output of an action entry that contains the rows that violate the
// contract. The entry's value is that of Figures.
const Port = "violations"

// Key returns the key of a contract's check over a dataset, and what it is
// computed from. referenced returns the datasets that rules refer to. ok is false
// if it returns nil for one of them.
func Key(c *plan.Contract, m *dataset.Manifest, referenced func(*plan.Input) *dataset.Manifest) (key string, preimage []plan.Field, ok bool, err error) {
	add := func(name, value string) { preimage = append(preimage, plan.Field{Name: name, Value: value}) }
	add("dataset", m.Digest())
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Kind == plan.RuleRows {
			continue
		}
		text, err := test(r)
		if err != nil {
			return "", nil, false, fmt.Errorf("key of rule %q: %w", r.Name, err)
		}
		add("rule "+r.Name, text)
		if r.Of == nil {
			continue
		}
		of := referenced(r.Of)
		if of == nil {
			return "", nil, false, nil
		}
		add("rule "+r.Name+" column", of.ColumnDigest(r.OfColumn))
	}
	return fingerprint.Key(checkTag, preimage), preimage, true, nil
}

// test describes what a rule checks of each row.
func test(r *plan.Rule) (string, error) {
	parts := []string{string(r.Kind)}
	for _, c := range r.Columns {
		parts = append(parts, strconv.Quote(c))
	}
	for _, bound := range []struct {
		name string
		v    *value.Value
	}{{"min", r.Min}, {"max", r.Max}, {"allowed", r.Allowed}} {
		if bound.v == nil {
			continue
		}
		text, err := ctyjson.Marshal(bound.v.Value, bound.v.Type())
		if err != nil {
			return "", err
		}
		parts = append(parts, bound.name+" "+string(text))
	}
	if r.Pattern != "" {
		parts = append(parts, "pattern "+strconv.Quote(r.Pattern))
	}
	if r.Condition != nil {
		parts = append(parts, "condition "+r.Condition.Identity())
	}
	return strings.Join(parts, " "), nil
}

// Figure is what a check found about one rule.
type Figure struct {
	Rule string `cty:"rule" json:"rule"`
	// Rows is the number of rows that the rule applies to: those with a value, if
	// the rule is about the values of a column.
	Rows       int64 `cty:"rows" json:"rows"`
	Violations int64 `cty:"violations" json:"violations"`
	// First are some of the rows that violate it, in order.
	First []Sample `cty:"first" json:"first,omitempty"`
	// Latest is the latest value of a column whose freshness matters, in RFC 3339,
	// or empty if there is none.
	Latest string `cty:"latest" json:"latest,omitempty"`
}

// Sample is a row that violates a rule.
type Sample struct {
	Row    int64  `cty:"row" json:"row"` // its position in the dataset, from 0
	Values string `cty:"values" json:"values"`
}

// figuresType is the type of the value that contains figures.
var figuresType = cty.Object(map[string]cty.Type{"rules": cty.List(cty.Object(map[string]cty.Type{
	"rule": cty.String, "rows": cty.Number, "violations": cty.Number, "latest": cty.String,
	"first": cty.List(cty.Object(map[string]cty.Type{"row": cty.Number, "values": cty.String})),
}))})

type figures struct {
	Rules []Figure `cty:"rules"`
}

// Store returns figures as the value of an action entry.
func Store(all []Figure) (*value.Stored, error) {
	v, err := gocty.ToCtyValue(figures{all}, figuresType)
	if err != nil {
		return nil, fmt.Errorf("store the figures of a contract: %w", err)
	}
	return value.Store(v), nil
}

// Load returns the figures in the value of an action entry.
func Load(stored *value.Stored) ([]Figure, error) {
	var all figures
	v, err := stored.Get()
	if err == nil {
		err = gocty.FromCtyValue(v, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read the figures of a contract: %w", err)
	}
	return all.Rules, nil
}
