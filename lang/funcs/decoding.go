package funcs

import (
	"errors"
	"fmt"

	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	yamltree "go.yaml.in/yaml/v3"

	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/sdk/go/jsontext"
)

// A text is decoded twice, for its type and for its value. What it is decoded
// to is bounded by its length in JSON and CSV. YAML can name parts of itself,
// so that few lines become billions of values.

var jsonDecodeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}},
	Type: func(args []cty.Value) (cty.Type, error) {
		if !args[0].IsKnown() {
			return stdlib.JSONDecodeFunc.ReturnTypeForValues(args)
		}
		text := withoutMark(args[0].AsString())
		if err := checkJSON(text); err != nil {
			return cty.NilType, err
		}
		return ctyjson.ImpliedType([]byte(text))
	},
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		return ctyjson.Unmarshal([]byte(withoutMark(args[0].AsString())), t)
	},
})

var jsonEncodeFunc = function.New(&function.Spec{
	Params:       stdlib.JSONEncodeFunc.Params(),
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, err := stdlib.JSONEncode(args[0])
		if err != nil || !v.IsKnown() {
			return v, err
		}
		return cty.StringVal(string(jsontext.Plain([]byte(v.AsString())))), nil
	},
})

var csvDecodeFunc = prepared(stdlib.CSVDecodeFunc, func(args []cty.Value) ([]cty.Value, error) {
	text := withoutMark(args[0].AsString())
	return []cty.Value{cty.StringVal(text)}, csvCheck(text)
})

var yamlDecodeFunc = prepared(yaml.YAMLDecodeFunc, func(args []cty.Value) ([]cty.Value, error) {
	text := withoutMark(args[0].AsString())
	return []cty.Value{cty.StringVal(text)}, checkYAML(text)
})

// checkYAML finds out how much a YAML text would be decoded to.
func checkYAML(text string) error {
	var tree yamltree.Node
	if err := yamltree.Unmarshal([]byte(text), &tree); err != nil {
		return nil //nolint:nilerr // yamldecode says what is wrong with it
	}
	w := yamlWeigher{sizes: map[*yamltree.Node]float64{}}
	size, err := w.size(&tree, 0)
	if err != nil {
		return err
	}
	return elementsFit(size)
}

// yamlWeigher counts the values in a tree of YAML, each as often as the text
// refers to it.
type yamlWeigher struct {
	sizes map[*yamltree.Node]float64
}

var errEndless = errors.New("the YAML refers to a part of itself from within that part")

func (w *yamlWeigher) size(n *yamltree.Node, depth int) (float64, error) {
	if depth > limit.Now().Depth {
		return 0, limit.TooDeep("the YAML")
	}
	if known, ok := w.sizes[n]; ok {
		if known == 0 {
			return 0, errEndless
		}
		return known, nil
	}
	w.sizes[n] = 0 // until it is known
	total := 1.0
	parts := n.Content
	if n.Alias != nil {
		parts = []*yamltree.Node{n.Alias}
	}
	for _, part := range parts {
		size, err := w.size(part, depth+1)
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n.Line, err)
		}
		total += size
	}
	w.sizes[n] = total
	return total, nil
}
