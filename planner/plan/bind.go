package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
)

// Bound is a configuration in the form that a plugin receives.
type Bound struct {
	// Config is an object of the body's type. It contains artifacts and row
	// expressions as strings: their keys.
	Config cty.Value
	// Inputs and Rows are the artifacts and row expressions by key.
	Inputs map[string]*Input
	Rows   map[string]*RowArg
	// Undecided are the choices that wait for a result, by key. Inputs and Rows
	// contain a candidate for each.
	Undecided map[string]*Choice
	// Body is the resolved body: expressions that waited for values given to
	// Bind are replaced by their results. The definition key is computed from
	// it.
	Body *Body
	// Secrets are the values of arguments that are sensitive or contain a
	// sensitive variable.
	Secrets []cty.Value
}

// Bind evaluates a configuration. vars is the result of Scope.Vars, with all
// secrets that the body names. An unknown value in it makes the arguments that
// need it unknown.
func (b *Body) Bind(vars map[string]cty.Value) (*Bound, hcl.Diagnostics) {
	resolved, diags := b.Resolve(vars)
	if diags.HasErrors() {
		return nil, diags
	}
	bound := &Bound{Body: resolved, Inputs: map[string]*Input{}, Rows: map[string]*RowArg{}}
	bound.Config, diags = bound.object(resolved, b.Type.Type, "", vars)
	diags = append(diags, bound.extra(resolved, vars)...)
	if diags.HasErrors() {
		return nil, diags
	}
	return bound, diags
}

func (o *Bound) object(b *Body, t cty.Type, prefix string, vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	attrs := map[string]cty.Value{}
	for name, at := range t.AttributeTypes() {
		if blockType(t, name) != cty.NilType && b.Args[name] == nil {
			attrs[name] = cty.EmptyTupleVal
			continue
		}
		arg, ok := b.Args[name]
		if !ok {
			attrs[name] = cty.NullVal(at)
			continue
		}
		v, more := o.arg(arg, at, prefix+name, vars)
		diags = append(diags, more...)
		attrs[name] = v
	}
	diags = append(diags, o.blocks(b, t, prefix, vars, attrs)...)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return cty.ObjectVal(attrs), diags
}

// extra adds the inputs and rows of arguments that are not written in the
// configuration. Those that come with a prompt have keys with dots.
func (o *Bound) extra(b *Body, vars map[string]cty.Value) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for name, a := range b.Args {
		if strings.Contains(name, ".") {
			_, more := o.arg(a, cty.String, name, vars)
			diags = append(diags, more...)
		}
	}
	return diags
}

func (o *Bound) arg(a *Arg, want cty.Type, key string, vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	switch {
	case a.Input != nil:
		o.Inputs[key] = a.Input
		return cty.StringVal(key), nil
	case a.Row != nil:
		o.Rows[key] = a.Row
		return cty.StringVal(key), nil
	case a.Choice != nil:
		if o.Undecided == nil {
			o.Undecided = map[string]*Choice{}
		}
		o.Undecided[key] = a.Choice
		return o.arg(a.Choice.stand(), want, key, vars)
	case a.Map != nil:
		return o.mapping(a, want, key, vars)
	case a.List != nil:
		return o.list(a, want, key, vars)
	case a.Expr != nil:
		v, diags := a.Expr.Eval(vars)
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		if len(a.Expr.Secrets) > 0 || a.Sensitive {
			plain, _ := v.UnmarkDeep()
			o.Secrets = append(o.Secrets, plain)
		}
		return converted(v, want, a, key)
	case a.Value != nil:
		return converted(a.Value.Value, want, a, key)
	}
	return cty.NullVal(want), nil
}

func (o *Bound) mapping(a *Arg, want cty.Type, key string, vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	attrs := make(map[string]cty.Value, len(a.Map))
	for name, element := range a.Map {
		v, more := o.arg(element, elementType(element), key+"."+name, vars)
		diags = append(diags, more...)
		attrs[name] = v
	}
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	if want.IsMapType() && len(attrs) > 0 && allOf(attrs, want.ElementType()) {
		return cty.MapVal(attrs), diags
	}
	return converted(cty.ObjectVal(attrs), want, a, key)
}

func allOf(values map[string]cty.Value, t cty.Type) bool {
	for _, v := range values {
		if v.ContainsMarked() || !v.Type().Equals(t) {
			return false
		}
	}
	return true
}

