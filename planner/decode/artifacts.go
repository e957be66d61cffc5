package decode

import (
	"fmt"
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
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// collection decodes a list or map of artifacts and row expressions. A literal
// list or map is decoded element by element, because row expressions cannot be
// evaluated; anything else must evaluate to artifacts.
func (a *artifactArgument) collection(e hclsyntax.Expression, key string) *plan.Arg {
	isMap := a.Collection == pluginv1.Collection_COLLECTION_MAP
	switch src := unparenthesized(e).(type) {
	case *hclsyntax.ObjectConsExpr:
		if isMap {
			return a.written(src, key)
		}
	case *hclsyntax.TupleConsExpr:
		if !isMap {
			return a.writtenList(src, key)
		}
	}
	if a.blind(e, a.scope) {
		return nil
	}
	if a.PerRow && expr.MentionsRow(e) {
		a.errorf(e.Range(), "Row expressions must be written out", "The argument %q is a %s of row expressions. Write its elements one by one: %s", a.Name, collectionName(isMap), collectionExample(isMap))
		return nil
	}
	v, diags := eval.Value(e, a.scope.Handles)
	if diags.HasErrors() {
		a.diags = append(a.diags, diags...)
		return nil
	}
	return a.evaluated(v, e, key, isMap)
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

func (a *artifactArgument) written(src *hclsyntax.ObjectConsExpr, key string) *plan.Arg {
	out := &plan.Arg{Map: make(map[string]*plan.Arg, len(src.Items))}
	for _, item := range src.Items {
		if a.blind(item.KeyExpr, a.scope) {
			continue
		}
		name, diags := eval.Value(item.KeyExpr, a.scope.Values)
		a.diags = append(a.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		if !name.IsKnown() || name.IsNull() || name.IsMarked() || name.Type() != cty.String {
			a.errorf(item.KeyExpr.Range(), "Wrong key", "Each key of the argument %q must be a string that is known at plan time.", a.Name)
			continue
		}
		if out.Map[name.AsString()] != nil {
			a.errorf(item.KeyExpr.Range(), "Duplicate key", "The argument %q already has the key %q.", a.Name, name.AsString())
			continue
		}
		if arg := a.element(item.ValueExpr, key+"."+name.AsString()); arg != nil {
			arg.Range = diag.NewRange(item.ValueExpr.Range())
			out.Map[name.AsString()] = arg
		}
	}
	return out
}

func (a *artifactArgument) writtenList(src *hclsyntax.TupleConsExpr, key string) *plan.Arg {
	out := &plan.Arg{List: []*plan.Arg{}}
	for i, e := range src.Exprs {
		if arg := a.element(e, key+"."+strconv.Itoa(i)); arg != nil {
			arg.Range = diag.NewRange(e.Range())
			out.List = append(out.List, arg)
		}
	}
	return out
}

// evaluated decodes a collection's elements from a value.
func (a *artifactArgument) evaluated(v cty.Value, e hclsyntax.Expression, key string, isMap bool) *plan.Arg {
	if v.IsKnown() && v.IsNull() {
		return nil
	}
	_, single := module.HandleOf(v)
	t := v.Type()
	if single || !v.IsKnown() || !v.CanIterateElements() || isMap != (t.IsMapType() || t.IsObjectType()) {
		a.errorf(e.Range(), "Wrong type of value", "The argument %q must be a %s, and each element must be %s: %s = %s", a.Name, collectionName(isMap), a.Holds(), a.Name, collectionExample(isMap))
		return nil
	}
	if v.IsMarked() {
		a.errorf(e.Range(), "Sensitive collection", "The argument %q needs a collection whose keys and length are known at plan time, but this one comes from a sensitive variable.", a.Name)
		return nil
	}
	out := &plan.Arg{}
	for i, element := range value.Elements(v) {
		step := strconv.Itoa(i)
		if isMap {
			step = element.Key.AsString()
		}
		arg := a.value(element.Value, e, key+"."+step)
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
func (a *artifactArgument) element(e hclsyntax.Expression, key string) *plan.Arg {
	if a.blind(e, a.scope) {
		return nil
	}
	if src, ok := unparenthesized(e).(*hclsyntax.ObjectConsExpr); ok && a.Asked() {
		return a.writtenAsked(src, key)
	}
	if a.PerRow && (len(a.Kinds) == 0 || expr.MentionsRow(e)) {
		return a.row(e)
	}
	if expr.MentionsRow(e) {
		a.errorf(e.Range(), "Name is not available here", "The argument %q must be %s, not a row expression.", a.Name, a.Holds())
		return nil
	}
	if arg, ok := a.choice(e, key); ok {
		return arg
	}
	v, diags := eval.Value(e, a.scope.Handles)
	if diags.HasErrors() {
		a.diags = append(a.diags, diags...)
		return nil
	}
	if _, isHandle := module.HandleOf(v); !isHandle && a.PerRow && !(v.IsKnown() && v.IsNull()) {
		return a.row(e)
	}
	return a.value(v, e, key)
}

// value decodes an artifact from a value.
func (a *artifactArgument) value(v cty.Value, e hclsyntax.Expression, key string) *plan.Arg {
	if v.IsKnown() && v.IsNull() {
		return nil
	}
	if a.MayBeAnything(v) {
		a.skip = true
		return nil
	}
	h, ok := module.HandleOf(v)
	switch {
	case !ok && a.Asked() && v.Type().IsObjectType():
		return a.evaluatedAsked(v, e, key)
	case !ok && !v.IsKnown():
		a.errorf(e.Range(), "Artifact is not known yet", "Which artifact the argument %q gets depends on a result that is not known yet. Write the choice as an index, as in train.NAME[…], or choose with a variable.", a.Name)
		return nil
	case !ok:
		a.errorf(e.Range(), "Wrong type of value", "The argument %q must be %s, but this is %s.", a.Name, a.Holds(), whatIs(v))
		return nil
	case h.Port == nil:
		a.errorf(e.Range(), "Not an artifact", "%s", advice(h, a.Argument))
		return nil
	case h.Port.Kind == plan.KindPrompt && a.Asked():
		a.errorf(e.Range(), "Prompt without a model", "%s is a prompt, which needs a model to answer it. Write { model = model.…, prompt = %s }.", h, h)
		return nil
	case !a.Takes(h.Port.Kind):
		a.errorf(e.Range(), "Wrong kind of artifact", "%s is a %s, but the argument %q must be %s.%s", h, h.Port.Kind, a.Name, a.Holds(), others(h, a.Argument))
		return nil
	}
	if h.Port.Kind == plan.KindPrompt {
		return a.prompt(h, e.Range(), key)
	}
	a.inputs[key] = h
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
		if p := &h.From.Outputs[i]; a.Takes(p.Kind) && !p.Violations {
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
		if p := &h.From.Outputs[i]; p != h.Port && a.Takes(p.Kind) && p.Name != "errors" && !p.Violations {
			fit = append(fit, (&module.Handle{From: h.From, Port: p}).String())
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return " Did you mean " + english.Or(fit) + "?"
}
