package planner

import (
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/store/state"
)

// addCredentials gives nodes that delete deployments the sensitive arguments of
// their blocks: no state has them, and a plugin can't delete without its
// credentials. Where they can't be had it says what is needed.
func (b *builder) addCredentials(nodes []*plan.Node) {
	for _, n := range nodes {
		prior := b.prior[n.Address]
		if n.Action != plan.Delete || prior == nil || prior.Deployment == nil || len(prior.Deployment.Sensitive) == 0 {
			continue
		}
		body, why := b.credentials(n.Address, prior)
		if body == nil {
			b.report(diag.Errorf(nil, "Missing credentials",
				"The plan deletes %s, which was deployed with the sensitive %s. The state does not store sensitive arguments. %s Restore the block of %s, set its variables, and run quern destroy -target=%s; or run quern state rm %s to forget the deployment and leave it in place.",
				n.Address, diag.List(prior.Deployment.Sensitive), why, n.Address, strconv.Quote(n.Address), strconv.Quote(n.Address)))
			continue
		}
		n.Body = body
	}
}

// credentials are the sensitive arguments of an instance as its block has them
// now; nil: they can't be had, and why.
func (b *builder) credentials(address string, prior *state.Instance) (body *plan.Body, why string) {
	a, err := addr.Parse(address)
	if err != nil {
		return nil, "Its address cannot be read."
	}
	s := b.byAddress[a.Stage]
	if s == nil || s.cfg.Type != prior.Type || s.typ == nil {
		return nil, "The block is no longer in the configuration."
	}
	var r refs
	sensitiveRefs(&r, s.cfg.Body, s.typ.Body)
	if !b.evaluateLocals(r.locals, map[string]bool{}) || len(r.stages) > 0 {
		return nil, "They depend on results of other stages."
	}
	sc := b.scope(&r)
	if a.HasKey() {
		sc = b.instanceScope(s, sc, a.Key)
	}
	d := &decoder{b: b, n: &node{stage: s, Node: &plan.Node{Address: address, Kind: a.Kind}}}
	out, missing := d.sensitive(s.cfg.Body, s.typ.Body, sc), prior.Deployment.Sensitive
	if !d.diags.HasErrors() && !d.skip {
		missing = slices.DeleteFunc(slices.Clone(missing), func(key string) bool { return slices.Contains(out.Sensitive(), key) })
	}
	if len(missing) > 0 {
		return nil, "The block no longer sets them."
	}
	out.Type = value.Type{Type: s.typ.Body.Object}
	return out, ""
}

// instanceScope adds what tells an instance of a block from others.
func (b *builder) instanceScope(s *stage, sc *scope, key cty.Value) *scope {
	if key.Type() == cty.Number {
		index := map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": key})}
		return sc.with(index, index)
	}
	each := eachOf(key, cty.DynamicVal)
	if s.cfg.ForEach != nil {
		var r refs
		r.add(config.Variables(s.cfg.ForEach)...)
		if b.evaluateLocals(r.locals, map[string]bool{}) && len(r.stages) == 0 {
			values, diags := eval.Value(s.cfg.ForEach, b.scope(&r).values)
			if !diags.HasErrors() {
				for _, e := range iterate(values) {
					if e.key.RawEquals(key) {
						each = eachOf(key, e.value)
					}
				}
			}
		}
	}
	return sc.with(each, each)
}

// sensitiveRefs adds what the sensitive arguments of a body refer to.
func sensitiveRefs(r *refs, src *hclsyntax.Body, of *schema.Body) {
	for name, attr := range src.Attributes {
		if a := of.Args[name]; a != nil && a.Sensitive {
			r.add(config.Variables(attr.Expr)...)
		}
	}
	for _, block := range src.Blocks {
		if nested := of.Blocks[block.Type]; nested != nil {
			sensitiveRefs(r, block.Body, nested.Body)
		}
	}
}

// sensitive decodes the sensitive arguments of a body, and the blocks that have
// any.
func (d *decoder) sensitive(src *hclsyntax.Body, of *schema.Body, sc *scope) *plan.Body {
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
