package funcs

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/sdk/go/verbatim"
)

var stringFunctions = []entry{
	describe("chomp", "The string without line breaks at its end.", `chomp("a\n")`, `"a"`, likeText(stdlib.ChompFunc, chomped)),
	describe("endswith", "Whether the string ends with the other.", `endswith("quern", "rn")`, `true`, affix(strings.HasSuffix, "suffix")),
	describe("format", "Fills values into a printf-like format: %s, %d, %5.2f, %q, %v, %#v.", `format("%s has %d rows", "clean", 3)`, `"clean has 3 rows"`, formatFunc),
	describe("formatlist", "format, for each element of the lists among its arguments.", `formatlist("%s!", ["a", "b"])`, `["a!", "b!"]`, formatListFunc),
	describe("indent", "Indents every line but the first by so many blanks.", `indent(2, "a\nb")`, `"a\n  b"`, checked(indentFunc, indentCheck)),
	describe("join", "The strings of a list with a separator between them.", `join(", ", ["a", "b"])`, `"a, b"`, checked(joinFunc, joinCheck)),
	describe("lower", "The string in lower case.", `lower("ABC")`, `"abc"`, likeText(stdlib.LowerFunc, strings.ToLower)),
	describe("normalize", "The string in a Unicode normal form: NFC unless the second argument says NFD, NFKC, or NFKD. Texts that look the same can differ in bytes, and == compares bytes; in one normal form they are equal.", `normalize("e\u0301") == "\u00e9"`, `true`, normalizeFunc),
	describe("regex", "The first match of a regular expression (RE2): the text, or its groups as a list or, where they have names, an object. No match is an error.", `regex("[0-9]+", "row 17")`, `"17"`, checked(regexFunc, patternCheck)),
	describe("regexall", "All matches of a regular expression, as a list.", `regexall("[a-z]", "a1b2")`, `["a", "b"]`, checked(regexAllFunc, matchesCheck)),
	describe("replace", "Replaces each occurrence of a string, or, written between slashes, of a regular expression, whose groups the replacement may name as $1.", `replace("a1b22", "/[0-9]+/", "#")`, `"a#b#"`, checked(replaceFunc, replaceCheck)),
	describe("split", "The parts of a string between separators.", `split(",", "a,b")`, `["a", "b"]`, checked(splitFunc, splitCheck)),
	describe("startswith", "Whether the string begins with the other.", `startswith("quern", "qu")`, `true`, affix(strings.HasPrefix, "prefix")),
	describe("strcontains", "Whether the string contains the other.", `strcontains("quern", "uer")`, `true`, affix(strings.Contains, "substr")),
	describe("strrev", "The string's characters in reverse order.", `strrev("abc")`, `"cba"`, veiled(stdlib.ReverseFunc)),
	describe("substr", "Characters from an offset on; a negative length means up to the end.", `substr("quern", 1, 3)`, `"uer"`, veiled(stdlib.SubstrFunc)),
	describe("templatestring", "Renders a template that is a string, with the given variables. In configurations the template must be escaped as $${…}.", `templatestring("Hello, $${name}!", { name = "Ada" })`, `"Hello, Ada!"`, templateStringFunc),
	describe("title", "Puts the first letter of each word in upper case.", `title("hello world")`, `"Hello World"`, likeText(stdlib.TitleFunc, titled)),
	describe("trim", "Takes all of the given characters from both ends.", `trim("?!abc!?", "!?")`, `"abc"`, likeTexts(stdlib.TrimFunc, strings.Trim)),
	describe("trimprefix", "Takes a prefix away, where there is one.", `trimprefix("v1.2", "v")`, `"1.2"`, likeTexts(stdlib.TrimPrefixFunc, strings.TrimPrefix)),
	describe("trimspace", "Takes white space from both ends.", `trimspace(" a \n")`, `"a"`, likeText(stdlib.TrimSpaceFunc, strings.TrimSpace)),
	describe("trimsuffix", "Takes a suffix away, where there is one.", `trimsuffix("a.csv", ".csv")`, `"a"`, likeTexts(stdlib.TrimSuffixFunc, strings.TrimSuffix)),
	describe("upper", "The string in upper case.", `upper("abc")`, `"ABC"`, likeText(stdlib.UpperFunc, strings.ToUpper)),
}

// affix makes a function of two strings that says whether one has the other.
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
			return cty.NilVal, function.NewArgErrorf(2, "normalize takes at most one form")
		case len(args) == 2:
			var ok bool
			if form, ok = normalForms[args[1].AsString()]; !ok {
				return cty.NilVal, function.NewArgErrorf(1, "the form must be NFC, NFD, NFKC, or NFKD")
			}
		}
		return verbatim.Text(form.String(args[0].AsString())), nil
	},
})
