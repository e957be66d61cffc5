package funcs

import (
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/quern-dev/quern/lang/value"
)

var typeFunctions = []entry{
	describe("can", "Whether an expression can be evaluated without an error.", `can(tonumber("x"))`, `false`, tryfunc.CanFunc),
	describe("issensitive", "Whether a value is sensitive.", `issensitive("a")`, `false`, isSensitiveFunc),
	describe("nonsensitive", "Removes the sensitive mark from a value, so that it can be shown and stored.", `nonsensitive("a")`, `"a"`, nonSensitiveFunc),
	describe(SensitiveName, "Marks a value as sensitive, like a variable with sensitive = true: it is not shown or stored. The value must be known when planning, except in an output.", `issensitive(sensitive("a"))`, `true`, Sensitive(func(cty.Value) string { return "" })),
	describe("tobool", "Converts a value, such as \"true\" or \"false\", to a bool.", `tobool("true")`, `true`, stdlib.MakeToFunc(cty.Bool)),
	describe("tolist", "Converts a set or tuple to a list.", `tolist(toset(["a"]))`, `["a"]`, toCollection(cty.List(cty.DynamicPseudoType))),
	describe("tomap", "Converts an object to a map.", `tomap({ a = 1 })`, `{ a = 1 }`, toCollection(cty.Map(cty.DynamicPseudoType))),
	describe("tonumber", "Converts a value to a number.", `tonumber("17")`, `17`, stdlib.MakeToFunc(cty.Number)),
	describe("toset", "Converts a list to a set, without order or duplicates.", `toset(["a", "a"])`, `toset(["a"])`, toCollection(cty.Set(cty.DynamicPseudoType))),
	describe("tostring", "Converts a value to a string.", `tostring(17)`, `"17"`, stdlib.MakeToFunc(cty.String)),
	describe("try", "The first argument that can be evaluated without an error.", `try(tonumber("x"), 0)`, `0`, tryfunc.TryFunc),
}

// toCollection returns a function that converts its argument to a collection.
func toCollection(t cty.Type) function.Function {
	return prepared(stdlib.MakeToFunc(t), func(args []cty.Value) ([]cty.Value, error) {
		return []cty.Value{value.Collection(args[0], t)}, nil
	})
}

var isSensitiveFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(value.IsSensitive(args[0])), nil
	},
})

// SensitiveName is the function that makes a value sensitive.
const SensitiveName = "sensitive"

// Sensitive returns the function sensitive. The mark of a known value has the
// name that name returns; the mark of any other value has no name.
func Sensitive(name func(cty.Value) string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			return args[0].Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, _ := args[0].UnmarkDeep()
			mark := value.Sensitive{}
			if v.IsWhollyKnown() {
				mark.Variable = name(v)
			}
			return v.Mark(mark), nil
		},
	})
}

var nonSensitiveFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		return args[0].Type(), nil
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, _ := args[0].UnmarkDeep()
		return v, nil
	},
})
