package funcs

import (
	"math"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/lang/funcs/wellformed"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// answerFunctions report whether an answer has the requested form.
var answerFunctions = []entry{
	describe("contains_html", "Whether the string contains an HTML element.", `contains_html("A <b>bold</b> claim")`, `true`, formFunc(wellformed.ContainsHTML)),
	describe("contains_json", "Whether the string contains a JSON object. With a schema, whether it contains an object or array that matches the schema.", `contains_json("It is {\"a\": 1}.")`, `true`, jsonFunc(wellformed.ContainsJSON, (*wellformed.Schema).In)),
	describe("contains_sql", "Whether the string is SQL or contains a fenced block of SQL. The dialect is as in is_sql.", "contains_sql(\"```sql\\nselect 1\\n```\")", `true`, sqlFunc(wellformed.ContainsSQL)),
	describe("contains_xml", "Whether the string contains a well-formed XML element that has all of the named elements.", `contains_xml("So: <a><b/></a>", "a.b")`, `true`, xmlFunc(wellformed.ContainsXML)),
	describe("is_html", "Whether the string is nothing but HTML: known HTML elements, closed where HTML requires it.", `is_html("<p>One<br>Two</p>")`, `true`, formFunc(wellformed.IsHTML)),
	describe("is_json", "Whether the string is JSON and, if a JSON schema is given (as an object or as text), matches it. Formats are checked. A schema cannot refer to other documents.", `is_json("{\"a\": 1}", { type = "object", required = ["b"] })`, `false`, jsonFunc(wellformed.IsJSON, func(s *wellformed.Schema, text string) bool { return s.Check(text) == nil })),
	describe("is_refusal", "Whether the string looks like a refusal to answer. Detects common English phrases and can be wrong.", `is_refusal("I'm sorry, but I can't help with that.")`, `true`, formFunc(refuses)),
	describe("is_sql", "Whether the string is one or more SQL statements in a dialect (postgresql, mysql, or sqlite) or, if none is given, in any of these. Only the syntax is checked.", `is_sql("select a::int from t", "postgresql")`, `true`, sqlFunc(wellformed.IsSQL)),
	describe("is_xml", "Whether the string is a well-formed XML document that has all of the named elements. Name them by their paths from the root.", `is_xml("<a><b/></a>", "a.b", "a.c")`, `false`, xmlFunc(wellformed.IsXML)),
	describe("perplexity", "The perplexity of a text, given the natural log-probabilities of its tokens.", `perplexity([0, 0])`, `1`, perplexityFunc),
	describe("tool_call_f1", "The F1 score of the names of the called tools against the expected names, in any order. Each name counts once.", `tool_call_f1([{ name = "a" }, { name = "b" }], ["a", "b", "c"])`, `0.8`, toolCallF1Func),
	describe("tool_call_valid", "Whether there is at least one tool call, and each call names one of the given tools and has arguments that match its parameters (a JSON schema).", `tool_call_valid([{ name = "add", arguments = "{\"n\": 1}" }], [{ name = "add", parameters = { type = "object", required = ["n"] } }])`, `true`, toolCallValidFunc),
}

func formFunc(is func(text string) bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(is(args[0].AsString())), nil
		},
	})
}

// jsonFunc returns a function that looks for JSON and, with a schema, for JSON
// that matches it.
func jsonFunc(is func(text string) bool, fits func(s *wellformed.Schema, text string) bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}},
		VarParam:     &function.Parameter{Name: "schema", Type: cty.DynamicPseudoType, AllowDynamicType: true},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			switch {
			case len(args) > 2:
				return cty.NilVal, function.NewArgErrorf(2, "at most one schema is allowed")
			case len(args) == 1:
				return cty.BoolVal(is(args[0].AsString())), nil
			case !args[1].IsWhollyKnown():
				return cty.UnknownVal(cty.Bool), nil
			}
			text, err := jsonText(args[1])
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			schema, err := wellformed.ParseSchema(text)
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			return cty.BoolVal(fits(schema, args[0].AsString())), nil
		},
	})
}

// jsonText returns a value as JSON. A string is JSON already.
func jsonText(v cty.Value) (string, error) {
	if v.Type() == cty.String && !v.IsNull() {
		return v.AsString(), nil
	}
	text, err := ctyjson.Marshal(v, v.Type())
	return string(jsontext.Plain(text)), err
}

func sqlFunc(is func(text, dialect string) (bool, error)) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}},
		VarParam:     &function.Parameter{Name: "dialect", Type: cty.String},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			dialect := ""
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, "at most one dialect is allowed")
			}
			if len(args) == 2 {
				dialect = args[1].AsString()
			}
			ok, err := is(args[0].AsString(), dialect)
			if err != nil {
				return cty.NilVal, function.NewArgError(len(args)-1, err)
			}
			return cty.BoolVal(ok), nil
		},
	})
}

func xmlFunc(is func(text string, required ...string) bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}},
		VarParam:     &function.Parameter{Name: "element", Type: cty.String},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			var required []string
			for _, a := range args[1:] {
				required = append(required, a.AsString())
			}
			return cty.BoolVal(is(args[0].AsString(), required...)), nil
		},
	})
}

var perplexityFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "logprobs", Type: cty.List(cty.Number)}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(cty.Number), nil
		}
		sum, n := 0.0, 0.0
		for it := args[0].ElementIterator(); it.Next(); {
			_, e := it.Element()
			if e.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "a log-probability is null")
			}
			x, _ := e.AsBigFloat().Float64()
			sum, n = sum+x, n+1
		}
		if n == 0 {
			return cty.NilVal, function.NewArgErrorf(0, "there are no log-probabilities; check that the model returns them")
		}
		return figure(math.Exp(-sum / n))
	},
})

// anything is a parameter that accepts values of any structure.
func anything(name string) function.Parameter {
	return function.Parameter{Name: name, Type: cty.DynamicPseudoType, AllowDynamicType: true}
}

var toolCallF1Func = function.New(&function.Spec{
	Params:       []function.Parameter{anything("calls"), {Name: "expected", Type: cty.List(cty.String)}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() || !args[1].IsWhollyKnown() {
			return cty.UnknownVal(cty.Number), nil
		}
		calls, err := toolCalls(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		called, expected := map[string]bool{}, map[string]bool{}
		for _, c := range calls {
			called[c.Name] = true
		}
		for _, e := range args[1].AsValueSlice() {
			if e.IsNull() {
				return cty.NilVal, function.NewArgErrorf(1, "a name is null")
			}
			expected[e.AsString()] = true
		}
		return figure(sharedF1(called, expected))
	},
})

// sharedF1 is the F1 of a set compared with another, or 1 if both are empty.
func sharedF1(have, want map[string]bool) float64 {
	if len(have)+len(want) == 0 {
		return 1
	}
	both := 0
	for name := range have {
		if want[name] {
			both++
		}
	}
	return 2 * float64(both) / float64(len(have)+len(want))
}

var toolCallValidFunc = function.New(&function.Spec{
	Params:       []function.Parameter{anything("calls"), anything("tools")},
	Type:         function.StaticReturnType(cty.Bool),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() || !args[1].IsWhollyKnown() {
			return cty.UnknownVal(cty.Bool), nil
		}
		calls, err := toolCalls(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		tools, err := toolSchemas(args[1])
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		for _, c := range calls {
			schema, ok := tools[c.Name]
			if !ok || schema.Check(c.Arguments) != nil {
				return cty.False, nil
			}
		}
		return cty.BoolVal(len(calls) > 0), nil
	},
})
