// Package rules provides the labeler "rules": a list of named conditions over a
// row. The first condition that is true determines the row's label. A row that
// no rule matches has no label, and the stage reports the share of rows that
// the rules cover.
package rules

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the labelers of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "rules", Doc: doc, BehaviorVersion: 1}, labeler{}),
	}
}

type args struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset to label."`
	Rules []rule         `quern:"rule,block,required" doc:"A rule with a unique name. Rules are tried in the order in which they are written, and the first one that matches gives the label."`

	// column is the name of the label's column, which is the block's name.
	column string
}

type rule struct {
	Name  string        `quern:"name,label"`
	When  plugin.Column `quern:"when,required" type:"bool" doc:"The condition. The rule matches if it is true; if it is false or null, the next rule is tried."`
	Label string        `quern:"label,required,recorded" doc:"The label that the rule gives."`
}

const doc = `Labels rows with named conditions: the first rule that matches gives the label.

The label is in a column named after the block, and is null if no rule matches. A second column, ` + "`NAME_rule`" + `, names the rule that matched.

` + "```hcl" + `
label "rules" "topic" {
  input = source.tickets

  rule "card words" {
    when  = strcontains(lower(row.text), "card")
    label = "card"
  }

  rule "rates" {
    when  = can(regex("(?i)exchange|rate", row.text))
    label = "exchange"
  }
}
` + "```"

// labeler implements label "rules".
type labeler struct{}

// Prepare declares the label, and the column with the rule that assigned it.
func (labeler) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.KeepInput("input")
	p.Args.column = p.Name()
	p.AddColumn(p.Args.column, "string")
	p.AddColumn(p.Args.column+"_rule", "string")
	seen := map[string]bool{}
	for _, r := range p.Args.Rules {
		if seen[r.Name] {
			p.Errorf("rule."+r.Name, "There are two rules named %q\nGive each rule a unique name.", r.Name)
		}
		seen[r.Name] = true
	}
	return nil
}

// Map evaluates the rules on each row.
func (labeler) Map(_ context.Context, a *args, b *plugin.Batch) error {
	conditions := make([]plugin.Values[bool], len(a.Rules))
	for k, r := range a.Rules {
		conditions[k] = b.Bools(r.When)
	}
	for i := range b.N {
		for k, r := range a.Rules {
			if holds, _ := conditions[k].At(i); holds {
				b.SetString(a.column, i, r.Label)
				b.SetString(a.column+"_rule", i, r.Name)
				break
			}
		}
	}
	return nil
}
