package config

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/value"
)

var variableSchema = schema{
	what:     "a variable block",
	optional: []string{"type", "default", "description", "sensitive", "nullable"},
	blocks:   []blockSchema{{name: "validation"}},
}

func (l *loader) variable(b *hclsyntax.Block) {
	attrs, blocks := l.content(b.Body, variableSchema)
	v := &Variable{Name: b.Labels[0], Type: cty.DynamicPseudoType, Nullable: true, Range: b.DefRange()}
	if a := attrs["type"]; a != nil {
		l.variableType(v, a)
	}
	if a := attrs["description"]; a != nil {
		v.Description = l.constString(a)
	}
	if a := attrs["sensitive"]; a != nil {
		v.Sensitive = l.constBool(a)
	}
	if a := attrs["nullable"]; a != nil {
		v.Nullable = l.constBool(a)
	}
	if a := attrs["default"]; a != nil {
		l.variableDefault(v, a)
	}
	if v.Artifact != nil && v.Sensitive {
		l.add(notSensitive(attrs["sensitive"], "var."+v.Name, v.Artifact))
	}
	for _, block := range blocks {
		if c, ok := l.condition(block); ok {
			v.Validations = append(v.Validations, c)
		}
	}
	if other := l.m.Variables[v.Name]; other != nil {
		l.duplicate(b.LabelRanges[0], v.Range, "variable", v.Name, other.Range)
		return
	}
	l.m.Variables[v.Name] = v
	if l.child && !isInput(v.Name) {
		l.add(diag.Errorf(b.LabelRanges[0].Ptr(), "Reserved name", "A module that is called cannot have a variable named %q, because that is an argument of every module block. Rename the variable.", v.Name))
	}
}

func (l *loader) variableType(v *Variable, a *hclsyntax.Attribute) {
	if v.Artifact = l.artifactType(a.Expr); v.Artifact != nil {
		return
	}
	t, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
	if diags.HasErrors() {
		l.add(invalidType(a, diags[0]))
		return
	}
	v.Type, v.Defaults, v.Typed = t, defaults, true
}

func notSensitive(a *hclsyntax.Attribute, what string, t *ArtifactType) *hcl.Diagnostic {
	return diag.Errorf(a.SrcRange.Ptr(), "Artifacts cannot be sensitive", "%s is a %s. Only values can be sensitive. Remove this argument.", what, t.Kind)
}

// invalidType lists the valid types; the position and the reason
// come from the type parser.
func invalidType(a *hclsyntax.Attribute, cause *hcl.Diagnostic) *hcl.Diagnostic {
	const types = "string, number, bool, any, list(T), set(T), map(T), tuple([…]), object({ name = T, other = optional(T, default) }), and, for artifacts, dataset({ column = T }), model(\"CAPABILITY\"), and prompt"
	detail := cause.Detail
	if word := hcl.ExprAsKeyword(a.Expr); word != "" {
		detail += diag.Suggest(word, []string{"string", "number", "bool", "any", "list", "set", "map", "object", "tuple", "dataset", "model", "prompt"})
	}
	d := diag.Errorf(a.Expr.Range().Ptr(), "Invalid type", "%s The types are %s.", detail, types)
	if cause.Subject != nil {
		d.Subject = cause.Subject
	}
	return d
}

func (l *loader) variableDefault(v *Variable, a *hclsyntax.Attribute) {
	// Until the default is known to be valid, the variable counts as set.
	v.Default = cty.UnknownVal(v.Type.WithoutOptionalAttributesDeep())
	if vars := a.Expr.Variables(); len(vars) > 0 {
		l.add(notConstant(vars[0].SourceRange(), "default", "a literal value, or put the expression in a local"))
		return
	}
	given, diags := eval.Value(a.Expr, nil)
	if diags.HasErrors() {
		l.diags = append(l.diags, diags...)
		return
	}
	if v.Artifact != nil && !given.IsNull() {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Default does not match the type", "var.%s is a %s, which cannot be written as a value. Its default can only be null; without one, every module block has to set it.", v.Name, v.Artifact.Kind))
		return
	}
	converted, err := v.Convert(given)
	if err != nil {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Default does not match the type", "The default of var.%s is not %s: %s.", v.Name, TypeName(v.Type), ConversionError(err)))
		return
	}
	if converted.IsNull() && !v.Nullable {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Default is null", "var.%s has nullable = false, so its default cannot be null. To make the variable required, remove default.", v.Name))
		return
	}
	v.Default = converted
}

// Convert converts a value to the variable's type, filling in the defaults of
// optional attributes.
func (v *Variable) Convert(given cty.Value) (cty.Value, error) {
	if v.Defaults != nil && !given.IsNull() {
		given = v.Defaults.Apply(given)
	}
	return value.Convert(given, v.Type)
}

// TypeName returns a type as users write it, for use in a sentence.
func TypeName(t cty.Type) string {
	if t == cty.DynamicPseudoType {
		return "any type"
	}
	return "of type " + typeexpr.TypeString(t.WithoutOptionalAttributesDeep())
}

// ConversionError returns the reason of a failed conversion with the path of the value that it
// is about: `rows[2].name: string required`.
func ConversionError(err error) string {
	var at cty.PathError
	if errors.As(err, &at) && len(at.Path) > 0 {
		return "at " + pathString(at.Path) + ": " + at.Error()
	}
	return err.Error()
}

func pathString(p cty.Path) string {
	s := ""
	for _, step := range p {
		switch step := step.(type) {
		case cty.GetAttrStep:
			if s != "" {
				s += "."
			}
			s += step.Name
		case cty.IndexStep:
			s += "[" + indexString(step.Key) + "]"
		}
	}
	return s
}

func indexString(k cty.Value) string {
	switch {
	case !k.IsKnown() || k.IsNull():
		return "…"
	case k.Type() == cty.String:
		return `"` + k.AsString() + `"`
	case k.Type() == cty.Number:
		return k.AsBigFloat().Text('f', -1)
	}
	return "…"
}
