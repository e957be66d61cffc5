package funcs

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var collectionFunctions = []entry{
	describe("alltrue", "Whether all elements are true; true for an empty list.", `alltrue([true, false])`, `false`, boolsFunc(true)),
	describe("anytrue", "Whether an element is true; false for an empty list.", `anytrue([true, false])`, `true`, boolsFunc(false)),
	describe("chunklist", "Splits a list into lists of a given size.", `chunklist([1, 2, 3], 2)`, `[[1, 2], [3]]`, stdlib.ChunklistFunc),
	describe("coalesce", "The first argument that is not null or an empty string.", `coalesce(null, "", "b")`, `"b"`, coalesceFunc),
	describe("coalescelist", "The first list that is not empty.", `coalescelist([], ["a"])`, `["a"]`, stdlib.CoalesceListFunc),
	describe("compact", "A list of strings without null and empty strings.", `compact(["a", "", "b"])`, `["a", "b"]`, stdlib.CompactFunc),
	describe("concat", "Combines lists into one list.", `concat(["a"], ["b"])`, `["a", "b"]`, checked(stdlib.ConcatFunc, concatCheck)),
	describe("contains", "Whether a list or set contains a value.", `contains(["a", "b"], "a")`, `true`, containsFunc),
	describe("distinct", "A list without duplicates.", `distinct(["a", "b", "a"])`, `["a", "b"]`, distinctFunc),
	describe("element", "The element at an index. The index wraps around.", `element(["a", "b"], 3)`, `"b"`, stdlib.ElementFunc),
	describe("flatten", "Flattens nested lists into one list.", `flatten([["a"], ["b", ["c"]]])`, `["a", "b", "c"]`, stdlib.FlattenFunc),
	describe("index", "The index of the first element that equals a value. Fails if no element does.", `index(["a", "b"], "b")`, `1`, indexFunc),
	describe("keys", "The keys of a map or object, sorted.", `keys({ b = 1, a = 2 })`, `["a", "b"]`, stdlib.KeysFunc),
	describe("length", "The number of elements or attributes, or of characters in a string, counted as grapheme clusters: a letter with its accents is one character, and so is an emoji made of several code points. levenshtein and similarity count code points.", `length(["a", "b"])`, `2`, lengthFunc),
	describe("lookup", "The element of a map or object with a key, or the third argument if the key does not exist.", `lookup({ a = 1 }, "b", 0)`, `0`, lookupFunc),
	describe("matchkeys", "The elements of a list whose counterparts in a second list are in a third list.", `matchkeys(["a", "b"], ["x", "y"], ["y"])`, `["b"]`, checked(matchKeysFunc, distinctCheck)),
	describe("merge", "Combines maps or objects into one. Later values replace earlier ones.", `merge({ a = 1 }, { a = 2, b = 3 })`, `{ a = 2, b = 3 }`, checked(stdlib.MergeFunc, concatCheck)),
	describe("one", "The only element of a list or set, or null if it is empty. Fails if there are several.", `one(["a"])`, `"a"`, oneFunc),
	describe("range", "Numbers from a start (default 0) up to but not including an end, by a step (default 1).", `range(3)`, `[0, 1, 2]`, stdlib.RangeFunc),
	describe("reverse", "A list in reverse order.", `reverse(["a", "b"])`, `["b", "a"]`, stdlib.ReverseListFunc),
	describe("setintersection", "The elements that are in all of the sets.", `setintersection(["a", "b"], ["b"])`, `toset(["b"])`, stdlib.SetIntersectionFunc),
	describe("setproduct", "All combinations of one element from each set.", `setproduct(["a"], [1, 2])`, `[["a", 1], ["a", 2]]`, prepared(stdlib.SetProductFunc, factors)),
	describe("setsubtract", "The elements that are in the first set but not in the second.", `setsubtract(["a", "b"], ["b"])`, `toset(["a"])`, stdlib.SetSubtractFunc),
	describe("setunion", "The elements that are in any of the sets.", `setunion(["a"], ["b"])`, `toset(["a", "b"])`, checked(stdlib.SetUnionFunc, concatCheck)),
	describe("slice", "The elements from a start index up to but not including an end index.", `slice(["a", "b", "c"], 1, 3)`, `["b", "c"]`, stdlib.SliceFunc),
	describe("sort", "Sorts a list of strings.", `sort(["b", "a"])`, `["a", "b"]`, stdlib.SortFunc),
	describe("transpose", "Swaps the keys and values of a map of lists of strings.", `transpose({ a = ["x", "y"] })`, `{ x = ["a"], y = ["a"] }`, transposeFunc),
	describe("values", "The values of a map or object, in the order of the keys.", `values({ b = 1, a = 2 })`, `[2, 1]`, stdlib.ValuesFunc),
	describe("zipmap", "A map from a list of keys and a list of values.", `zipmap(["a", "b"], [1, 2])`, `{ a = 1, b = 2 }`, prepared(stdlib.ZipmapFunc, uniformKeys)),
}

