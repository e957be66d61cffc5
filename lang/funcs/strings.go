package funcs

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

var stringFunctions = []entry{
	describe("chomp", "Removes line breaks from the end of a string.", `chomp("a\n")`, `"a"`, likeText(stdlib.ChompFunc, chomped)),
	describe("endswith", "Whether a string ends with another string.", `endswith("quern", "rn")`, `true`, affix(strings.HasSuffix, "suffix")),
	describe("format", "Formats values with a printf-like format: %s, %d, %5.2f, %q, %v, %#v.", `format("%s has %d rows", "clean", 3)`, `"clean has 3 rows"`, formatFunc),
	describe("formatlist", "Like format, but for each element of the lists among its arguments.", `formatlist("%s!", ["a", "b"])`, `["a!", "b!"]`, formatListFunc),
	describe("indent", "Indents every line except the first by a number of spaces.", `indent(2, "a\nb")`, `"a\n  b"`, checked(indentFunc, indentCheck)),
	describe("join", "Joins the strings of a list with a separator.", `join(", ", ["a", "b"])`, `"a, b"`, checked(joinFunc, joinCheck)),
	describe("lower", "Converts a string to lowercase.", `lower("ABC")`, `"abc"`, likeText(stdlib.LowerFunc, strings.ToLower)),
	describe("normalize", "Converts a string to a Unicode normal form: NFC, or NFD, NFKC, or NFKD if the second argument says so. Strings that look the same can have different bytes, and == compares bytes. In the same normal form, they are equal.", `normalize("e\u0301") == "\u00e9"`, `true`, normalizeFunc),
	describe("regex", "The first match of a regular expression (RE2): the matched text, or the capture groups as a list or, if they are named, as an object. Fails if nothing matches.", `regex("[0-9]+", "row 17")`, `"17"`, checked(regexFunc, patternCheck)),
	describe("regexall", "All matches of a regular expression, as a list.", `regexall("[a-z]", "a1b2")`, `["a", "b"]`, checked(regexAllFunc, matchesCheck)),
	describe("replace", "Replaces each occurrence of a string or, if it is written between slashes, of a regular expression. The replacement can refer to capture groups as $1.", `replace("a1b22", "/[0-9]+/", "#")`, `"a#b#"`, checked(replaceFunc, replaceCheck)),
	describe("split", "Splits a string at each separator.", `split(",", "a,b")`, `["a", "b"]`, checked(splitFunc, splitCheck)),
	describe("startswith", "Whether a string begins with another string.", `startswith("quern", "qu")`, `true`, affix(strings.HasPrefix, "prefix")),
	describe("strcontains", "Whether a string contains another string.", `strcontains("quern", "uer")`, `true`, affix(strings.Contains, "substr")),
	describe("strrev", "Reverses the characters of a string.", `strrev("abc")`, `"cba"`, veiled(stdlib.ReverseFunc)),
	describe("substr", "A substring, by offset and length. A negative length means up to the end.", `substr("quern", 1, 3)`, `"uer"`, veiled(stdlib.SubstrFunc)),
	describe("templatestring", "Renders a template string with the given variables. In a configuration, write $${…} for the template's placeholders.", `templatestring("Hello, $${name}!", { name = "Ada" })`, `"Hello, Ada!"`, templateStringFunc),
	describe("title", "Capitalizes the first letter of each word.", `title("hello world")`, `"Hello World"`, likeText(stdlib.TitleFunc, titled)),
	describe("trim", "Removes the given characters from both ends of a string.", `trim("?!abc!?", "!?")`, `"abc"`, likeTexts(stdlib.TrimFunc, strings.Trim)),
	describe("trimprefix", "Removes a prefix, if the string has it.", `trimprefix("v1.2", "v")`, `"1.2"`, likeTexts(stdlib.TrimPrefixFunc, strings.TrimPrefix)),
	describe("trimspace", "Removes white space from both ends of a string.", `trimspace(" a \n")`, `"a"`, likeText(stdlib.TrimSpaceFunc, strings.TrimSpace)),
	describe("trimsuffix", "Removes a suffix, if the string has it.", `trimsuffix("a.csv", ".csv")`, `"a"`, likeTexts(stdlib.TrimSuffixFunc, strings.TrimSuffix)),
	describe("upper", "Converts a string to uppercase.", `upper("abc")`, `"ABC"`, likeText(stdlib.UpperFunc, strings.ToUpper)),
}

// affix returns a function of two strings that reports whether one contains the
// other.
func affix(has func(s, part string) bool, part string) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "str", Type: cty.String}, {Name: part, Type: cty.String}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(has(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

var replaceFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "str", Type: cty.String},
		{Name: "substr", Type: cty.String},
		{Name: "replacement", Type: cty.String},
	},
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		str, substr, by := args[0].AsString(), args[1].AsString(), args[2].AsString()
		pattern, ok := slashed(substr)
		if !ok {
			return verbatim.Text(strings.ReplaceAll(str, substr, by)), nil
		}
		re, err := ParsePattern(pattern)
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		return verbatim.Text(re.ReplaceAllString(str, by)), nil
	},
})

var normalForms = map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}

var normalizeFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "str", Type: cty.String}},
	VarParam:     &function.Parameter{Name: "form", Type: cty.String},
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		form := norm.NFC
		switch {
		case len(args) > 2:
			return cty.NilVal, function.NewArgErrorf(2, "at most one form is allowed")
		case len(args) == 2:
			var ok bool
			if form, ok = normalForms[args[1].AsString()]; !ok {
				return cty.NilVal, function.NewArgErrorf(1, "the form must be NFC, NFD, NFKC, or NFKD")
			}
		}
		return verbatim.Text(form.String(args[0].AsString())), nil
	},
})
