package decode

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/planner/secrets"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// collection decodes a list or map of artifacts and row expressions. A literal
// list or map is decoded element by element, because row expressions cannot be
// evaluated; anything else must evaluate to artifacts.
func (d *bodyDecoder) collection(a *schema.Argument, e hclsyntax.Expression, sc *module.Scope, key string) *plan.Arg {
	isMap := a.Collection == pluginv1.Collection_COLLECTION_MAP
	switch src := unparenthesized(e).(type) {
	case *hclsyntax.ObjectConsExpr:
		if isMap {
			return d.written(a, src, sc, key)
		}
	case *hclsyntax.TupleConsExpr:
		if !isMap {
			return d.writtenList(a, src, sc, key)
		}
	}
	if d.blind(e, sc) {
		return nil
	}
	if a.PerRow && expr.MentionsRow(e) {
		d.errorf(e.Range(), "Row expressions must be written out", "The argument %q is a %s of row expressions. Write its elements one by one: %s", a.Name, collectionName(isMap), collectionExample(isMap))
		return nil
	}
	v, diags := eval.Value(e, sc.Handles)
	if diags.HasErrors() {
		d.diags = append(d.diags, diags...)
		return nil
	}
	return d.evaluated(a, v, e, key, isMap)
}

func unparenthesized(e hclsyntax.Expression) hclsyntax.Expression {
	for {
		p, ok := e.(*hclsyntax.ParenthesesExpr)
		if !ok {
			return e
		}
		e = p.Expression
	}
}

func collectionName(isMap bool) string {
	if isMap {
		return "map"
	}
	return "list"
}

func collectionExample(isMap bool) string {
	if isMap {
		return "{ a = …, b = … }"
	}
	return "[…, …]"
}

