package expr

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/diag"
)

// hopeless reports a call that fails for every row because of an argument that
// is the same for all rows, such as a malformed regular expression. Within can
// and try, the error would never be reported.
//
// It calls the function with substitutes for the arguments that differ by row.
// An error counts only if the function blames a constant argument.
func hopeless(c *hclsyntax.FunctionCallExpr) hcl.Diagnostics {
	fn, ok := Functions()[c.Name]
	if !ok || c.ExpandFinal || c.Name == convertName {
		return nil
	}
	args, mixed := standIns(c, fn)
	if !mixed {
		return nil
	}
	_, err := fn.Call(args)
	var blamed function.ArgError
	if !errors.As(err, &blamed) || blamed.Index >= len(c.Args) {
		return nil
	}
	if _, fixed := c.Args[blamed.Index].(*hclsyntax.LiteralValueExpr); !fixed {
		return nil
	}
	return hcl.Diagnostics{diag.Errorf(c.Args[blamed.Index].Range().Ptr(), "Function call always fails",
		"%s() fails for every row, whatever the row contains: %s", c.Name, diag.Sentence(err))}
}

// sample is a text that most functions accept.
const sample = "2026-01-02T03:04:05Z"

// standIns returns the arguments of a call with substitutes for those that
// differ by row. mixed is false if all or none of them differ, or if no
// substitute exists.
func standIns(c *hclsyntax.FunctionCallExpr, fn function.Function) (args []cty.Value, mixed bool) {
	params, tail := fn.Params(), fn.VarParam()
	if len(c.Args) < len(params) || tail == nil && len(c.Args) > len(params) {
		return nil, false
	}
	fixed := 0
	for i, arg := range c.Args {
		param := tail
		if i < len(params) {
			param = &params[i]
		}
		if customdecode.CustomExpressionDecoderForType(param.Type) != nil {
			return nil, false
		}
		l, ok := arg.(*hclsyntax.LiteralValueExpr)
		v := cty.StringVal(sample)
		switch {
		case ok:
			fixed++
			v = l.Val
		case param.Type == cty.Number:
			v = cty.NumberIntVal(1)
		case param.Type == cty.Bool:
			v = cty.True
		case param.Type != cty.String && c.Name != "format" && c.Name != "parseint":
			return nil, false
		}
		v, err := convert.Convert(v, param.Type)
		if err != nil {
			return nil, false // reported as a type error
		}
		args = append(args, v)
	}
	return args, fixed > 0 && fixed < len(c.Args)
}
