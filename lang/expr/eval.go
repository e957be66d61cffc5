package expr

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/secret"
)

// Eval evaluates a compiled expression that does not mention `row`. vars are
// the values that it refers to, by root name: "evaluate" is an object of the
// stages of that kind in Refs, "var" one of the variables in Secrets. The
// result has the expression's type. Whatever was computed from a marked value
// is marked. Errors point to the user's text.
func (c *Compiled) Eval(vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	e, err := c.Syntax()
	if err != nil {
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(c.Range.Ptr(), "Damaged expression", "%s.", err)}
	}
	v, diags := c.evaluate(e, vars)
	if diags.HasErrors() && len(c.Secrets) > 0 {
		_, again := c.evaluate(e, secret.UnknownVariables(vars))
		diags = secret.Hide(diags, again, c.Secrets)
	}
	for _, d := range diags {
		nameInstances(d)
		d.Subject, d.Context = c.Range.Ptr(), nil
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return v, diags
}

// evaluate is Eval without source ranges. Errors may quote secrets.
func (c *Compiled) evaluate(e hclsyntax.Expression, vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	ctx, err := c.context(vars)
	if err != nil {
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(nil, "Function not available", "%s.", err)}
	}
	v, diags := eval.Value(e, ctx)
	if diags.HasErrors() || c.Type.Type == cty.NilType {
		return v, diags
	}
	converted, err := convert.Convert(v, c.Type.Type)
	if err != nil {
		return v, append(diags, diag.Errorf(nil, "Wrong type of value", "%s.", err))
	}
	return converted, diags
}

// nameInstances adds the stage's instances to an error about an index.
func nameInstances(d *hcl.Diagnostic) {
	index, ok := d.Expression.(*hclsyntax.IndexExpr)
	if !ok || d.Summary != "Invalid index" {
		return
	}
	of, ok := index.Collection.(*hclsyntax.ScopeTraversalExpr)
	if !ok {
		return
	}
	stage, rest, ok := addr.Referenced(of.Traversal)
	v, diags := of.Value(d.EvalContext)
	if !ok || len(rest) > 0 || stage.HasKey() || diags.HasErrors() || !v.Type().IsObjectType() {
		return
	}
	keys := ordered.Keys(v.Type().AttributeTypes())
	for i, key := range keys {
		keys[i] = strconv.Quote(key)
	}
	d.Summary = "No such instance"
	d.Detail = fmt.Sprintf("The index is not the key of an instance of %s. The keys are: %s.", stage, diag.List(keys))
}

// Syntax parses the canonical text.
func (c *Compiled) Syntax() (hclsyntax.Expression, error) {
	e, diags := limit.ParseExpression([]byte(c.Text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, fmt.Errorf("parse the compiled expression %s: %w", c.Text, diags)
	}
	return e, nil
}