func (d *bodyDecoder) written(a *schema.Argument, src *hclsyntax.ObjectConsExpr, sc *module.Scope, key string) *plan.Arg {
	out := &plan.Arg{Map: make(map[string]*plan.Arg, len(src.Items))}
	for _, item := range src.Items {
		if d.blind(item.KeyExpr, sc) {
			continue
		}
		name, diags := eval.Value(item.KeyExpr, sc.Values)
		d.diags = append(d.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		if !name.IsKnown() || name.IsNull() || name.IsMarked() || name.Type() != cty.String {
			d.errorf(item.KeyExpr.Range(), "Wrong key", "Each key of the argument %q must be a string that is known at plan time.", a.Name)
			continue
		}
		if out.Map[name.AsString()] != nil {
			d.errorf(item.KeyExpr.Range(), "Duplicate key", "The argument %q already has the key %q.", a.Name, name.AsString())
			continue
		}
		if arg := d.element(a, item.ValueExpr, sc, key+"."+name.AsString()); arg != nil {
			arg.Range = diag.NewRange(item.ValueExpr.Range())
			out.Map[name.AsString()] = arg
		}
	}
	return out
}

func (d *bodyDecoder) writtenList(a *schema.Argument, src *hclsyntax.TupleConsExpr, sc *module.Scope, key string) *plan.Arg {
	out := &plan.Arg{List: []*plan.Arg{}}
	for i, e := range src.Exprs {
		if arg := d.element(a, e, sc, key+"."+strconv.Itoa(i)); arg != nil {
			arg.Range = diag.NewRange(e.Range())
			out.List = append(out.List, arg)
		}
	}
	return out
}

// evaluated decodes a collection's elements from a value.
func (d *bodyDecoder) evaluated(a *schema.Argument, v cty.Value, e hclsyntax.Expression, key string, isMap bool) *plan.Arg {
	if v.IsKnown() && v.IsNull() {
		return nil
	}
	_, single := module.HandleOf(v)
	t := v.Type()
	if single || !v.IsKnown() || !v.CanIterateElements() || isMap != (t.IsMapType() || t.IsObjectType()) {
		d.errorf(e.Range(), "Wrong type of value", "The argument %q must be a %s, and each element must be %s: %s = %s", a.Name, collectionName(isMap), a.Holds(), a.Name, collectionExample(isMap))
		return nil
	}
	if v.IsMarked() {
		d.errorf(e.Range(), "Sensitive collection", "The argument %q needs a collection whose keys and length are known at plan time, but this one comes from a sensitive variable.", a.Name)
		return nil
	}
	out := &plan.Arg{}
	for i, element := range value.Elements(v) {
		step := strconv.Itoa(i)
		if isMap {
			step = element.Key.AsString()
		}
		arg := d.value(a, element.Value, e, key+"."+step)
		if arg == nil {
			continue
		}
		arg.Range = diag.NewRange(e.Range())
		if !isMap {
			out.List = append(out.List, arg)
			continue
		}
		if out.Map == nil {
			out.Map = map[string]*plan.Arg{}
		}
		out.Map[step] = arg
	}
	if out.Map == nil && out.List == nil {
		out.Map, out.List = map[string]*plan.Arg{}, nil
		if !isMap {
			out.Map, out.List = nil, []*plan.Arg{}
		}
	}
	return out
}

// element decodes one artifact or row expression.
func (d *bodyDecoder) element(a *schema.Argument, e hclsyntax.Expression, sc *module.Scope, key string) *plan.Arg {
	if d.blind(e, sc) {
		return nil
	}
	if src, ok := unparenthesized(e).(*hclsyntax.ObjectConsExpr); ok && a.Asked() {
		return d.writtenAsked(a, src, sc, key)
	}
	if a.PerRow && (len(a.Kinds) == 0 || expr.MentionsRow(e)) {
		return d.row(a, e, sc)
	}
	if expr.MentionsRow(e) {
		d.errorf(e.Range(), "Name is not available here", "The argument %q must be %s, not a row expression.", a.Name, a.Holds())
		return nil
	}
	if arg, ok := d.choice(a, e, sc, key); ok {
		return arg
	}
	v, diags := eval.Value(e, sc.Handles)
	if diags.HasErrors() {
		d.diags = append(d.diags, diags...)
		return nil
	}
	if _, isHandle := module.HandleOf(v); !isHandle && a.PerRow && !(v.IsKnown() && v.IsNull()) {
		return d.row(a, e, sc)
	}
	return d.value(a, v, e, key)
}

// value decodes an artifact from a value.
func (d *bodyDecoder) value(a *schema.Argument, v cty.Value, e hclsyntax.Expression, key string) *plan.Arg {
	if v.IsKnown() && v.IsNull() {
		return nil
	}
	if d.MayBeAnything(v) {
		d.skip = true
		return nil
	}
	h, ok := module.HandleOf(v)
	switch {
	case !ok && a.Asked() && v.Type().IsObjectType():
		return d.evaluatedAsked(a, v, e, key)
	case !ok && !v.IsKnown():
		d.errorf(e.Range(), "Artifact is not known yet", "Which artifact the argument %q gets depends on a result that is not known yet. Write the choice as an index, as in train.NAME[…], or choose with a variable.", a.Name)
		return nil
	case !ok:
		d.errorf(e.Range(), "Wrong type of value", "The argument %q must be %s, but this is %s.", a.Name, a.Holds(), whatIs(v))
		return nil
	case h.Port == nil:
		d.errorf(e.Range(), "Not an artifact", "%s", advice(h, a))
		return nil
	case h.Port.Kind == plan.KindPrompt && a.Asked():
		d.errorf(e.Range(), "Prompt without a model", "%s is a prompt, which needs a model to answer it. Write { model = model.…, prompt = %s }.", h, h)
		return nil
	case !a.Takes(h.Port.Kind):
		d.errorf(e.Range(), "Wrong kind of artifact", "%s is a %s, but the argument %q must be %s.%s", h, h.Port.Kind, a.Name, a.Holds(), others(h, a))
		return nil
	}
	if h.Port.Kind == plan.KindPrompt {
		return d.prompt(a, h, e.Range(), key)
	}
	d.inputs[key] = h
	in := &plan.Input{Address: h.From.Address, Port: h.Port.Name, Kind: h.Port.Kind}
	if h.Port.Kind == plan.KindModel && a.PerRow {
		in.Of = a.Rows
	}
	return &plan.Arg{Input: in}
}

// whatIs describes a value that should have been an artifact. For all instances
// of a stage with count or for_each, it says that one of them has to be
// selected.
func whatIs(v cty.Value) string {
	t := v.Type()
	if v.IsMarked() || !v.IsKnown() || v.IsNull() || !t.IsObjectType() && !t.IsTupleType() {
		return value.TypeName(t)
	}
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		if h, ok := module.HandleOf(element); ok {
			return fmt.Sprintf("a group of instances. Name one, such as %s", h)
		}
	}
	return value.TypeName(t)
}

// advice says what to write instead of an instance that is not an artifact.
func advice(h *module.Handle, a *schema.Argument) string {
	var outputs []string
	for i := range h.From.Outputs {
		if p := &h.From.Outputs[i]; a.Takes(p.Kind) {
			outputs = append(outputs, h.From.Address+"."+p.Name)
		}
	}
	if len(outputs) == 0 {
		return h.From.Address + " has no output for the argument \"" + a.Name + "\", which must be " + a.Holds() + "."
	}
	return h.From.Address + " is not itself an artifact. Name one of its outputs: " + strings.Join(outputs, ", ") + "."
}

