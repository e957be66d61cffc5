// Package comparison says how two configurations differ as graphs: which stages
// were added, removed, moved, or changed, and how. It compares what
// planner.Describe returns: configurations and the content of sources, but no
// results.
package comparison

import (
	"slices"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
)

// Comparison is how a configuration differs from another one.
type Comparison struct {
	// Stages are the stages and models that differ, in the order of the
	// later configuration, and then those that were removed.
	Stages []*Stage `json:"stages"`
	// Outputs, checks, variables, and plugins that differ, by name.
	Outputs   []*Named `json:"outputs,omitempty"`
	Checks    []*Named `json:"checks,omitempty"`
	Variables []*Named `json:"variables,omitempty"`
	Plugins   []*Named `json:"plugins,omitempty"`
	// Dependent are the addresses of the stages that are the same but need, directly
	// or not, one that may give another result.
	Dependent []string `json:"dependent,omitempty"`
	// Unchanged is the number of the other stages.
	Unchanged int `json:"unchanged"`
}

// Change is how something differs.
type Change string

const (
	Added   Change = "added"
	Removed Change = "removed"
	Changed Change = "changed"
	Moved   Change = "moved" // it has another address, and is otherwise the same
	// Recomputed is a stage that was computed from something else, with the same
	// result. Only runs have such stages.
	Recomputed Change = "recomputed"
)

// Stage is a stage or a model that differs.
type Stage struct {
	Address string `json:"address"`
	// From is the earlier address of a stage that moved.
	From   string `json:"from,omitempty"`
	Kind   string `json:"kind"`
	Type   string `json:"type,omitempty"`
	Change Change `json:"change"`
	// Reasons are the differences that can change the result.
	Reasons []plan.Reason `json:"reasons,omitempty"`
	// Settings are the differences that cannot, such as in timeouts.
	Settings []plan.Reason `json:"settings,omitempty"`
	Columns  []Column      `json:"columns,omitempty"`
	// Action is what applying the later configuration does with it, and Estimate
	// what that takes, if [Comparison.Estimate] was called.
	Action   plan.Action    `json:"action,omitempty"`
	Estimate *plan.Estimate `json:"estimate,omitempty"`
}

// Column is a column of a dataset that differs. A type is empty if the column
// does not exist.
type Column struct {
	Port   string `json:"port,omitempty"`
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Named is an output, a check, a variable, or a plugin that differs. Its texts are as
// people read them, and empty if it does not exist.
type Named struct {
	Name   string `json:"name"`
	Change Change `json:"change"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Of compares the descriptions of two configurations.
func Of(before, after *plan.Plan) *Comparison {
	m := match(vertices(before), vertices(after))
	c := &Comparison{Stages: []*Stage{}}
	for _, v := range m.after {
		if s := differences(m.earlier[v], v, m); s != nil {
			c.Stages = append(c.Stages, s)
		}
	}
	for _, v := range m.removed {
		c.Stages = append(c.Stages, &Stage{Address: v.Address, Kind: v.Kind, Type: v.Type, Change: Removed})
	}
	c.Outputs = compareNamed(before, after, outputs)
	c.Checks = compareNamed(before, after, checks)
	c.Variables = compareNamed(before, after, variables)
	c.Plugins = compareNamed(before, after, plugins)
	c.dependents(after)
	return c
}

// Estimate adds what a plan of the later configuration does with the stages that
// differ.
func (c *Comparison) Estimate(p *plan.Plan) {
	at := make(map[string]*Stage, len(c.Stages))
	for _, s := range c.Stages {
		at[s.Address] = s
	}
	for _, n := range p.Nodes {
		if s := at[n.Address]; s != nil && s.Change != Removed {
			s.Action, s.Estimate = n.Action, &n.Estimate
		}
	}
}

// IsEmpty reports whether nothing differs.
func (c *Comparison) IsEmpty() bool {
	return len(c.Stages)+len(c.Outputs)+len(c.Checks)+len(c.Variables)+len(c.Plugins) == 0
}

// Count returns the number of stages with a change.
func (c *Comparison) Count(change Change) int {
	n := 0
	for _, s := range c.Stages {
		if s.Change == change {
			n++
		}
	}
	return n
}

// Touched returns the addresses of what a change of the configuration touches in
// the later configuration: the stages that differ, those that need them, those that
// outputs and checks that differ read, and those that no longer exist.
func (c *Comparison) Touched(after *plan.Plan) []string {
	touched := slices.Clone(c.Dependent)
	for _, s := range c.Stages {
		if s.Kind != kind.Model {
			touched = append(touched, s.Address)
		}
		if s.From != "" {
			touched = append(touched, s.From)
		}
	}
	named := func(all []*Named, name string) bool {
		return slices.ContainsFunc(all, func(n *Named) bool { return n.Name == name })
	}
	for _, o := range after.Outputs {
		if named(c.Outputs, o.Name) {
			touched = append(touched, o.DependsOn...)
		}
	}
	for _, b := range after.Checks {
		if named(c.Checks, b.Name) {
			touched = append(touched, b.DependsOn...)
		}
	}
	slices.Sort(touched)
	return slices.Compact(touched)
}

// dependents finds the stages that need one that may give another result.
func (c *Comparison) dependents(after *plan.Plan) {
	differs, results := map[string]bool{}, map[string]bool{}
	for _, s := range c.Stages {
		differs[s.Address] = true
		results[s.Address] = s.Change == Added || len(s.Reasons) > 0
	}
	position := make(map[string]int, len(after.Nodes))
	for i, n := range after.Nodes {
		position[n.Address] = i
	}
	needs := make(dag.Graph, len(after.Nodes))
	var sources []int
	for i, n := range after.Nodes {
		for _, d := range n.DependsOn {
			if j, ok := position[d]; ok {
				needs[i] = append(needs[i], j)
			}
		}
		if results[n.Address] || callsAny(n, results) {
			sources = append(sources, i)
		}
	}
	for i, dependent := range needs.Reverse().Needs(sources...) {
		switch n := after.Nodes[i]; {
		case differs[n.Address]:
		case dependent:
			c.Dependent = append(c.Dependent, n.Address)
		default:
			c.Unchanged++
		}
	}
}

// callsAny reports whether a node calls one of the models.
func callsAny(n *plan.Node, models map[string]bool) bool {
	found := false
	if n.Body != nil {
		n.Body.Inputs(func(in *plan.Input) { found = found || in.Kind == plan.KindModel && models[in.Address] })
	}
	return found
}