// elementType is the type that represents an element in the configuration: its
// key, or an object of keys for an element with several parts.
func elementType(a *Arg) cty.Type {
	if a.Map != nil {
		return cty.DynamicPseudoType
	}
	return cty.String
}

func (o *Bound) list(a *Arg, want cty.Type, key string, vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	elements := make([]cty.Value, len(a.List))
	for i, element := range a.List {
		v, more := o.arg(element, cty.String, key+"."+strconv.Itoa(i), vars)
		diags = append(diags, more...)
		elements[i] = v
	}
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return converted(cty.TupleVal(elements), want, a, key)
}

// blocks adds the nested blocks to attrs: a list of objects for each block
// type.
func (o *Bound) blocks(b *Body, t cty.Type, prefix string, vars map[string]cty.Value, attrs map[string]cty.Value) hcl.Diagnostics {
	if len(b.Blocks) == 0 {
		return nil
	}
	var diags hcl.Diagnostics
	items := map[string][]cty.Value{}
	for i, key := range b.BlockKeys(prefix) {
		block := b.Blocks[i]
		want := blockType(t, block.Name)
		if want == cty.NilType {
			continue
		}
		v, more := o.object(block.Body, want, key+".", vars)
		diags = append(diags, more...)
		items[block.Name] = append(items[block.Name], v)
	}
	if diags.HasErrors() {
		return diags
	}
	for name, list := range items {
		// It is a tuple, because blocks may differ in arguments of any type.
		attrs[name] = cty.TupleVal(list)
	}
	return diags
}

// blockType is the object type of a block with that name, or cty.NilType if the
// configuration has no such block.
func blockType(t cty.Type, name string) cty.Type {
	if !t.HasAttribute(name) {
		return cty.NilType
	}
	if list := t.AttributeType(name); list.IsListType() && list.ElementType().IsObjectType() {
		return list.ElementType()
	}
	return cty.NilType
}

// BlockKeys returns the key of each of b's blocks, with a prefix: the block's
// name and its labels, or, for a block without labels, its position among the
// blocks with that name.
func (b *Body) BlockKeys(prefix string) []string {
	keys := make([]string, len(b.Blocks))
	position := map[string]int{}
	for i, block := range b.Blocks {
		key := prefix + block.Name
		for _, label := range block.Labels {
			key += "." + label
		}
		if len(block.Labels) == 0 {
			key += "." + strconv.Itoa(position[block.Name])
			position[block.Name]++
		}
		keys[i] = key
	}
	return keys
}

func converted(v cty.Value, want cty.Type, a *Arg, key string) (cty.Value, hcl.Diagnostics) {
	v, _ = v.UnmarkDeep()
	got, err := convert.Convert(v, want)
	if err != nil {
		return cty.NilVal, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Wrong type of value",
			Detail:   fmt.Sprintf("The argument %q must be of type %s: %s.", key, want.FriendlyNameForConstraint(), err),
			Subject:  a.Range.Ptr(),
		}}
	}
	return got, nil
}

// Refs returns the addresses of the stages whose values the body waits for, and
// the sensitive variables that it names.
func (b *Body) Refs() (refs, secrets []string) {
	return b.refs(func(*Arg) bool { return true })
}

// ValueRefs returns the addresses of the stages whose values become part of the
// body: those of Refs, except for those that only decide a choice.
func (b *Body) ValueRefs() []string {
	refs, _ := b.refs(func(a *Arg) bool { return a.Choice == nil })
	return refs
}

func (b *Body) refs(counts func(*Arg) bool) (refs, secrets []string) {
	if !b.AnyExpression(func(e *expr.Compiled) bool { return len(e.Refs) > 0 || len(e.Secrets) > 0 }) {
		return nil, nil
	}
	seen := map[string]bool{}
	add := func(list *[]string, prefix string, names []string) {
		for _, name := range names {
			if !seen[prefix+name] {
				seen[prefix+name] = true
				*list = append(*list, name)
			}
		}
	}
	b.Expressions(func(_ string, a *Arg, e *expr.Compiled) {
		if counts(a) {
			add(&refs, "ref ", e.Refs)
			add(&secrets, "secret ", e.Secrets)
		}
	})
	return refs, secrets
}

