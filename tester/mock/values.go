package mock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// values evaluates the mock's values.
func (s *server) values() (cty.Value, error) {
	values := map[string]cty.Value{}
	for _, name := range slices.Sorted(maps.Keys(s.mock.Values)) {
		v, diags := eval.Value(s.mock.Values[name], s.set.scope)
		if diags.HasErrors() {
			return cty.NilVal, fmt.Errorf("the value %q: %s", name, funcs.Explain(diags)[0].Detail)
		}
		values[name], _ = v.UnmarkDeep()
	}
	return cty.ObjectVal(values), nil
}

// valueType is the type of a stage's values: an object.
func valueType(text []byte) (cty.Type, error) {
	if len(text) == 0 {
		return cty.EmptyObject, nil
	}
	return ctyjson.UnmarshalType(text)
}

// withArguments adds to the values of a deployment its arguments of the same name and
// type, such as its path, unless they are sensitive.
func (s *server) withArguments(given cty.Value, t cty.Type, in *pluginv1.Instance) cty.Value {
	arguments, err := client.DecodeValue(in.Config)
	if err != nil || !arguments.Type().IsObjectType() || arguments.IsNull() || !arguments.IsKnown() {
		return given
	}
	all := map[string]cty.Value{}
	for name, of := range t.AttributeTypes() {
		if s.sensitive(name) || !arguments.Type().HasAttribute(name) || !arguments.GetAttr(name).IsWhollyKnown() {
			continue
		}
		if v, err := convert.Convert(arguments.GetAttr(name), of); err == nil {
			all[name] = v
		}
	}
	maps.Copy(all, given.AsValueMap())
	return cty.ObjectVal(all)
}

// sensitive reports whether an argument of the stage's type is sensitive.
func (s *server) sensitive(argument string) bool {
	return slices.ContainsFunc(s.stageType().GetBody().GetArguments(), func(a *pluginv1.Argument) bool { return a.Name == argument && a.Sensitive })
}

// complete converts a value to a type. Attributes that it lacks are null, at any depth.
func complete(v cty.Value, t cty.Type, at string) (cty.Value, error) {
	switch {
	case v.IsNull():
		return cty.NullVal(t), nil
	case t.IsObjectType():
		return completeObject(v, t, at)
	case (t.IsMapType() || t.IsListType()) && v.CanIterateElements():
		return completeElements(v, t, at)
	}
	out, err := convert.Convert(v, t)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", at, err)
	}
	return out, nil
}

func completeObject(v cty.Value, t cty.Type, at string) (cty.Value, error) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return cty.NilVal, fmt.Errorf("%s is %s, but must be an object", at, v.Type().FriendlyName())
	}
	given, names := v.AsValueMap(), slices.Sorted(maps.Keys(t.AttributeTypes()))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !t.HasAttribute(name) {
			return cty.NilVal, fmt.Errorf("%s has no %q.%s", at, name, suggestion(name, names))
		}
	}
	all := map[string]cty.Value{}
	for name, of := range t.AttributeTypes() {
		all[name] = cty.NullVal(of)
		if inner, ok := given[name]; ok {
			var err error
			if all[name], err = complete(inner, of, at+"."+name); err != nil {
				return cty.NilVal, err
			}
		}
	}
	return cty.ObjectVal(all), nil
}

func completeElements(v cty.Value, t cty.Type, at string) (cty.Value, error) {
	of := t.ElementType()
	var list []cty.Value
	elements := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		key, element := it.Element()
		inner, err := complete(element, of, at+"["+strings.TrimSpace(keyText(key))+"]")
		if err != nil {
			return cty.NilVal, err
		}
		list = append(list, inner)
		if key.Type() == cty.String {
			elements[key.AsString()] = inner
		}
	}
	switch {
	case t.IsMapType() && len(elements) < len(list):
		return cty.NilVal, fmt.Errorf("%s must be a map", at)
	case t.IsMapType() && len(elements) == 0:
		return cty.MapValEmpty(of), nil
	case t.IsMapType():
		return cty.MapVal(elements), nil
	case len(list) == 0:
		return cty.ListValEmpty(of), nil
	}
	return cty.ListVal(list), nil
}

func keyText(key cty.Value) string {
	if text, err := convert.Convert(key, cty.String); err == nil {
		return text.AsString()
	}
	return "?"
}

func suggestion(name string, names []string) string {
	if hint := diag.Suggest(name, names); hint != "" || len(names) == 0 {
		return hint
	}
	return " It can have " + english.And(names) + "."
}
