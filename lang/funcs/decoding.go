package funcs

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	yamltree "go.yaml.in/yaml/v3"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// A text is decoded twice, for its type and for its value. In JSON and CSV, the
// length of the text bounds the size of the result. YAML can refer to parts of
// itself, so a few lines can become billions of values.

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
		return verbatim.JSON([]byte(withoutMark(args[0].AsString())), t)
	},
})

var jsonEncodeFunc = function.New(&function.Spec{
	Params:       stdlib.JSONEncodeFunc.Params(),
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return stdlib.JSONEncode(args[0])
		}
		text, err := ctyjson.Marshal(args[0], args[0].Type())
		return verbatim.Text(string(jsontext.Plain(text))), err
	},
})

var csvDecodeFunc = decoding(stdlib.CSVDecodeFunc, csvCheck, csvTree)

var yamlDecodeFunc = decoding(yaml.YAMLDecodeFunc, checkYAML, func(text string) (tree any, err error) {
	err = yamltree.Unmarshal([]byte(text), &tree)
	return tree, err
})

// decoding returns a function that decodes a text. parse returns the content as
// a tree, with its strings unchanged.
func decoding(f function.Function, check func(text string) error, parse func(text string) (any, error)) function.Function {
	ready := prepared(f, func(args []cty.Value) ([]cty.Value, error) {
		text := withoutMark(args[0].AsString())
		return []cty.Value{verbatim.Text(text)}, check(text)
	})
	return function.New(&function.Spec{
		Params: f.Params(),
		Type:   func(args []cty.Value) (cty.Type, error) { return ready.ReturnTypeForValues(args) },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := ready.Call(args)
			text := withoutMark(args[0].AsString())
			if err != nil || verbatim.Inert(text) && !strings.Contains(text, `\`) {
				return v, err
			}
			tree, err := parse(text)
			if err != nil {
				return cty.NilVal, err
			}
			return verbatim.Restore(v, tree), nil
		},
	})
}

// csvTree parses a text for csvdecode: an object of strings for each row.
func csvTree(text string) (any, error) {
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(records) == 0 {
		return nil, err
	}
	rows := make([]any, 0, len(records))
	for _, record := range records[1:] {
		row := make(map[string]any, len(record))
		for i, field := range record {
			row[records[0][i]] = field
		}
		rows = append(rows, row)
	}
	return rows, nil
}

var yamlEncodeFunc = like(yaml.YAMLEncodeFunc, func(args []cty.Value, t cty.Type) (cty.Value, error) {
	if !args[0].IsWhollyKnown() {
		return cty.UnknownVal(t), nil
	}
	text, err := yaml.Standard.Marshal(args[0])
	return verbatim.Text(string(text)), err
})

// checkYAML checks how large the result of decoding a YAML text would be.
func checkYAML(text string) error {
	var tree yamltree.Node
	if err := yamltree.Unmarshal([]byte(text), &tree); err != nil {
		return nil //nolint:nilerr // yamldecode reports what is wrong with it
	}
	w := yamlWeigher{sizes: map[*yamltree.Node]float64{}}
	size, err := w.size(&tree, 0)
	if err != nil {
		return err
	}
	return elementsFit(size)
}

// yamlWeigher counts the values in a YAML tree, each as often as the text
// refers to it.
type yamlWeigher struct {
	sizes map[*yamltree.Node]float64
}

var errEndless = errors.New("the YAML contains a part that refers to itself")

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