// Inputs calls f for each input of the body and for each candidate of a choice.
func (b *Body) Inputs(f func(*Input)) {
	for _, a := range b.Args {
		a.inputs(f)
	}
	for _, nested := range b.Blocks {
		nested.Body.Inputs(f)
	}
}

func (a *Arg) inputs(f func(*Input)) {
	if a.Input != nil {
		f(a.Input)
	}
	if a.Choice != nil {
		for _, e := range a.Choice.Of {
			e.inputs(f)
		}
	}
	for _, e := range a.Map {
		e.inputs(f)
	}
	for _, e := range a.List {
		e.inputs(f)
	}
}

// Sensitive returns the sorted names of the sensitive arguments that are set.
// The name of an argument in a block includes the block's name: auth.token.
func (b *Body) Sensitive() []string {
	names := map[string]bool{}
	b.sensitive("", names)
	return ordered.Keys(names)
}

func (b *Body) sensitive(prefix string, names map[string]bool) {
	for name, a := range b.Args {
		if a.Sensitive {
			names[prefix+name] = true
		}
	}
	for _, block := range b.Blocks {
		block.Body.sensitive(prefix+block.Name+".", names)
	}
}

// Expressions calls f for each expression of the body: deferred expressions and
// row expressions.
func (b *Body) Expressions(f func(key string, a *Arg, e *expr.Compiled)) {
	b.expressions("", f)
}

// AnyExpression reports whether f is true for any of the expressions that
// Expressions calls it with.
func (b *Body) AnyExpression(f func(*expr.Compiled) bool) bool {
	return anyWith(b.Args, f) || slices.ContainsFunc(b.Blocks, func(nested *Block) bool { return nested.Body.AnyExpression(f) })
}

func (a *Arg) anyExpression(f func(*expr.Compiled) bool) bool {
	switch {
	case a.Expr != nil && f(a.Expr), a.Row != nil && f(a.Row.Expr), a.Choice != nil && f(a.Choice.Key):
		return true
	case a.Choice != nil && anyWith(a.Choice.Of, f):
		return true
	}
	return anyWith(a.Map, f) || slices.ContainsFunc(a.List, func(element *Arg) bool { return element.anyExpression(f) })
}

func anyWith(args map[string]*Arg, f func(*expr.Compiled) bool) bool {
	for _, a := range args {
		if a.anyExpression(f) {
			return true
		}
	}
	return false
}

func (b *Body) expressions(prefix string, f func(string, *Arg, *expr.Compiled)) {
	for name, a := range b.Args {
		a.expressions(prefix+name, f)
	}
	for i, key := range b.BlockKeys(prefix) {
		b.Blocks[i].Body.expressions(key+".", f)
	}
}

func (a *Arg) expressions(key string, f func(string, *Arg, *expr.Compiled)) {
	switch {
	case a.Expr != nil:
		f(key, a, a.Expr)
	case a.Row != nil:
		f(key, a, a.Row.Expr)
	case a.Choice != nil:
		f(key, a, a.Choice.Key)
		for _, candidate := range a.Choice.Of {
			candidate.expressions(key, f)
		}
	}
	for name, element := range a.Map {
		element.expressions(key+"."+name, f)
	}
	for i, element := range a.List {
		element.expressions(key+"."+strconv.Itoa(i), f)
	}
}

// Resolve evaluates the deferred expressions as far as vars has their values.
// Sensitive variables remain references. If the body waits for nothing, Resolve
// returns it unchanged; otherwise the result shares with b whatever did not
// change.
func (b *Body) Resolve(vars map[string]cty.Value) (*Body, hcl.Diagnostics) {
	r := &resolver{vars: vars}
	out := r.body(b)
	return out, r.diags
}

// Resolve resolves the test of a condition, as Body.Resolve does for arguments.
func (c Condition) Resolve(vars map[string]cty.Value) (Condition, hcl.Diagnostics) {
	r := &resolver{vars: vars}
	if len(c.Test.Refs) > 0 {
		c.Test = r.compile(c.Test, nil)
	}
	return c, r.diags
}

type resolver struct {
	vars  map[string]cty.Value
	eval  *hcl.EvalContext
	diags hcl.Diagnostics
}

