package vars

import (
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/zclconf/go-cty/cty"
)

// Example returns an expression that a variable could be set to, as a user would
// write it in a file.
func Example(v *config.Variable) string { return example(v.Type) }

// bare returns an example as it is written on a command line, where strings have
// no quotes.
func bare(v *config.Variable, example string) string {
	if !v.Typed || v.Type == cty.String {
		return strings.Trim(example, `"`)
	}
	return example
}

func example(t cty.Type) string {
	switch {
	case t == cty.Number:
		return "1"
	case t == cty.Bool:
		return "true"
	case t.IsListType(), t.IsSetType():
		return "[" + example(t.ElementType()) + "]"
	case t.IsMapType():
		return "{ key = " + example(t.ElementType()) + " }"
	case t.IsTupleType():
		var parts []string
		for _, e := range t.TupleElementTypes() {
			parts = append(parts, example(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case t.IsObjectType():
		return exampleObject(t)
	}
	return `"value"`
}

// exampleObject leaves optional attributes out.
func exampleObject(t cty.Type) string {
	var parts []string
	for _, name := range ordered.Keys(t.AttributeTypes()) {
		if !t.AttributeOptional(name) {
			parts = append(parts, name+" = "+example(t.AttributeType(name)))
		}
	}
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}
