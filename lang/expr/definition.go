package expr

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
)

// Definition is what a name refers to: an expression, or an object or a list of
// definitions. Exactly one of Expr, Object, and List is set.
type Definition struct {
	// Expr is compiled in Scope or, if that is nil, in the scope in which the name
	// is used. It may not mention `row`.
	Expr  hcl.Expression
	Scope *Scope
	// Type is the type that the value of Expr is converted to, or cty.NilType.
	Type cty.Type

	Object map[string]*Definition
	List   []*Definition
}

// inline replaces a name with its definition.
func (r *reducer) inline(e *hclsyntax.ScopeTraversalExpr, name string, def *Definition) hclsyntax.Expression {
	if slices.Contains(r.inside, def) {
		return r.fail(e, hcl.Diagnostics{diag.Errorf(e.SrcRange.Ptr(), "Circular definition",
			"The definition of %s refers to itself.", name)})
	}
	r.inside = append(r.inside, def)
	reduced := r.defined(e, name, def, e.Traversal[2:])
	r.inside = r.inside[:len(r.inside)-1]
	for _, t := range config.Variables(reduced) {
		if r.locals.has(t.RootName()) {
			return r.fail(e, hcl.Diagnostics{diag.Errorf(e.SrcRange.Ptr(), "Loop variable hides a name",
				"%s refers to %s, but an enclosing `for` uses this name for its variable. Rename the variable.", name, t.RootName())})
		}
	}
	return reduced
}

// defined returns the part of a definition that steps lead to.
func (r *reducer) defined(e *hclsyntax.ScopeTraversalExpr, name string, def *Definition, steps hcl.Traversal) hclsyntax.Expression {
	for len(steps) > 0 && def.Expr == nil {
		part := def.part(steps[0])
		if part == nil {
			return r.fail(e, hcl.Diagnostics{diag.Errorf(e.SrcRange.Ptr(), "No such attribute", "%s has no %s.", name, stepsText(steps[:1]))})
		}
		def, steps = part, steps[1:]
	}
	return extend(r.definition(e, def.withOnly(r.only[e])), steps, e.SrcRange)
}

// withOnly returns a definition whose elements have only some attributes; nil means
// all of them.
func (d *Definition) withOnly(attributes []string) *Definition {
	if attributes == nil {
		return d
	}
	of := func(element *Definition) *Definition {
		if element.Object == nil {
			return element
		}
		out := &Definition{Object: map[string]*Definition{}}
		for _, name := range attributes {
			if part := element.Object[name]; part != nil {
				out.Object[name] = part
			}
		}
		return out
	}
	out := *d
	out.List, out.Object = nil, nil
	for _, element := range d.List {
		out.List = append(out.List, of(element))
	}
	if d.Object != nil {
		out.Object = make(map[string]*Definition, len(d.Object))
		for key, element := range d.Object {
			out.Object[key] = of(element)
		}
	}
	return &out
}

// readOnly records which attributes are read of the elements of a collection.
func (r *reducer) readOnly(collection hclsyntax.Expression, attributes []string) {
	if attributes == nil {
		return
	}
	if r.only == nil {
		r.only = map[hclsyntax.Expression][]string{}
	}
	r.only[collection] = attributes
}

// splatAttributes returns the attribute that a splat reads, or nil if that is not
// certain.
func splatAttributes(e *hclsyntax.SplatExpr) []string {
	each, ok := e.Each.(*hclsyntax.RelativeTraversalExpr)
	if !ok || each.Source != hclsyntax.Expression(e.Item) {
		return nil
	}
	if name, ok := AttributeName(each.Traversal[0]); ok {
		return []string{name}
	}
	return nil
}

// forAttributes returns the attributes that a `for` reads of its elements, or nil if
// that is not certain.
func forAttributes(e *hclsyntax.ForExpr) []string {
	names := []string{}
	for _, part := range []hclsyntax.Expression{e.KeyExpr, e.ValExpr, e.CondExpr} {
		if part == nil {
			continue
		}
		for _, t := range config.Variables(part) {
			if t.RootName() != e.ValVar {
				continue
			}
			name, ok := columnOf(t)
			if !ok {
				return nil
			}
			names = append(names, name)
		}
	}
	return names
}

// part returns the definition that a step leads to, or nil if there is none.
func (d *Definition) part(step hcl.Traverser) *Definition {
	if i, ok := stepIndex(step); ok && i < len(d.List) {
		return d.List[i]
	}
	if name, ok := AttributeName(step); ok {
		return d.Object[name]
	}
	return nil
}

// definition reduces a definition that is used in place of e.
func (r *reducer) definition(e hclsyntax.Expression, def *Definition) hclsyntax.Expression {
	at := e.Range()
	switch {
	case def.Expr != nil:
		return r.definedExpr(e, def)
	case def.Object != nil:
		object := &hclsyntax.ObjectConsExpr{SrcRange: at, OpenRange: at}
		for _, name := range ordered.Keys(def.Object) {
			key := &hclsyntax.ObjectConsKeyExpr{Wrapped: literal(cty.StringVal(name), at), ForceNonLiteral: true}
			object.Items = append(object.Items, hclsyntax.ObjectConsItem{KeyExpr: key, ValueExpr: r.definition(e, def.Object[name])})
		}
		return object
	}
	list := &hclsyntax.TupleConsExpr{SrcRange: at, OpenRange: at}
	for _, element := range def.List {
		list.Exprs = append(list.Exprs, r.definition(e, element))
	}
	return list
}