func (r *resolver) body(b *Body) *Body {
	if !b.AnyExpression(func(e *expr.Compiled) bool { return len(e.Refs) > 0 }) {
		return b
	}
	out := &Body{Type: b.Type, Args: make(map[string]*Arg, len(b.Args)), Blocks: make([]*Block, len(b.Blocks))}
	for name, a := range b.Args {
		out.Args[name] = r.arg(a)
	}
	for i, block := range b.Blocks {
		out.Blocks[i] = &Block{Name: block.Name, Labels: block.Labels, Body: r.body(block.Body)}
	}
	return out
}

func (r *resolver) arg(a *Arg) *Arg {
	out := *a
	switch {
	case a.Expr != nil && len(a.Expr.Refs) > 0:
		return r.deferred(a)
	case a.Row != nil && len(a.Row.Expr.Refs) > 0:
		row := *a.Row
		row.Expr = r.compile(a.Row.Expr, &row)
		out.Row = &row
	case a.Choice != nil:
		return r.choice(a)
	case a.Map != nil:
		out.Map = make(map[string]*Arg, len(a.Map))
		for name, element := range a.Map {
			out.Map[name] = r.arg(element)
		}
	case a.List != nil:
		out.List = make([]*Arg, len(a.List))
		for i, element := range a.List {
			out.List[i] = r.arg(element)
		}
	default:
		return a
	}
	return &out
}

// choice replaces a choice with the selected candidate, once that is known.
func (r *resolver) choice(a *Arg) *Arg {
	key, diags := a.Choice.Key.Eval(r.vars)
	r.diags = append(r.diags, diags...)
	if diags.HasErrors() || !key.IsKnown() {
		return a
	}
	chosen, d := a.Choice.chosen(key)
	if d != nil {
		r.diags = append(r.diags, d)
		return a
	}
	out := *r.arg(chosen)
	out.Operational, out.Sensitive, out.Range = a.Operational, a.Sensitive, a.Range
	return &out
}

// deferred replaces a deferred argument with its value or, if it contains a
// sensitive variable, evaluates the rest of it.
func (r *resolver) deferred(a *Arg) *Arg {
	out := *a
	if len(a.Expr.Secrets) > 0 {
		out.Expr = r.compile(a.Expr, nil)
		return &out
	}
	v, diags := a.Expr.Eval(r.vars)
	r.diags = append(r.diags, diags...)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return a
	}
	v, _ = v.UnmarkDeep()
	out.Expr, out.Value = nil, &value.Value{Value: v}
	return &out
}

// compile compiles an expression's text again, with the values that are known
// now.
func (r *resolver) compile(c *expr.Compiled, row *RowArg) *expr.Compiled {
	e, diags := limit.ParseExpression([]byte(c.Text), c.Range.File, hcl.InitialPos)
	if diags.HasErrors() {
		r.diags = append(r.diags, diags...)
		return c
	}
	scope := &expr.Scope{Eval: r.context(), Late: c.LateTypes()}
	var err error
	if scope.Foreign, err = c.ForeignScope(); err != nil {
		r.diags = append(r.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Function not available", Detail: err.Error() + ".", Subject: c.Range.Ptr()})
		return c
	}
	if row != nil {
		scope.Row, scope.RowOf = row.Schema, row.Of
	}
	again, diags := expr.Compile(e, scope, c.Type.Type)
	for _, d := range diags {
		d.Subject = c.Range.Ptr()
	}
	r.diags = append(r.diags, diags...)
	if diags.HasErrors() {
		return c
	}
	again.Range = c.Range
	// The column was declared when less was known. A number that turns out to
	// be whole still goes into a column of floats.
	again.ColumnType = c.ColumnType
	return again
}

// context returns vars as an evaluation context, with secrets marked so that
// they remain references.
func (r *resolver) context() *hcl.EvalContext {
	if r.eval != nil {
		return r.eval
	}
	variables := make(map[string]cty.Value, len(r.vars))
	for root, v := range r.vars {
		if root == "var" {
			attrs := map[string]cty.Value{}
			for name, secret := range v.AsValueMap() {
				attrs[name] = secret.Mark(value.Sensitive{Variable: name})
			}
			v = cty.ObjectVal(attrs)
		}
		variables[root] = v
	}
	r.eval = &hcl.EvalContext{Variables: variables, Functions: funcs.Pure()}
	return r.eval
}
