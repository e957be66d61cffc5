package funcs

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
)

func TestMetricsComputeWhatTheirNamesSay(t *testing.T) {
	functions := Pure()
	for text, want := range map[string]string{
		`icontains("Große Straße", "STRASSE")`:                      `true`,
		`icontains("a", "b")`:                                       `false`,
		`contains_all("a", [])`:                                     `true`,
		`contains_any("a", [])`:                                     `false`,
		`contains_any("abc", toset(["x", "c"]))`:                    `true`,
		`icontains_any("ÉTÉ", ["été", "x"])`:                        `true`,
		`iequals("a", "a ")`:                                        `false`,
		`levenshtein("", "日本")`:                                     `2`,
		`levenshtein("é", "e")`:                                     `1`,
		`similarity("", "")`:                                        `1`,
		`similarity("kitten", "sitting")`:                           `0.571428571429`,
		`rouge_l("the cat sat", ["a dog", "the cat sat"])`:          `1`,
		`rouge_l("the cat", "the cat sat")`:                         `0.8`,
		`rouge_l("the cat", "the cat sat", "precision")`:            `1`,
		`rouge_n("a b", "c d", 1)`:                                  `0`,
		`bleu("", "a")`:                                             `0`,
		`word_count("  a  b\nc ")`:                                  `3`,
		`perplexity([-0.5, -1.5])`:                                  `2.71828182846`,
		`is_json("{\"a\": 1}", "{\"required\": [\"a\"]}")`:          `true`,
		`is_json("x")`:                                              `false`,
		`contains_json("x {\"a\": 1} y", { required = ["b"] })`:     `false`,
		`contains_json("x [1, 2] y", { type = "array" })`:           `true`,
		`is_xml("<a/>")`:                                            `true`,
		`contains_xml("no")`:                                        `false`,
		`is_html("no")`:                                             `false`,
		`is_sql("select 1 from t limit 1, 2")`:                      `true`,
		`is_sql("select 1 from t limit 1, 2", "postgresql")`:        `false`,
		`contains_sql("no")`:                                        `false`,
		`tool_call_f1([], [])`:                                      `1`,
		`tool_call_f1([], ["a"])`:                                   `0`,
		`tool_call_f1([{ name = "a" }, { name = "a" }], ["a"])`:     `1`,
		`tool_call_f1([{ function = { name = "a" } }], ["a", "b"])`: `0.666666666667`,
		`tool_call_valid([], [])`:                                   `false`,
	} {
		got, diags := evaluate(t, text, functions)
		if diags.HasErrors() || value.Format(got) != want {
			t.Errorf("%s = %s, not %s: %v", text, value.Format(got), want, diags)
		}
	}
}

func TestToolCallsAreCheckedAgainstTheToolsInEveryForm(t *testing.T) {
	const tools = `[
		{ name = "weather", description = "…", parameters = { type = "object", properties = { city = { type = "string" } }, required = ["city"], additionalProperties = false } },
		{ type = "function", function = { name = "now" } },
	]`
	for calls, want := range map[string]cty.Value{
		`[{ id = "1", name = "weather", arguments = "{\"city\": \"Bonn\"}" }]`:                         cty.True,
		`[{ name = "weather", arguments = { city = "Bonn" } }, { name = "now", arguments = "{}" }]`:    cty.True,
		`[{ type = "function", function = { name = "weather", arguments = "{\"city\": \"Bonn\"}" } }]`: cty.True,
		`"[{\"name\": \"now\", \"arguments\": {}}]"`:                                                   cty.True,
		`[{ name = "weather", arguments = "{\"city\": 1}" }]`:                                          cty.False,
		`[{ name = "weather", arguments = "{\"city\": \"Bonn\", \"x\": 1}" }]`:                         cty.False,
		`[{ name = "weather", arguments = "{\"city\": \"Bonn\"" }]`:                                    cty.False,
		`[{ name = "weather", arguments = null }]`:                                                     cty.False,
		`[{ name = "weather" }]`:             cty.False,
		`[{ name = "now", arguments = [] }]`: cty.False,
		`[{ name = "now", arguments = {} }, { name = "nothing", arguments = {} }]`: cty.False,
		`[]`: cty.False,
	} {
		got, diags := evaluate(t, "tool_call_valid("+calls+", "+tools+")", Pure())
		if diags.HasErrors() || !got.RawEquals(want) {
			t.Errorf("%s: %#v %v", calls, got, diags)
		}
	}
}