// others names the outputs of the same instance that would be valid.
func others(h *module.Handle, a *schema.Argument) string {
	var fit []string
	for i := range h.From.Outputs {
		if p := &h.From.Outputs[i]; p != h.Port && a.Takes(p.Kind) && p.Name != "errors" {
			fit = append(fit, (&module.Handle{From: h.From, Port: p}).String())
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return " Did you mean " + english.Or(fit) + "?"
}

// row compiles a row expression.
func (d *bodyDecoder) row(a *schema.Argument, e hclsyntax.Expression, sc *module.Scope) *plan.Arg {
	of := d.inputs[a.Rows]
	if of == nil {
		// The dataset has an error of its own or is missing.
		if !d.diags.HasErrors() && !d.skip && !d.stage.Flawed() {
			d.errorf(e.Range(), "No dataset for this row expression", "The argument %q is evaluated for each row of the argument %q, which is not set.", a.Name, a.Rows)
		}
		d.skip = true
		d.diags = append(d.diags, expr.CheckBlind(e, d.scopeOf(sc))...)
		return nil
	}
	s := d.scopeOf(sc)
	s.Row, s.RowOf, s.Late = of.Port.Columns, of.String(), a.LateNames
	if s.Row == nil {
		s.Row = data.Schema{}
	}
	if name := d.impureLocal(e); name != "" {
		return nil
	}
	c, diags := expr.Compile(e, s, a.Element)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return nil
	}
	if c.Exposes() {
		d.errorf(e.Range(), "Secret in a result", "The argument %q has a value for each row, which may be stored with the results, and this value contains %s. Compare with the secret (==), or use a hash of it, such as sha256(…). If the value is not secret here, wrap it in nonsensitive(…).", a.Name, diag.List(secrets.Names(c.Secrets)))
		return nil
	}
	d.checkDepends(a, e, sc, of)
	row := &plan.RowArg{Expr: c, Of: a.Rows, Late: len(a.LateNames) > 0}
	if len(c.Refs) > 0 {
		row.Schema = pickColumns(of.Port.Columns, c.Columns)
	}
	return &plan.Arg{Row: row}
}

// checkDepends reports a row expression that is the same for every row, because
// it is easy to write a column's name in place of the column.
func (d *bodyDecoder) checkDepends(a *schema.Argument, e hclsyntax.Expression, sc *module.Scope, of *module.Handle) {
	names := append(slices.Sorted(maps.Keys(a.LateNames)), "row")
	if a.Element == cty.Bool || expr.Mentions(e, names...) {
		return
	}
	meant, isColumn := meantColumn(e, sc, of.Port.Columns)
	switch {
	case !a.Constant:
		d.errorf(e.Range(), "Expression does not depend on row", "%s does not depend on %s, so it is the same for every row of %s.%s",
			a.Name, english.Or(names), of, meant)
	case isColumn:
		d.diags = append(d.diags, diag.Warningf(e.Range().Ptr(), "Expression does not depend on row", "This text is the same for every row, but it is also the name of a column of %s.%s", of, meant))
	}
}

// meantColumn suggests a column in place of a constant text. isColumn reports
// whether the text is the name of a column.
func meantColumn(e hclsyntax.Expression, sc *module.Scope, columns data.Schema) (suggestion string, isColumn bool) {
	v, diags := e.Value(sc.Values)
	if v, _ = v.Unmark(); diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	name := strings.TrimPrefix(v.AsString(), "row.")
	if _, _, ok := columns.Lookup(name); ok {
		return fmt.Sprintf(" Did you mean %s?", expr.RowColumn(name)), true
	}
	if closest := diag.Closest(expr.RowColumn(name), rowNames(columns)); closest != "" {
		return fmt.Sprintf(" Did you mean %s?", closest), false
	}
	return "", false
}

func rowNames(columns data.Schema) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = expr.RowColumn(c.Name)
	}
	return names
}

// impureLocal reports a local that contains the result of an impure function.
func (d *bodyDecoder) impureLocal(e hclsyntax.Expression) string {
	if len(d.stage.Refs.Locals) == 0 {
		return ""
	}
	r := module.RefsOf(e)
	for _, name := range r.Locals {
		if l := d.Local(name); l != nil && l.Impure {
			d.errorf(e.Range(), "Value is not reproducible",
				"local.%s comes from a function that returns a different result on every call, so nothing computed from it could be reused. Pass the value in through a variable instead.", name)
			return name
		}
	}
	return ""
}

func pickColumns(all data.Schema, names []string) data.Schema {
	picked := data.Schema{}
	for _, name := range names {
		if c, _, ok := all.Lookup(name); ok {
			picked = append(picked, c)
		}
	}
	return picked
}
