package eval

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/limit"
)

// hcl's parser and evaluator use its tables of operators, so changing them here
// changes all expressions: over rows, in the plan, and in whatever is evaluated
// later.
func init() {
	hclsyntax.OpAdd.Impl = arithmetic(cty.Value.Add, nil)
	hclsyntax.OpSubtract.Impl = arithmetic(cty.Value.Subtract, nil)
	hclsyntax.OpMultiply.Impl = arithmetic(cty.Value.Multiply, nil)
	hclsyntax.OpDivide.Impl = arithmetic(cty.Value.Divide, notByZero)
	hclsyntax.OpModulo.Impl = arithmetic(cty.Value.Modulo, notByZero)
	hclsyntax.OpLogicalAnd.ShortCircuit = shortCircuit(false)
	hclsyntax.OpLogicalOr.ShortCircuit = shortCircuit(true)
}

// arithmetic returns an operator on two numbers. Its result is a finite number
// or an error: cty has infinities, which no column and no JSON can contain.
func arithmetic(compute func(a, b cty.Value) cty.Value, check func(a, b cty.Value) error) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "a", Type: cty.Number, AllowDynamicType: true},
			{Name: "b", Type: cty.Number, AllowDynamicType: true},
		},
		Type:         function.StaticReturnType(cty.Number),
		RefineResult: func(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			a, b := args[0], args[1]
			if !limit.Writable(a.AsBigFloat()) || !limit.Writable(b.AsBigFloat()) {
				return cty.NilVal, limit.ErrNumber
			}
			if check != nil {
				if err := check(a, b); err != nil {
					return cty.NilVal, err
				}
			}
			v := compute(a, b)
			if !limit.Writable(v.AsBigFloat()) {
				return cty.NilVal, limit.ErrNumber
			}
			return v, nil
		},
	})
}

func notByZero(_, b cty.Value) error {
	if b.AsBigFloat().Sign() == 0 {
		return errors.New("division by zero")
	}
	return nil
}

// shortCircuit decides && and || by one operand alone if it has the decisive
// value, even if the other one has an error. hcl takes null for false; here,
// null decides nothing, and the operator reports it.
func shortCircuit(decisive bool) func(lhs, rhs cty.Value, lhsDiags, rhsDiags hcl.Diagnostics) (cty.Value, hcl.Diagnostics) {
	decides := func(v cty.Value) bool { return v.IsKnown() && !v.IsNull() && v.True() == decisive }
	unknown := cty.UnknownVal(cty.Bool).RefineNotNull()
	return func(lhs, rhs cty.Value, lhsDiags, rhsDiags hcl.Diagnostics) (cty.Value, hcl.Diagnostics) {
		switch {
		case decides(lhs):
			return cty.BoolVal(decisive), lhsDiags
		case decides(rhs):
			return cty.BoolVal(decisive), rhsDiags
		case !lhs.IsKnown() && !rhs.IsKnown():
			if lhsDiags.HasErrors() {
				return cty.NilVal, nil // the operator reports what is wrong with both
			}
			return unknown, lhsDiags
		case !lhs.IsKnown():
			return unknown, lhsDiags
		case !rhs.IsKnown():
			return unknown, rhsDiags
		}
		return cty.NilVal, nil
	}
}
