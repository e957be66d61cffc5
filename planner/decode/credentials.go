package decode

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/store/state"
)

// Credentials returns the sensitive arguments of an instance as its block
// contains them now. If they are not available, it returns nil and the reason.
func (d *Decoder) Credentials(address string, prior *state.Instance) (body *plan.Body, why string) {
	a, err := addr.Parse(address)
	if err != nil {
		return nil, "Its address cannot be read."
	}
	s := d.Stage(a.In(addr.Module{}))
	if s == nil || a.Module != d.Addr || s.Type == nil {
		return nil, "The block is no longer in the configuration."
	}
	if s.Config.Type != prior.Type {
		return nil, fmt.Sprintf("The block is a %s %q now, and was a %s %q.", a.Kind, s.Config.Type, a.Kind, prior.Type)
	}
	r := &module.Refs{}
	sensitiveRefs(r, s.Config.Body, s.Type.Body)
	if !d.EvaluateLocals(r.Locals) || !d.EvaluateInputs(r) || len(r.Stages) > 0 {
		return nil, "They depend on results of other stages."
	}
	sc := d.Scope(r)
	if a.HasKey() {
		sc = d.ScopeOf(s, sc, a.Key)
	}
	decoder := d.newBody(s, &plan.Node{Address: address, Kind: a.Kind})
	out, missing := decoder.sensitive(s.Config.Body, s.Type.Body, sc), prior.Deployment.Sensitive
	if !decoder.diags.HasErrors() && !decoder.skip {
		missing = slices.DeleteFunc(slices.Clone(missing), func(key string) bool { return slices.Contains(out.Sensitive(), key) })
	}
	if len(missing) > 0 {
		return nil, "The block no longer sets them."
	}
	out.Type = value.Type{Type: s.Type.Body.Object}
	return out, ""
}

// sensitiveRefs adds the references of a body's sensitive arguments.
func sensitiveRefs(r *module.Refs, src *hclsyntax.Body, of *schema.Body) {
	for name, attr := range src.Attributes {
		if a := of.Args[name]; a != nil && a.Sensitive {
			r.Add(config.Variables(attr.Expr)...)
		}
	}
	for _, block := range src.Blocks {
		if nested := of.Blocks[block.Type]; nested != nil {
			sensitiveRefs(r, block.Body, nested.Body)
		}
	}
}

// sensitive decodes the sensitive arguments of a body, and the blocks that
// contain any.
func (d *bodyDecoder) sensitive(src *hclsyntax.Body, of *schema.Body, sc *module.Scope) *plan.Body {
	out := &plan.Body{Args: map[string]*plan.Arg{}}
	for name, attr := range src.Attributes {
		if a := of.Args[name]; a != nil && a.Sensitive && !a.Handles() {
			d.set(out, a, attr, sc, name)
		}
	}
	for _, block := range src.Blocks {
		nested := of.Blocks[block.Type]
		if nested == nil {
			continue
		}
		inner := d.sensitive(block.Body, nested.Body, sc)
		if len(inner.Args) == 0 && len(inner.Blocks) == 0 {
			continue
		}
		for i, name := range nested.Labels {
			if i < len(block.Labels) {
				inner.Args[name] = &plan.Arg{Value: &value.Value{Value: cty.StringVal(block.Labels[i])}, Operational: true}
			}
		}
		out.Blocks = append(out.Blocks, &plan.Block{Name: nested.Name, Labels: block.Labels, Body: inner})
	}
	return out
}
