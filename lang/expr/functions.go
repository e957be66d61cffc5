package expr

import (
	"maps"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
)

// convertName is the function that compiled texts call to convert a value to a
// type: convert([], list(string)). It is part of hcl. Texts need it because a
// folded value must keep its type, and HCL has no other syntax for one.
const convertName = eval.ConvertName

// Functions returns the functions that a compiled expression may call: pure ones,
// which need no files. The map is shared and must not be changed.
var Functions = sync.OnceValue(func() map[string]function.Function {
	all := maps.Clone(funcs.Pure())
	all[convertName] = typeexpr.ConvertFunc
	return all
})

// lookupFunction looks up a function as hcl does, through all parents.
func lookupFunction(ctx *hcl.EvalContext, name string) (function.Function, bool) {
	for ; ctx != nil; ctx = ctx.Parent() {
		if f, ok := ctx.Functions[name]; ok {
			return f, true
		}
	}
	return function.Function{}, false
}
