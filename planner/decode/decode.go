// Package decode is the second phase of planning. It evaluates and compiles the
// configuration of an instance against the schema of its type. An argument
// becomes a value, an artifact, a row expression, or a deferred expression.
package decode

import (
	"maps"
	"strconv"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/condition"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Decoder decodes the blocks of a module.
type Decoder struct {
	*expand.Expander
	Conditions *condition.Conditions
	Plugins    processes.Plugins
}

// Instance is an instance with its configuration decoded. Its node has the
// fields that come from the block: Body, DependsOn, and how it runs.
type Instance struct {
	*expand.Instance
	// Inputs are the artifacts by input key, and Prompts what the prompts among the
	// arguments come from, by the argument's key: several if a result chooses one.
	Inputs  map[string]*module.Handle
	Prompts map[string][]*module.Instance
	// Bound is the configuration as its plugin receives it.
	Bound *plan.Bound
}

// Decode decodes an instance of a stage with a type. It returns nil if there
// are errors, which it has reported.
func (d *Decoder) Decode(n *expand.Instance) *Instance {
	d.run(n)
	body := d.newBody(n.Stage, n.Node)
	out := body.body(n.Stage.Config.Body, n.Stage.Type.Body, n.Scope, "")
	out.Type = value.Type{Type: n.Stage.Type.Body.Object}
	maps.Copy(out.Args, body.extra)
	n.Body = out
	if d.Report(body.diags...) || body.skip || n.Stage.Flawed() {
		d.Conditions.Compile(n, plan.WhenPre, n.Stage.Config.Pre, n.Scope)
		return nil
	}
	d.takeMaxErrors(n)
	bound, diags := n.Body.Bind(d.vars(n))
	if d.Report(diags...) {
		return nil
	}
	d.dependencies(n, body.inputs, body.prompts)
	return &Instance{Instance: n, Inputs: body.inputs, Prompts: body.prompts, Bound: bound}
}

// DecodeGate decodes a gate. It returns false if there are errors, which it has
// reported.
func (d *Decoder) DecodeGate(n *expand.Instance) bool {
	d.run(n)
	d.dependencies(n, nil, nil)
	return d.Conditions.Decode(n) && !n.Stage.Flawed()
}

// DecodePrompt publishes a prompt, which is compiled by the stages that use it.
// It returns nil if there are errors, which it has reported.
func (d *Decoder) DecodePrompt(n *expand.Instance) *module.Instance {
	d.run(n)
	if n.Stage.Flawed() {
		return nil
	}
	d.dependencies(n, nil, nil)
	n.Outputs = []plan.Port{{Kind: plan.KindPrompt}}
	return &module.Instance{
		Node: n.Node, Addr: n.Addr, Result: module.Result{Known: true}, Prompt: &module.Prompt{Stage: n.Stage, Scope: n.Scope},
	}
}

// Proto returns the instance as its plugin sees it.
func (n *Instance) Proto() (*pluginv1.Instance, error) {
	inputs := make(map[string]*pluginv1.Input, len(n.Inputs))
	for key, h := range n.Inputs {
		inputs[key] = plan.InputPort(h.Port, h.Rows())
		if h.From.Block != nil && h.From.Plugin == n.Plugin {
			inputs[key].Model = h.From.Block
		}
	}
	return n.Bound.Instance(n.Node, inputs)
}

// vars returns the values that the deferred expressions of an instance are
// evaluated with. Values that are not available yet are unknown, and secrets
// are in clear text.
func (d *Decoder) vars(n *expand.Instance) map[string]cty.Value {
	refs, names := n.Body.Refs()
	if len(refs) == 0 && len(names) == 0 {
		return nil
	}
	return d.Tree.Vars(refs, names)
}

// dependencies records what must come before an instance: the sources of its
// inputs, what its prompts need, and the references of its expressions.
func (d *Decoder) dependencies(n *expand.Instance, inputs map[string]*module.Handle, prompts map[string][]*module.Instance) {
	on := d.Expander.Dependencies(n)
	for _, h := range module.Artifacts(inputs) {
		d.Tree.Needs(h.From.Addr, on)
	}
	for _, candidates := range prompts {
		for _, p := range candidates {
			d.Tree.Needs(p.Addr, on)
		}
	}
	if n.Body != nil {
		refs, _ := n.Body.Refs()
		for _, ref := range refs {
			if a, err := addr.Parse(ref); err == nil {
				d.Tree.Needs(a, on)
			}
		}
	}
	delete(on, n.Address)
	n.DependsOn = ordered.Keys(on)
}

// alternatives lists values, as in "a", "b", or "c".
func alternatives(values []string) string { return english.Or(quoted(values)) }

func quoted(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strconv.Quote(v)
	}
	return out
}

// described returns an argument's documentation as a sentence of its own.
func described(doc string) string {
	if text := schema.Documented(doc); text != "." {
		return " The documentation says" + text
	}
	return ""
}

// nullOr describes a value for a message.
func nullOr(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return value.TypeName(v.Type())
}
