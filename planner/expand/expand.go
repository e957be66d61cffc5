// Package expand is the first phase of planning. It creates the instances of a
// stage from count and for_each, each with the scope of its expressions, and
// finds the instances that their values depend on.
package expand

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// Expander creates the instances of a module.
type Expander struct{ *module.Module }

// Instance is an instance with its address and the scope of its expressions.
// Its node has the fields that follow from the block: address, kind, type,
// plugin, and mode.
type Instance struct {
	*plan.Node
	Stage *module.Stage
	Addr  addr.Instance
	// Base is the scope that all instances share. Scope adds count.index or
	// each.
	Base, Scope *module.Scope
	refs        []valueRef
}

// Expand creates and names the instances of a stage. If it cannot, it has
// reported why, or something upstream has errors.
func (x *Expander) Expand(s *module.Stage) []*Instance {
	for _, e := range []hcl.Expression{s.Config.Count, s.Config.ForEach} {
		if x.Blind(s, e) || x.impure(e) {
			return nil
		}
	}
	if x.Defer(s) {
		return nil
	}
	base := x.Scope(s.Refs)
	keyed, all, ok := x.repetition(s.Config.Count, s.Config.ForEach, base, func(argument string, e hcl.Expression) { x.DeferInstances(s, argument, e) })
	if !ok {
		return nil
	}
	instances := make([]*Instance, len(all))
	names, refs := make([]string, len(all)), x.valueRefs(s)
	for i, each := range all {
		n := x.instance(s, each, base)
		instances[i], names[i], n.refs = n, n.Address, refs
	}
	s.Name(keyed, names)
	return instances
}

// Call creates the instances of a module that the expander's module calls.
func (x *Expander) Call(c *config.Call) {
	r := module.RefsOf(expressions(c)...)
	if x.BrokenUpstream(r) || x.Report(x.CheckTraversals(r, expressions(c)...)...) || x.impure(c.Count) || x.impure(c.ForEach) {
		x.Module.Expand(c.Name, module.Single, nil, false)
		return
	}
	base := x.Scope(r)
	keyed, all, ok := x.repetition(c.Count, c.ForEach, base, func(argument string, e hcl.Expression) {
		x.DeferCall(c.Name, argument, e)
	})
	for _, each := range all {
		if each.Value != nil {
			each.Value.Scope = base.Expr()
		}
	}
	x.Module.Expand(c.Name, keyed, all, ok)
}

func expressions(c *config.Call) []hcl.Expression {
	return slices.DeleteFunc([]hcl.Expression{c.Count, c.ForEach}, func(e hcl.Expression) bool { return e == nil })
}

// repetition returns what distinguishes the instances that count or for_each ask
// for, of which at most one is set. ok is false if they cannot be computed, which
// is reported, or are not known yet, for which repetition calls unknown.
func (x *Expander) repetition(count, forEach hcl.Expression, base *module.Scope, unknown func(argument string, e hcl.Expression)) (keyed module.Keying, all []*module.Each, ok bool) {
	switch {
	case count != nil:
		all, ok = x.count(count, base, unknown)
		return module.ByNumber, all, ok
	case forEach != nil:
		all, ok = x.forEach(forEach, base, unknown)
		return module.ByKey, all, ok
	}
	return module.Single, []*module.Each{nil}, true
}

// impure reports a count or for_each that gives a different result in every
// plan.
func (x *Expander) impure(e hcl.Expression) bool {
	if e == nil {
		return false
	}
	name := x.Impure(e, module.RefsOf(e))
	return name != "" && x.Report(diag.Errorf(e.Range().Ptr(), "Value is not reproducible",
		"%s returns a different result in every plan, so the instances would change each time. Pass the value in through a variable instead.", name))
}

func (x *Expander) instance(s *module.Stage, each *module.Each, base *module.Scope) *Instance {
	address := addr.Instance{Stage: s.Addr}
	if each != nil {
		address.Key = each.Key
	}
	n := &Instance{
		Stage: s, Addr: address, Base: base, Scope: each.In(base),
		Node: &plan.Node{
			Address: address.String(), Kind: s.Addr.Kind, Type: s.Config.Type, Range: diag.NewRange(s.Config.DeclRange),
			PreventDestroy: s.Config.PreventDestroy, CreateBeforeDestroy: s.Config.CreateBeforeDestroy,
		},
	}
	if t := s.Type; t != nil {
		n.Plugin, n.Mode, n.Behavior = t.Plugin, t.Mode, t.Behavior
	}
	return n
}

