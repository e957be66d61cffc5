package value

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Format writes a value as HCL for people to read. Values without a literal are
// described in parentheses: (known after apply), (sensitive value), (artifact).
func Format(v cty.Value) string {
	if v == cty.NilVal {
		return "null"
	}
	return string(hclwrite.Format(tokens(v).Bytes()))
}

func tokens(v cty.Value) hclwrite.Tokens {
	v, marks := v.Unmark()
	switch {
	case HasSensitive(marks):
		return words(Redacted)
	case !v.IsKnown():
		return words("(known after apply)")
	case v.IsNull():
		return hclwrite.TokensForValue(cty.NullVal(cty.DynamicPseudoType))
	}
	switch t := v.Type(); {
	case t.IsCapsuleType():
		return words("(" + t.FriendlyName() + ")")
	case t.IsMapType(), t.IsObjectType():
		return objectTokens(v)
	case t.IsSetType():
		return hclwrite.TokensForFunctionCall("toset", listTokens(v))
	case t.IsListType(), t.IsTupleType():
		return listTokens(v)
	}
	return hclwrite.TokensForValue(v)
}

func objectTokens(v cty.Value) hclwrite.Tokens {
	var attrs []hclwrite.ObjectAttrTokens
	for it := v.ElementIterator(); it.Next(); {
		key, element := it.Element()
		name := hclwrite.TokensForValue(key)
		if hclsyntax.ValidIdentifier(key.AsString()) {
			name = hclwrite.TokensForIdentifier(key.AsString())
		}
		attrs = append(attrs, hclwrite.ObjectAttrTokens{Name: name, Value: tokens(element)})
	}
	return hclwrite.TokensForObject(attrs)
}

func listTokens(v cty.Value) hclwrite.Tokens {
	var elements []hclwrite.Tokens
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		elements = append(elements, tokens(element))
	}
	return hclwrite.TokensForTuple(elements)
}

// words returns text that is not HCL as one token.
func words(text string) hclwrite.Tokens {
	return hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: []byte(text)}}
}