func (r *reducer) definedExpr(e hclsyntax.Expression, def *Definition) hclsyntax.Expression {
	scope, source, locals := r.scope, r.source, r.locals
	if def.Scope != nil {
		inner := *def.Scope
		inner.Keyless, inner.Output = r.scope.Keyless, r.scope.Output
		r.scope, r.source = &inner, sourceOf(&inner)
		r.known.foreign = r.known.foreign || !inner.Module.IsRoot()
	}
	r.locals = nil
	rowless := *r.scope
	rowless.Row, rowless.Late = nil, nil
	src, diags := syntax(def.Expr)
	if !diags.HasErrors() {
		diags = checkNames(src, &rowless)
	}
	reduced := failing(e.Range())
	if !diags.HasErrors() {
		reduced = r.reduce(src)
	}
	r.scope, r.source, r.locals = scope, source, locals
	if diags.HasErrors() {
		return r.fail(e, diags)
	}
	return r.ofType(reduced, def.Type)
}

// ofType converts the result of a reduced expression to a type, unless it has that
// type already.
func (r *reducer) ofType(e hclsyntax.Expression, want cty.Type) hclsyntax.Expression {
	if want == cty.NilType || want == cty.DynamicPseudoType || isFailing(e) {
		return e
	}
	if t, ok := r.staticType(e); ok && t.Equals(want) {
		return e
	}
	converted, ok := conversion(e, want)
	if !ok {
		return e
	}
	return converted
}

// stage returns a reference to a stage with its whole address.
func (r *reducer) stage(e *hclsyntax.ScopeTraversalExpr) hclsyntax.Expression {
	a, _, ok := addr.FromTraversal(e.Traversal)
	if !ok || !r.known.foreign {
		return e
	}
	if v, diags := e.Traversal[:2].TraverseAbs(r.source); !diags.HasErrors() {
		r.known.stage(a.In(r.scope.Module), v)
	}
	if r.scope.Module.IsRoot() {
		return e
	}
	whole := a.In(r.scope.Module).Traversal(e.SrcRange)
	if r.locals.has(whole.RootName()) {
		return r.fail(e, hcl.Diagnostics{diag.Errorf(e.SrcRange.Ptr(), "Loop variable hides a name",
			"In a module, a `for` around a reference to a stage cannot name its variable %s. Rename the variable.", whole.RootName())})
	}
	return &hclsyntax.ScopeTraversalExpr{Traversal: slices.Concat(whole, e.Traversal[2:]), SrcRange: e.SrcRange}
}

// knownNames adds what reduced parts refer to, to the context that they are
// evaluated with.
type knownNames struct {
	to *hcl.EvalContext
	// inRoot is set if the outermost scope is that of the root module, so that its
	// names are whole addresses.
	inRoot bool
	// foreign is set if parts may come from modules other than the root module.
	foreign   bool
	variables map[string]cty.Value
	stages    map[addr.Stage]cty.Value
}

// variable adds a sensitive variable of the root module, or a value that
// sensitive() hides.
func (k *knownNames) variable(name string, v cty.Value) {
	if k.variables == nil {
		k.variables = map[string]cty.Value{}
		maps.Copy(k.variables, k.outermost("var"))
	}
	k.variables[name] = v
	k.set("var", cty.ObjectVal(k.variables))
}

func (k *knownNames) stage(s addr.Stage, v cty.Value) {
	if k.stages == nil {
		k.stages = map[addr.Stage]cty.Value{}
	}
	k.stages[s] = v
	for root, v := range Stages(k.stages) {
		if root != moduleName {
			all := k.outermost(root)
			maps.Copy(all, v.AsValueMap())
			v = cty.ObjectVal(all)
		}
		k.set(root, v)
	}
}

// outermost returns the attributes of a name of the root module.
func (k *knownNames) outermost(root string) map[string]cty.Value {
	if v, ok := lookupVariable(k.to.Parent(), root); ok && k.inRoot && v.Type().IsObjectType() && v.LengthInt() > 0 {
		return maps.Clone(v.AsValueMap())
	}
	return map[string]cty.Value{}
}

func (k *knownNames) set(root string, v cty.Value) {
	if k.to.Variables == nil {
		k.to.Variables = map[string]cty.Value{}
	}
	k.to.Variables[root] = v
}

// Stages returns the variables that compiled expressions find the values of stages
// in: one object per kind for the root module, and one for the other modules.
func Stages(values map[addr.Stage]cty.Value) map[string]cty.Value {
	root := &group{}
	for s, v := range values {
		in := root
		for _, call := range s.Module.Calls() {
			in = in.in(moduleName).in(call.Name)
			if call.Key != cty.NilVal {
				in = in.in(keyName(call.Key))
			}
		}
		in.in(s.Kind).in(s.Name).value = v
	}
	vars := make(map[string]cty.Value, len(root.groups))
	for name, g := range root.groups {
		vars[name] = g.object()
	}
	return vars
}

// group is an object of values that are found by several steps.
type group struct {
	value  cty.Value
	groups map[string]*group
}

func (g *group) in(name string) *group {
	if g.groups[name] == nil {
		if g.groups == nil {
			g.groups = map[string]*group{}
		}
		g.groups[name] = &group{}
	}
	return g.groups[name]
}

func (g *group) object() cty.Value {
	if g.groups == nil {
		return g.value
	}
	attrs := make(map[string]cty.Value, len(g.groups))
	for name, inner := range g.groups {
		attrs[name] = inner.object()
	}
	return cty.ObjectVal(attrs)
}

// moduleName is what references to stages outside of the root module begin with.
const moduleName = "module"

// keyName returns the attribute that the index of a module's instance leads to.
func keyName(key cty.Value) string {
	if key.Type() == cty.Number {
		return key.AsBigFloat().Text('f', -1)
	}
	return key.AsString()
}