// boolsFunc is alltrue (all) or anytrue. The first element that differs from
// all decides.
func boolsFunc(all bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "list", Type: cty.List(cty.Bool), AllowUnknown: true}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if !args[0].IsKnown() {
				return cty.UnknownVal(cty.Bool), nil
			}
			unknown := false
			for it := args[0].ElementIterator(); it.Next(); {
				switch _, e := it.Element(); {
				case !e.IsKnown():
					unknown = true
				case (!e.IsNull() && e.True()) != all:
					return cty.BoolVal(!all), nil
				}
			}
			if unknown {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(all), nil
		},
	})
}

var coalesceFunc = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "vals", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowNull: true},
	Type: func(args []cty.Value) (cty.Type, error) {
		types := make([]cty.Type, len(args))
		for i, v := range args {
			types[i] = v.Type()
		}
		t, _ := convert.UnifyUnsafe(types)
		if t == cty.NilType {
			return cty.NilType, function.NewArgErrorf(0, "all arguments must have the same type")
		}
		return t, nil
	},
	RefineResult: notNull,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		for _, v := range args {
			v, err := convert.Convert(v, ret)
			switch {
			case err != nil:
				return cty.NilVal, err
			case !v.IsKnown():
				return cty.UnknownVal(ret), nil
			case v.IsNull(), v.Type() == cty.String && v.AsString() == "":
			default:
				return v, nil
			}
		}
		return cty.NilVal, function.NewArgErrorf(0, "every argument is null or empty")
	},
})

// containsFunc is cty's contains, which has no type for lists of any type.
var containsFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "list", Type: cty.DynamicPseudoType, AllowDynamicType: true},
		{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true},
	},
	Type: func(args []cty.Value) (cty.Type, error) {
		if t := args[0].Type(); t != cty.DynamicPseudoType && !isSequence(t) {
			return cty.NilType, function.NewArgErrorf(0, "must be a list or set")
		}
		return cty.Bool, nil
	},
	RefineResult: notNull,
	Impl:         func(args []cty.Value, _ cty.Type) (cty.Value, error) { return stdlib.Contains(args[0], args[1]) },
})

// distinctFunc is cty's distinct, which compares each element with all earlier
// ones, with a shortcut for elements that are strings.
var distinctFunc = function.New(&function.Spec{
	Params: stdlib.DistinctFunc.Params(),
	Type:   func(args []cty.Value) (cty.Type, error) { return stdlib.DistinctFunc.ReturnTypeForValues(args) },
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		if !t.IsListType() || t.ElementType() != cty.String || !args[0].IsWhollyKnown() || args[0].LengthInt() == 0 {
			if err := distinctCheck(args); err != nil {
				return cty.NilVal, err
			}
			return stdlib.Distinct(args[0])
		}
		seen, null := map[string]bool{}, false
		var kept []cty.Value
		for it := args[0].ElementIterator(); it.Next(); {
			switch _, e := it.Element(); {
			case e.IsNull():
				if !null {
					null, kept = true, append(kept, e)
				}
			case !seen[e.AsString()]:
				seen[e.AsString()], kept = true, append(kept, e)
			}
		}
		return cty.ListVal(kept), nil
	},
})

var indexFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if t := args[0].Type(); !t.IsListType() && !t.IsTupleType() {
			return cty.NilVal, function.NewArgErrorf(0, "must be a list")
		}
		for it := args[0].ElementIterator(); it.Next(); {
			i, e := it.Element()
			equal, err := stdlib.Equal(e, args[1])
			switch {
			case err != nil:
				return cty.NilVal, err
			case !equal.IsKnown():
				return cty.UnknownVal(cty.Number), nil
			case equal.True():
				return i, nil
			}
		}
		return cty.NilVal, function.NewArgErrorf(1, "the list does not contain this element")
	},
})

var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		t := args[0].Type()
		if t == cty.String || t == cty.DynamicPseudoType || t.IsObjectType() || t.IsTupleType() || t.IsCollectionType() {
			return cty.Number, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "must be a string, list, set, map, or object, not a %s", t.FriendlyName())
	},
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch v := args[0]; {
		case v.Type() == cty.DynamicPseudoType:
			return cty.UnknownVal(cty.Number), nil
		case v.Type() == cty.String:
			return stdlib.Strlen(v)
		case v.Type().IsObjectType():
			return cty.NumberIntVal(int64(len(v.Type().AttributeTypes()))), nil
		default:
			return v.Length(), nil
		}
	},
})

var lookupFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "map", Type: cty.DynamicPseudoType},
		{Name: "key", Type: cty.String},
	},
	VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowNull: true},
	Type: func(args []cty.Value) (cty.Type, error) {
		t := args[0].Type()
		switch {
		case len(args) > 3:
			return cty.NilType, function.NewArgErrorf(3, "at most one default is allowed")
		case t.IsMapType():
			return t.ElementType(), nil
		case !t.IsObjectType():
			return cty.NilType, function.NewArgErrorf(0, "must be a map or an object")
		case !args[1].IsKnown():
			return cty.DynamicPseudoType, nil
		case t.HasAttribute(args[1].AsString()):
			return t.AttributeType(args[1].AsString()), nil
		case len(args) == 3:
			return args[2].Type(), nil
		}
		return cty.NilType, function.NewArgErrorf(1, "the object has no attribute %q", args[1].AsString())
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		m, key := args[0], cty.StringVal(args[1].AsString()) // keys are normalized to NFC
		if m.Type().IsObjectType() && m.Type().HasAttribute(key.AsString()) {
			return m.GetAttr(key.AsString()), nil
		}
		if m.Type().IsMapType() {
			has := m.HasIndex(key)
			if !has.IsKnown() {
				return cty.UnknownVal(ret), nil
			}
			if has.True() {
				return m.Index(key), nil
			}
		}
		if len(args) < 3 {
			return cty.NilVal, function.NewArgErrorf(1, "the map has no element %q", key.AsString())
		}
		v, err := convert.Convert(args[2], ret)
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(2, "the default must have the same type as the elements: %s", err)
		}
		return v, nil
	},
})

var matchKeysFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "values", Type: cty.List(cty.DynamicPseudoType)},
		{Name: "keys", Type: cty.List(cty.DynamicPseudoType)},
		{Name: "searchset", Type: cty.List(cty.DynamicPseudoType)},
	},
	Type: func(args []cty.Value) (cty.Type, error) {
		if _, _, err := sameKeys(args[1], args[2]); err != nil {
			return cty.NilType, err
		}
		return args[0].Type(), nil
	},
	RefineResult: notNull,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() || !args[1].IsWhollyKnown() || !args[2].IsWhollyKnown() {
			return cty.UnknownVal(ret), nil
		}
		with, among, err := sameKeys(args[1], args[2])
		if err != nil {
			return cty.NilVal, err
		}
		values, keys := args[0].AsValueSlice(), with.AsValueSlice()
		if len(values) != len(keys) {
			return cty.NilVal, function.NewArgErrorf(1, "keys and values must have the same length")
		}
		var found []cty.Value
		for i, key := range keys {
			for _, wanted := range among.AsValueSlice() {
				if equal, err := stdlib.Equal(key, wanted); err == nil && equal.True() {
					found = append(found, values[i])
					break
				}
			}
		}
		if len(found) == 0 {
			return cty.ListValEmpty(ret.ElementType()), nil
		}
		return cty.ListVal(found), nil
	},
})

// sameKeys converts the keys and those to be found to one type, because values
// of different types are never equal.
func sameKeys(keys, among cty.Value) (cty.Value, cty.Value, error) {
	differ := function.NewArgErrorf(1, "keys and searchset must have the same type")
	t, _ := convert.UnifyUnsafe([]cty.Type{keys.Type(), among.Type()})
	if t == cty.NilType {
		return keys, among, differ
	}
	k, err := convert.Convert(keys, t)
	if err != nil {
		return keys, among, differ
	}
	a, err := convert.Convert(among, t)
	if err != nil {
		return keys, among, differ
	}
	return k, a, nil
}

var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch t := args[0].Type(); {
		case t.IsListType(), t.IsSetType():
			return t.ElementType(), nil
		case !t.IsTupleType():
			return cty.NilType, function.NewArgErrorf(0, "must be a list or set")
		case t.Length() == 0:
			return cty.DynamicPseudoType, nil
		case t.Length() == 1:
			return t.TupleElementType(0), nil
		}
		return cty.NilType, function.NewArgErrorf(0, "the list has more than one element")
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		n := args[0].Length()
		if !n.IsKnown() {
			return cty.UnknownVal(ret), nil
		}
		elements := args[0].AsValueSlice()
		switch len(elements) {
		case 0:
			return cty.NullVal(ret), nil
		case 1:
			return elements[0], nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "the list has more than one element")
	},
})

var transposeFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "map", Type: cty.Map(cty.List(cty.String))}},
	Type:         function.StaticReturnType(cty.Map(cty.List(cty.String))),
	RefineResult: notNull,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(ret), nil
		}
		lists := map[string][]cty.Value{}
		for it := args[0].ElementIterator(); it.Next(); {
			key, list := it.Element()
			if list.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "the list of %q is null", key.AsString())
			}
			for _, e := range list.AsValueSlice() {
				if e.IsNull() {
					return cty.NilVal, function.NewArgErrorf(0, "null cannot become a key")
				}
				name := cty.NormalizeString(e.AsString())
				lists[name] = append(lists[name], key)
			}
		}
		if len(lists) == 0 {
			return cty.MapValEmpty(cty.List(cty.String)), nil
		}
		out := make(map[string]cty.Value, len(lists))
		for name, keys := range lists {
			out[name] = cty.ListVal(keys)
		}
		return cty.MapVal(out), nil
	},
})
