package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

var outputSchema = schema{
	what:     "an output block",
	required: []string{"value"},
	optional: []string{"type", "description", "sensitive", "depends_on"},
	blocks:   []blockSchema{{name: "precondition"}},
}

var checkSchema = schema{what: "a check block", blocks: []blockSchema{{name: "assert"}}}

func (l *loader) locals(b *hclsyntax.Block) {
	for _, block := range b.Body.Blocks {
		l.add(diag.Errorf(block.TypeRange.Ptr(), "Unsupported block type", "A locals block cannot contain blocks, only names and values. Write %s = { … } with an equals sign.", block.Type))
	}
	for _, name := range sortedAttributes(b.Body.Attributes) {
		a := b.Body.Attributes[name]
		if other := l.m.Locals[name]; other != nil {
			l.duplicate(a.NameRange, a.SrcRange, "local value", name, other.Range)
			continue
		}
		l.m.Locals[name] = &Local{Name: name, Expr: a.Expr, Range: a.SrcRange}
	}
}

func (l *loader) output(b *hclsyntax.Block) {
	attrs, blocks := l.content(b.Body, outputSchema)
	o := &Output{Name: b.Labels[0], Expr: expression(attrs["value"]), Type: cty.DynamicPseudoType, Range: b.DefRange()}
	if a := attrs["type"]; a != nil {
		l.outputType(o, a)
	}
	if a := attrs["description"]; a != nil {
		o.Description = l.constString(a)
	}
	if a := attrs["sensitive"]; a != nil {
		o.Sensitive = l.constBool(a)
		if o.Sensitive && o.Artifact != nil {
			l.add(notSensitive(a, "output."+o.Name, o.Artifact))
		}
	}
	if a := attrs["depends_on"]; a != nil {
		o.DependsOn = l.dependsOn(a)
	}
	o.Pre = l.conditions(blocks)
	if other := l.m.Outputs[o.Name]; other != nil {
		l.duplicate(b.LabelRanges[0], o.Range, "output", o.Name, other.Range)
		return
	}
	if o.Expr != nil {
		l.m.Outputs[o.Name] = o
	}
}

func (l *loader) outputType(o *Output, a *hclsyntax.Attribute) {
	if o.Artifact = l.artifactType(a.Expr); o.Artifact != nil {
		return
	}
	t, diags := typeexpr.TypeConstraint(a.Expr)
	if diags.HasErrors() {
		l.add(invalidType(a, diags[0]))
		return
	}
	o.Type, o.Typed = t, true
}

func (l *loader) check(b *hclsyntax.Block) {
	_, blocks := l.content(b.Body, checkSchema)
	c := &Check{Name: b.Labels[0], Asserts: l.conditions(blocks), Range: b.DefRange()}
	if len(b.Body.Blocks) == 0 {
		r := b.Body.MissingItemRange()
		l.missing(diag.Errorf(&r, "Check without a condition", "A check needs at least one assert block with a condition and an error_message."))
	}
	if other := l.m.Checks[c.Name]; other != nil {
		l.duplicate(b.LabelRanges[0], c.Range, "check", c.Name, other.Range)
		return
	}
	l.m.Checks[c.Name] = c
}

// conditions reads blocks that each contain a condition and its message.
func (l *loader) conditions(blocks []*hclsyntax.Block) []Condition {
	var all []Condition
	for _, b := range blocks {
		if c, ok := l.condition(b); ok {
			all = append(all, c)
		}
	}
	return all
}

func (l *loader) plugin(b *hclsyntax.Block) {
	p := &Plugin{Name: b.Labels[0], Body: b.Body, Range: b.DefRange(), json: l.raw[b.Body]}
	if other := l.m.Plugins[p.Name]; other != nil {
		l.duplicate(b.LabelRanges[0], p.Range, "plugin configuration", p.Name, other.Range)
		return
	}
	l.m.Plugins[p.Name] = p
	if l.child {
		l.rootOnly(b, "A plugin")
	}
}

// constString is the value of an attribute that must be a string without
// references. If it isn't, constString reports that and returns "".
func (l *loader) constString(a *hclsyntax.Attribute) string {
	v, ok := l.constant(a, cty.String, `a string`)
	if !ok {
		return ""
	}
	return v.AsString()
}

func (l *loader) constBool(a *hclsyntax.Attribute) bool {
	v, ok := l.constant(a, cty.Bool, "true or false")
	return ok && v.True()
}

func (l *loader) constant(a *hclsyntax.Attribute, want cty.Type, as string) (cty.Value, bool) {
	if vars := a.Expr.Variables(); len(vars) > 0 {
		l.add(notConstant(vars[0].SourceRange(), a.Name, as))
		return cty.NilVal, false
	}
	v, diags := eval.Value(a.Expr, nil)
	if diags.HasErrors() {
		l.diags = append(l.diags, diags...)
		return cty.NilVal, false
	}
	if want == cty.Bool || want.IsListType() { // "true" is converted everywhere else, too, and literal lists are tuples
		if converted, err := convert.Convert(v, want); err == nil {
			v = converted
		}
	}
	if v.IsNull() || !v.IsWhollyKnown() || v.Type() != want {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Wrong type", "The value of %s must be %s.", a.Name, as))
		return cty.NilVal, false
	}
	return v, true
}

func notConstant(at hcl.Range, name, as string) *hcl.Diagnostic {
	return diag.Errorf(&at, "Value must be constant", "%s is read before any expression is evaluated, so it cannot refer to variables or stages. Write %s.", name, as)
}

func isName(v cty.Value) bool {
	return v.Type() == cty.String && v.IsKnown() && !v.IsNull() && hclsyntax.ValidIdentifier(v.AsString())
}
