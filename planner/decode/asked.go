package decode

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// A model paired with the prompt to ask it, { model = …, prompt = … }, is one
// element of an argument and two inputs: KEY.model and KEY.prompt.

// askedParts are the attributes of such an element, and the kind that each
// takes.
var askedParts = map[string]string{"model": plan.KindModel, "prompt": plan.KindPrompt}

// writtenAsked decodes an element that is a literal object.
func (a *artifactArgument) writtenAsked(src *hclsyntax.ObjectConsExpr, key string) *plan.Arg {
	out := &plan.Arg{Map: map[string]*plan.Arg{}}
	for _, item := range src.Items {
		name := hcl.ExprAsKeyword(item.KeyExpr)
		if v, diags := eval.Value(item.KeyExpr, a.scope.Values); name == "" && !diags.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			name = v.AsString()
		}
		if _, ok := askedParts[name]; !ok || out.Map[name] != nil {
			a.errorf(item.KeyExpr.Range(), "Wrong key", "Each element of the argument %q must be { model = …, prompt = … } or %s.%s", a.Name, a.Holds(), diag.Suggest(name, ordered.Keys(askedParts)))
			return nil
		}
		part := a.writtenPart(item.ValueExpr, key, name)
		if part == nil {
			return nil
		}
		out.Map[name] = part
	}
	return a.completeAsked(out, src.Range())
}

// writtenPart decodes the model or the prompt of a literal element.
func (a *artifactArgument) writtenPart(e hclsyntax.Expression, key, name string) *plan.Arg {
	if arg, ok := a.part(name).choice(e, key+"."+name); ok {
		if arg != nil {
			arg.Range = diag.NewRange(e.Range())
		}
		return arg
	}
	v, diags := eval.Value(e, a.scope.Handles)
	a.diags = append(a.diags, diags...)
	if diags.HasErrors() {
		return nil
	}
	return a.askedPart(v, e, key, name)
}

// evaluatedAsked decodes an element from a value.
func (a *artifactArgument) evaluatedAsked(v cty.Value, e hclsyntax.Expression, key string) *plan.Arg {
	out := &plan.Arg{Map: map[string]*plan.Arg{}}
	for name := range v.Type().AttributeTypes() {
		if _, ok := askedParts[name]; !ok {
			a.errorf(e.Range(), "Wrong key", "Each element of the argument %q must be { model = …, prompt = … }, but this one has %q.%s", a.Name, name, diag.Suggest(name, ordered.Keys(askedParts)))
			return nil
		}
	}
	for _, name := range ordered.Keys(v.Type().AttributeTypes()) {
		part := a.askedPart(v.GetAttr(name), e, key, name)
		if part == nil {
			return nil
		}
		out.Map[name] = part
	}
	return a.completeAsked(out, e.Range())
}

// askedPart decodes the model or the prompt.
func (a *artifactArgument) askedPart(v cty.Value, e hclsyntax.Expression, key, name string) *plan.Arg {
	arg := a.part(name).value(v, e, key+"."+name)
	if arg != nil {
		arg.Range = diag.NewRange(e.Range())
	}
	return arg
}

// part returns the argument that an attribute of an element is.
func (a *artifactArgument) part(name string) *artifactArgument {
	of := &schema.Argument{
		Argument: &pluginv1.Argument{Name: name, RowsOf: a.RowsOf}, Element: a.Element, Rows: a.Rows,
		Kinds: []string{askedParts[name]},
	}
	return &artifactArgument{&argument{of, a.bodyDecoder, a.scope}}
}

func (a *artifactArgument) completeAsked(out *plan.Arg, at hcl.Range) *plan.Arg {
	for _, name := range ordered.Keys(askedParts) {
		if out.Map[name] == nil {
			a.errorf(at, "Missing "+name, "A subject that asks a model needs both: { model = model.…, prompt = prompt.… }. This element of the argument %q has no %s.", a.Name, name)
			return nil
		}
	}
	return out
}
