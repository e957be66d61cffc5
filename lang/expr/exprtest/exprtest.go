// Package exprtest has what tests of expressions share: columns, and scopes with
// values.
package exprtest

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Row are columns of all types.
var Row = data.Schema{
	{Name: "text", Type: "string"},
	{Name: "intent", Type: "string"},
	{Name: "my col", Type: "string"},
	{Name: "id", Type: "int64"},
	{Name: "n", Type: "int64"},
	{Name: "score", Type: "float64"},
	{Name: "ok", Type: "bool"},
	{Name: "day", Type: "date"},
	{Name: "at", Type: "timestamp"},
	{Name: "raw", Type: "binary"},
	{Name: "tags", Type: "list<string>"},
	{Name: "counts", Type: "list<int64>"},
	{Name: "meta", Type: "struct<lang:string,size:int64,tags:list<string>>"},
	{Name: "turns", Type: "list<struct<role:string,content:string>>"},
}

// Scope returns a scope in which some values are known, others are not known yet, and
// var.token is a secret.
func Scope() *expr.Scope {
	secret := cty.StringVal("s3cr3t").Mark(value.Sensitive{Variable: "token"})
	return &expr.Scope{
		Eval: &hcl.EvalContext{
			Functions: funcs.Functions("."),
			Variables: map[string]cty.Value{
				"var": cty.ObjectVal(map[string]cty.Value{
					"name":    cty.StringVal("Ada"),
					"token":   secret,
					"classes": cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")}),
					"empty":   cty.ListValEmpty(cty.String),
					"none":    cty.NullVal(cty.String),
					"names":   cty.MapVal(map[string]cty.Value{"z": cty.StringVal("26"), "a b": cty.StringVal("1")}),
					"plain":   cty.BoolVal(false),
				}),
				"local": cty.ObjectVal(map[string]cty.Value{
					"limit": cty.NumberIntVal(10),
					"low":   cty.UnknownVal(cty.Number),
					"auth":  cty.StringVal("Bearer s3cr3t").Mark(value.Sensitive{Variable: "token"}),
					"loop":  cty.DynamicVal,
					"both":  cty.ObjectVal(map[string]cty.Value{"a": cty.UnknownVal(cty.Number), "b": cty.NumberIntVal(2)}),
				}),
				"each": cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal("text")}),
				"evaluate": cty.ObjectVal(map[string]cty.Value{
					"student": cty.ObjectVal(map[string]cty.Value{"accuracy": cty.UnknownVal(cty.Number), "ok": cty.UnknownVal(cty.Bool)}),
					"many":    cty.MapVal(map[string]cty.Value{"a": cty.UnknownVal(cty.Number)}),
					"done":    cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NumberFloatVal(0.85)}),
				}),
			},
		},
		Row:   Row,
		RowOf: "transform.clean",
		Definitions: map[string]*expr.Definition{
			"local.low":  {Expr: Parse("evaluate.student.accuracy - 0.1")},
			"local.auth": {Expr: Parse(`"Bearer ${var.token}"`)},
			"local.loop": {Expr: Parse("local.loop + 1")},
			"local.both": {Expr: Parse("{ b = 2, a = evaluate.student.accuracy }")},
		},
	}
}

// Values returns the values that are not known yet in Scope, and the secret.
func Values() map[string]cty.Value {
	return map[string]cty.Value{
		"var": cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("s3cr3t")}),
		"evaluate": cty.ObjectVal(map[string]cty.Value{
			"student": cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NumberFloatVal(0.5), "ok": cty.True}),
			"many":    cty.ObjectVal(map[string]cty.Value{"a": cty.NumberIntVal(3)}),
		}),
	}
}

// Parse parses an expression, and panics if it has errors.
func Parse(src string) hclsyntax.Expression {
	e, diags := hclsyntax.ParseExpression([]byte(src), "main.quern.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		panic(src + ": " + diags.Error())
	}
	return e
}

// Answer is the type of a model's answer, as in an evaluator.
var Answer = cty.Object(map[string]cty.Type{
	"text":          cty.String,
	"json":          cty.DynamicPseudoType,
	"finish_reason": cty.String,
	"refused":       cty.Bool,
	"cost":          cty.Number,
	"tokens":        cty.Object(map[string]cty.Type{"input": cty.Number, "output": cty.Number}),
	"words":         cty.List(cty.String),
	"tool_calls":    cty.List(cty.Object(map[string]cty.Type{"name": cty.String, "arguments": cty.DynamicPseudoType})),
})

// LateScope returns Scope with a model's answer as the late name output.
func LateScope() *expr.Scope {
	s := Scope()
	s.Late = map[string]cty.Type{"output": Answer}
	return s
}
