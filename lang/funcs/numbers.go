package funcs

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var numberFunctions = []entry{
	describe("abs", "The absolute value of a number.", `abs(-2)`, `2`, stdlib.AbsoluteFunc),
	describe("ceil", "Rounds up to a whole number.", `ceil(1.2)`, `2`, stdlib.CeilFunc),
	describe("floor", "Rounds down to a whole number.", `floor(1.8)`, `1`, stdlib.FloorFunc),
	describe("log", "The logarithm of a number in a given base.", `log(8, 2)`, `3`, checked(stdlib.LogFunc, logCheck)),
	describe("max", "The largest of the numbers.", `max(1, 3, 2)`, `3`, stdlib.MaxFunc),
	describe("min", "The smallest of the numbers.", `min(2, 1, 3)`, `1`, stdlib.MinFunc),
	describe("parseint", "Parses a whole number in a base from 2 to 62.", `parseint("ff", 16)`, `255`, checked(stdlib.ParseIntFunc, parseIntCheck)),
	describe("pow", "A number raised to a power.", `pow(2, 10)`, `1024`, checked(stdlib.PowFunc, powCheck)),
	describe("signum", "The sign of a number: -1, 0, or 1.", `signum(-7)`, `-1`, stdlib.SignumFunc),
	describe("sum", "The sum of a list or set of numbers.", `sum([1, 2.5])`, `3.5`, sumFunc),
}

var sumFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if !isSequence(args[0].Type()) {
			return cty.NilVal, function.NewArgErrorf(0, "must be a list or set of numbers")
		}
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(cty.Number), nil
		}
		sum := cty.Zero
		for it := args[0].ElementIterator(); it.Next(); {
			_, e := it.Element()
			n, err := convert.Convert(e, cty.Number)
			if err != nil || n.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "every element must be a number")
			}
			sum = sum.Add(n)
		}
		return sum, nil
	},
})

func notNull(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() }

func isSequence(t cty.Type) bool { return t.IsListType() || t.IsSetType() || t.IsTupleType() }
