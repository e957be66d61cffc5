package funcs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// inTemplates are the functions that templatestring's templates may call. They
// are set in init, because templatestring itself is one of them.
var inTemplates map[string]function.Function

func init() {
	inTemplates = Pure()
	inTemplates["templatestring"] = nested
}

// nested is templatestring within a template, which could otherwise render
// itself forever.
var nested = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "vars", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowNull: true},
	Type: func([]cty.Value) (cty.Type, error) {
		return cty.NilType, errors.New("a template cannot render another template; render that one first and pass the text in as a variable")
	},
	Impl: func([]cty.Value, cty.Type) (cty.Value, error) { return cty.NilVal, errors.New("not reached") },
})

var templateStringFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "template", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch {
		case !args[0].IsKnown():
			return cty.DynamicPseudoType, nil
		case !args[1].IsWhollyKnown():
			return templateType(args[0].AsString(), args[1].Type())
		}
		v, err := templateString(args)
		if err != nil {
			return cty.NilType, err
		}
		return v.Type(), nil
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return templateString(args) },
})

// templateType returns the type of a template's result, as far as it is known
// before the variables are. By then, all variables are known to be given.
func templateType(template string, vars cty.Type) (cty.Type, error) {
	expr, err := parseTemplate("template", template)
	if err != nil {
		return cty.NilType, function.NewArgError(0, err)
	}
	if vars.IsObjectType() {
		if err := checkVariables(expr, slices.Collect(maps.Keys(vars.AttributeTypes()))); err != nil {
			return cty.NilType, err
		}
	}
	if _, single := expr.(*hclsyntax.TemplateWrapExpr); single {
		return cty.DynamicPseudoType, nil
	}
	return cty.String, nil
}

func templateString(args []cty.Value) (cty.Value, error) {
	expr, err := parseTemplate("template", args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	return render(expr, args[1], inTemplates)
}

func parseTemplate(name, text string) (hcl.Expression, error) {
	expr, diags := limit.ParseTemplate([]byte(text), name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, atLine(diags)
	}
	return expr, nil
}

// atLine returns the first error as one line of text.
func atLine(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		detail := strings.TrimRight(d.Detail, ".") // the surrounding text ends with a period
		if d.Subject == nil {
			return fmt.Errorf("%s: %s", d.Summary, detail)
		}
		return fmt.Errorf("%s, line %d, column %d: %s: %s", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column, d.Summary, detail)
	}
	return errors.New("the template is not valid")
}

// checkVariables reports a variable that a template needs and that is not
// given.
func checkVariables(template hcl.Expression, given []string) error {
	for _, ref := range template.Variables() {
		if name := ref.RootName(); !slices.Contains(given, name) {
			return function.NewArgErrorf(1, "the template uses the variable %q on line %d, but it is not given.%s", name, ref.SourceRange().Start.Line, diag.Suggest(name, given))
		}
	}
	return nil
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
			return cty.NilVal, function.NewArgErrorf(1, "%q is not a valid variable name; a name begins with a letter or an underscore and contains only letters, digits, underscores, and hyphens", name)
		}
		given[name] = v
		names = append(names, name)
	}
	if err := checkVariables(template, names); err != nil {
		return cty.NilVal, err
	}
	v, diags := eval.Value(template, &hcl.EvalContext{Variables: given, Functions: functions})
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, atLine(diags))
	}
	return v, nil
}