func (x *Expander) count(e hcl.Expression, base *module.Scope, unknown func(argument string, e hcl.Expression)) ([]*module.Each, bool) {
	v, diags := eval.Value(e, base.Values)
	if x.Report(diags...) {
		return nil, false
	}
	if number, err := convert.Convert(v, cty.Number); err == nil {
		v = number // such as "2" from the environment
	}
	if x.MayBeAnything(v) {
		return nil, false
	}
	if !v.IsMarked() && !v.IsKnown() {
		unknown("count", e)
		return nil, false
	}
	count, d := wholeNumber(v, e, "count")
	if v.IsMarked() {
		d = diag.Errorf(e.Range().Ptr(), "Sensitive count", "count comes from a sensitive variable, and the number of instances would reveal it. Take it from a variable that is not sensitive, or wrap it in nonsensitive(…).")
	}
	if d != nil {
		return nil, !x.Report(d)
	}
	var all []*module.Each
	for i := range count {
		key := cty.NumberIntVal(i)
		index := indexOf(key)
		all = append(all, &module.Each{Key: key, Values: index, Handles: index})
	}
	return all, true
}

// maxInstances bounds count and for_each, which a typing error can make very
// large.
const maxInstances = 100_000

func wholeNumber(v cty.Value, e hcl.Expression, argument string) (int64, *hcl.Diagnostic) {
	v, _ = v.Unmark()
	subject := e.Range().Ptr()
	switch {
	case v.IsNull():
		return 0, diag.Errorf(subject, "Wrong value for "+argument, "%s is null, but it must be a whole number.", argument)
	case v.Type() != cty.Number || !v.AsBigFloat().IsInt():
		return 0, diag.Errorf(subject, "Wrong value for "+argument, "%s must be a whole number.", argument)
	}
	n, _ := v.AsBigFloat().Int64()
	if n < 0 || n > maxInstances {
		return 0, diag.Errorf(subject, "Wrong value for "+argument, "%s must be between 0 and %d, not %s.", argument, maxInstances, v.AsBigFloat().Text('f', 0))
	}
	return n, nil
}

func (x *Expander) forEach(e hcl.Expression, base *module.Scope, unknown func(argument string, e hcl.Expression)) ([]*module.Each, bool) {
	values, diags := eval.Value(e, base.Values)
	if x.Report(diags...) || x.MayBeAnything(values) {
		return nil, false
	}
	if !values.IsMarked() && keysUnknown(values) {
		unknown("for_each", e)
		return nil, false
	}
	handles := values
	if base.Handles != base.Values {
		handles, _ = eval.Value(e, base.Handles)
	}
	if d := checkForEach(values, e); d != nil {
		return nil, !x.Report(d)
	}
	if h, ok := module.HandleOf(handles); ok {
		return nil, !x.Report(diag.Errorf(e.Range().Ptr(), "Wrong value for for_each", "for_each is %s itself, so its attributes would become the keys of instances. Use an attribute that is a map or a set of strings, such as the counts of a label. To get an instance for each one of %s, set for_each there.", h, h))
	}
	byHandle := map[string]cty.Value{}
	for _, other := range value.Elements(handles) {
		byHandle[other.Key.AsString()] = other.Value
	}
	var all []*module.Each
	for _, element := range value.Elements(values) {
		v := eachOf(element.Key, element.Value)
		h := v
		if other, ok := byHandle[element.Key.AsString()]; ok {
			h = eachOf(element.Key, other)
		}
		each := &module.Each{Key: element.Key, Values: v, Handles: h}
		if !element.Value.IsWhollyKnown() || element.Value.ContainsMarked() {
			each.Value = &expr.Definition{Expr: elementOf(e.(hclsyntax.Expression), element.Key)}
		}
		all = append(all, each)
	}
	return all, true
}

// elementOf returns the expression for one element of a collection.
func elementOf(collection hclsyntax.Expression, key cty.Value) hclsyntax.Expression {
	at := collection.Range()
	return &hclsyntax.IndexExpr{
		Collection: collection, Key: &hclsyntax.LiteralValueExpr{Val: key, SrcRange: at},
		SrcRange: at, OpenRange: at, BracketRange: at,
	}
}

