package plan

import "github.com/quern-dev/quern/lang/expr"

// Connect says where the functions of plugins are found that the expressions of a
// plan call. A plan that was read needs this before it is carried out.
func (p *Plan) Connect(plugins expr.Plugins) {
	for _, n := range p.Nodes {
		n.Connect(plugins)
	}
	for _, m := range p.Models {
		m.Connect(plugins)
	}
	for _, o := range p.Outputs {
		o.Expr.Connect(plugins)
		connectConditions(o.Conditions, plugins)
	}
	for _, c := range p.Checks {
		connectConditions(c.Conditions, plugins)
	}
	for _, of := range p.Plugins {
		of.Config.connect(plugins)
	}
}

// Connect is Plan.Connect for one node.
func (n *Node) Connect(plugins expr.Plugins) {
	n.Body.connect(plugins)
	connectConditions(n.Conditions, plugins)
	for _, c := range n.Contracts {
		for i := range c.Rules {
			c.Rules[i].Condition.Connect(plugins)
		}
	}
	for i := range n.Outputs {
		for _, e := range n.Outputs[i].Features {
			e.Connect(plugins)
		}
	}
}

// Connect is Plan.Connect for one model.
func (m *Model) Connect(plugins expr.Plugins) { m.Body.connect(plugins) }

func (b *Body) connect(plugins expr.Plugins) {
	if b != nil {
		b.Expressions(func(_ string, _ *Arg, e *expr.Compiled) { e.Connect(plugins) })
	}
}

func connectConditions(all []Condition, plugins expr.Plugins) {
	for _, c := range all {
		c.Test.Connect(plugins)
		c.Message.Connect(plugins)
	}
}
