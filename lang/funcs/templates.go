package funcs

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// inTemplates are the functions that templatestring's templates may call. They
// are set in init, since templatestring itself is among them.
var inTemplates map[string]function.Function

func init() { inTemplates = Pure() }

var templateStringFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "template", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		if !args[0].IsKnown() || !args[1].IsKnown() {
			return cty.DynamicPseudoType, nil
		}
		v, err := templateString(args)
		if err != nil {
			return cty.NilType, err
		}
		return v.Type(), nil
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return templateString(args) },
})

func templateString(args []cty.Value) (cty.Value, error) {
	expr, err := parseTemplate("template", args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	return render(expr, args[1], inTemplates)
}

func parseTemplate(name, text string) (hcl.Expression, error) {
	expr, diags := hclsyntax.ParseTemplate([]byte(text), name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, atLine(diags)
	}
	return expr, nil
}

// atLine is the first error as one line of text.
func atLine(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		if d.Subject == nil {
			return fmt.Errorf("%s: %s", d.Summary, d.Detail)
		}
		return fmt.Errorf("%s, line %d, column %d: %s: %s", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column, d.Summary, d.Detail)
	}
	return errors.New("the template cannot be used")
}

// render evaluates a template whose variables are the attributes of vars.
func render(template hcl.Expression, vars cty.Value, functions map[string]function.Function) (cty.Value, error) {
	t := vars.Type()
	if !t.IsObjectType() && !t.IsMapType() {
		return cty.NilVal, function.NewArgErrorf(1, "the variables must be an object: { name = value }")
	}
	given := map[string]cty.Value{}
	var names []string
	for name, v := range vars.AsValueMap() {
		if !hclsyntax.ValidIdentifier(name) {
			return cty.NilVal, function.NewArgErrorf(1, "%q is no name of a variable: a name begins with a letter and holds letters, digits and underscores", name)
		}
		given[name] = v
		names = append(names, name)
	}
	for _, ref := range template.Variables() {
		if _, ok := given[ref.RootName()]; !ok {
			return cty.NilVal, function.NewArgErrorf(1, "the template needs a variable %q at line %d that is not given.%s", ref.RootName(), ref.SourceRange().Start.Line, diag.Suggest(ref.RootName(), names))
		}
	}
	v, diags := template.Value(&hcl.EvalContext{Variables: given, Functions: functions})
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, atLine(diags))
	}
	return v, nil
}