func indexOf(number cty.Value) map[string]cty.Value {
	return map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": number})}
}

func eachOf(key, value cty.Value) map[string]cty.Value {
	return map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
}

// ScopeOf returns the scope of an instance that is in the state and may no
// longer be in the configuration. It contains no stages.
func (x *Expander) ScopeOf(s *module.Stage, base *module.Scope, key cty.Value) *module.Scope {
	return x.former(s.Config.ForEach, key).In(base)
}

// Former returns an instance of a module that is in the state and may no longer be
// in the configuration, or nil if no block calls it. It is not part of the tree.
func (x *Expander) Former(call addr.Call) *module.Module {
	c := x.Config.Calls[call.Name]
	if c == nil {
		return nil
	}
	if call.Key == cty.NilVal {
		return x.Module.Former(call.Name, nil)
	}
	return x.Module.Former(call.Name, x.former(c.ForEach, call.Key))
}

// former returns what distinguishes an instance that may no longer be in the
// configuration. Without an element of for_each that has its key, each.value can be
// anything.
func (x *Expander) former(forEach hcl.Expression, key cty.Value) *module.Each {
	if key.Type() == cty.Number {
		index := indexOf(key)
		return &module.Each{Key: key, Values: index, Handles: index}
	}
	each := eachOf(key, cty.DynamicVal)
	out := &module.Each{Key: key, Values: each, Handles: each}
	if forEach == nil {
		return out
	}
	r := module.RefsOf(forEach)
	if !x.EvaluateLocals(r.Locals) || len(r.Stages) > 0 || !x.EvaluateInputs(r) {
		return out
	}
	base := x.Module.Scope(r)
	values, _ := eval.Value(forEach, base.Values)
	for _, element := range value.Elements(values) {
		if !element.Key.RawEquals(key) {
			continue
		}
		each := eachOf(key, element.Value)
		out.Values, out.Handles = each, each
		if element.Value.ContainsMarked() {
			out.Value = &expr.Definition{Expr: elementOf(forEach.(hclsyntax.Expression), key), Scope: base.Expr()}
		}
	}
	return out
}

// keysUnknown reports whether the keys of a for_each depend on a result that does
// not exist yet.
func keysUnknown(v cty.Value) bool {
	return !v.IsKnown() || v.Type() == cty.DynamicPseudoType && !v.IsNull() || v.Type().IsSetType() && !v.IsNull() && !v.IsWhollyKnown()
}

func checkForEach(v cty.Value, e hcl.Expression) *hcl.Diagnostic {
	subject := e.Range().Ptr()
	if v.IsMarked() {
		return diag.Errorf(subject, "Sensitive for_each", "for_each comes from a sensitive variable, and its keys would appear in addresses. Take the keys from a variable that is not sensitive.")
	}
	switch t := v.Type(); {
	case v.IsNull():
		return diag.Errorf(subject, "Wrong value for for_each", "for_each is null. It must be a map or a set of strings; an empty one creates no instances.")
	case (t.IsCollectionType() || t.IsObjectType()) && v.LengthInt() > maxInstances:
		return diag.Errorf(subject, "Wrong value for for_each", "for_each has %s elements, but a stage can have at most %s instances. To process many values, make them the rows of a dataset.", english.Number(v.LengthInt()), english.Number(maxInstances))
	case t.IsMapType() || t.IsObjectType():
		return nil
	case t.IsSetType() && holdsNull(v):
		return diag.Errorf(subject, "Wrong value for for_each", "for_each is a set that contains null. Each member becomes the key of an instance, so it must be a string; compact() drops nulls from a list of strings.")
	case t.IsSetType() && (t.ElementType() == cty.String || v.LengthInt() == 0):
		return nil
	}
	return diag.Errorf(subject, "Wrong value for for_each", "for_each must be a map, an object, or a set of strings, not %s. Use toset() to convert a list to a set.", value.TypeName(v.Type()))
}

func holdsNull(set cty.Value) bool {
	for it := set.ElementIterator(); it.Next(); {
		if _, e := it.Element(); e.IsNull() {
			return true
		}
	}
	return false
}