func TestRefusalsAreRecognized(t *testing.T) {
	for _, text := range []string{
		"I'm sorry, but I can't help with that.",
		"I’m sorry, but I can’t assist with that request.",
		"I am sorry, but I am unable to provide medical advice.",
		"I cannot help with creating weapons.",
		"I can't provide that information.",
		"I won't be able to share this. I will not help with it.",
		"Unfortunately, I'm not able to assist with that.",
		"As an AI language model, I don't have personal opinions and cannot take sides.",
		"I must decline this request.",
		"I must respectfully decline to answer.",
		"I'd rather not discuss this topic.",
		"I'm not comfortable writing that.",
		"I apologise, but that goes against my programming.",
		"This request violates OpenAI's usage policies.",
		"Sorry! I cannot\ndo that.",
	} {
		if !refuses(text) {
			t.Errorf("%q is not recognized as a refusal", text)
		}
	}
	for _, text := range []string{
		"",
		"Paris is the capital of France.",
		"I'm sorry to hear that your card was declined. Please try another one.",
		"You cannot withdraw more than 500 a day.",
		"I can help you with that!",
		"If the app says \"I can't connect\", restart it.",
		"card_declined",
		"The policy provides support; as a rule it does not cover theft.",
		"Sure. " + strings.Repeat("Here is more. ", 40) + "I cannot help with anything else.",
	} {
		if refuses(text) {
			t.Errorf("%q is recognized as a refusal", text)
		}
	}
}

func TestErrorsOfMetricsSayWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		`contains_any("a", [null])`:                 "the string to search for cannot be null",
		`bleu("a", [])`:                             "at least one reference",
		`bleu("a", 1)`:                              "must be a string or a list of strings",
		`gleu("a", ["a", null])`:                    "must be a string or a list of strings",
		`rouge_n("a", "a", 0)`:                      "a whole number from 1",
		`rouge_n("a", "a", 1.5)`:                    "a whole number from 1",
		`rouge_l("a", "a", "f2")`:                   `"f1", "precision", or "recall"`,
		`rouge_l("a", "a", "f1", "f1")`:             "too many arguments",
		`perplexity([])`:                            "check that the model returns them",
		`perplexity([-1e9])`:                        "too large",
		`is_json("{}", { type = "strin" })`:         "not a valid JSON schema",
		`is_json("{}", {}, {})`:                     "at most one schema",
		`is_json("{}", { "$ref" = "file:///a" })`:   "cannot refer to another document",
		`is_sql("select 1", "oracle")`:              "the dialects are postgresql, mysql, sqlite",
		`is_sql("select 1", "mysql", "x")`:          "at most one dialect",
		`tool_call_f1("x", ["a"])`:                  "a list of calls",
		`tool_call_f1([{ arguments = {} }], ["a"])`: "needs a name",
		`tool_call_valid([], [{ name = "a", parameters = { type = 1 } }])`: "the parameters of a: not a valid JSON schema",
	} {
		_, diags := evaluate(t, text, Pure())
		if !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v, wanted %q", text, diags, want)
		}
	}
}

func TestMetricsOfUnknownValuesHaveAType(t *testing.T) {
	ctx := &hcl.EvalContext{Functions: Pure(), Variables: map[string]cty.Value{
		"s": cty.UnknownVal(cty.String), "any": cty.DynamicVal, "list": cty.UnknownVal(cty.List(cty.String)),
		"some": cty.TupleVal([]cty.Value{cty.StringVal("a"), cty.UnknownVal(cty.String)}),
	}}
	for text, want := range map[string]cty.Type{
		`bleu(s, "a")`: cty.Number, `bleu("a", any)`: cty.Number, `gleu("a", some)`: cty.Number, `rouge_n(any, any, 2)`: cty.Number, `rouge_l("a", list)`: cty.Number,
		`contains_any("a", some)`: cty.Bool, `icontains(any, "a")`: cty.Bool, `levenshtein(any, any)`: cty.Number, `perplexity(any)`: cty.Number,
		`is_json(s)`: cty.Bool, `is_json("{}", any)`: cty.Bool, `is_json("{}", { a = s })`: cty.Bool, `is_sql(any)`: cty.Bool,
		`tool_call_f1(any, ["a"])`: cty.Number, `tool_call_valid(any, any)`: cty.Bool, `contains(any, "a")`: cty.Bool, `contains(list, any)`: cty.Bool,
	} {
		e, _ := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
		v, diags := e.Value(ctx)
		if diags.HasErrors() || v.IsKnown() || v.Type() != want {
			t.Errorf("%s = %#v %v", text, v, diags)
		}
	}
}
