package funcs

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/quern-dev/quern/lang/funcs/overlap"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/text/cases"
)

// likenessFunctions compare a text with a reference. They are well-known
// metrics, so they have their usual names.
var likenessFunctions = []entry{
	describe("bleu", "BLEU of a sentence against a reference or a list of references: the precision of its n-grams of one to four words. Computed as sacrebleu does (mteval-v13a tokens, case-sensitive, exponential smoothing), from 0 to 1.", `bleu("the cat", "the dog")`, `0.5`, scoreFunc(overlap.Bleu)),
	describe("contains_all", "Whether the string contains all of the given strings.", `contains_all("quern", ["qu", "rn"])`, `true`, partsFunc(strings.Contains, true)),
	describe("contains_any", "Whether the string contains any of the given strings.", `contains_any("quern", ["x", "rn"])`, `true`, partsFunc(strings.Contains, false)),
	describe("gleu", "Google BLEU of a sentence against a reference or a list of references: the lower of precision and recall over all n-grams of one to four words.", `gleu("the cat sat", "the cat ran")`, `0.5`, scoreFunc(overlap.Gleu)),
	describe("icontains", "Like strcontains, but case-insensitive.", `icontains("Quern", "UER")`, `true`, affix(foldContains, "substr")),
	describe("icontains_all", "Like contains_all, but case-insensitive.", `icontains_all("Quern", ["QU", "RN"])`, `true`, partsFunc(foldContains, true)),
	describe("icontains_any", "Like contains_any, but case-insensitive.", `icontains_any("Quern", ["X", "RN"])`, `true`, partsFunc(foldContains, false)),
	describe("iequals", "Whether two strings are equal, ignoring case.", `iequals("Straße", "STRASSE")`, `true`, affix(func(a, b string) bool { return fold(a) == fold(b) }, "other")),
	describe("levenshtein", "The number of characters that must be inserted, deleted, or replaced to turn one string into the other. Characters are Unicode code points, as in Python; length counts grapheme clusters.", `levenshtein("kitten", "sitting")`, `3`, checked(levenshteinFunc, distanceCheck)),
	describe("meteor", "METEOR of a sentence against a reference or a list of references. Matches equal words and equal English stems (Porter's, as in NLTK), but not synonyms, so it can be lower than METEOR with WordNet.", `meteor("the cat", "the cats")`, `0.9375`, scoreFunc(overlap.Meteor)),
	describe("rouge_l", "ROUGE-L against a reference or a list of references: the longest common subsequence of words. The last argument selects \"f1\" (the default), \"precision\", or \"recall\".", `rouge_l("the cat sat", "the cat sat down", "recall")`, `0.75`, rougeLFunc),
	describe("rouge_n", "ROUGE-N against a reference or a list of references: the overlap of n-grams, where the third argument is the number of words in each. The last argument selects \"f1\" (the default), \"precision\", or \"recall\".", `rouge_n("the cat sat", "the cat ran", 2)`, `0.5`, rougeNFunc),
	describe("similarity", "The similarity of two strings, from 0 to 1: 1 minus the Levenshtein distance divided by the length of the longer string.", `similarity("abcd", "abce")`, `0.75`, checked(similarityFunc, distanceCheck)),
	describe("word_count", "The number of words, separated by white space.", `word_count("one two, three")`, `3`, wordCountFunc),
}

// fold returns a string in a form in which the case of letters makes no
// difference.
func fold(s string) string { return cases.Fold().String(s) }

func foldContains(s, part string) bool { return strings.Contains(fold(s), fold(part)) }

// partsFunc reports whether a string contains all of some parts, or any of
// them.
func partsFunc(has func(s, part string) bool, all bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "str", Type: cty.String}, {Name: "parts", Type: cty.List(cty.String)}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if !args[1].IsWhollyKnown() {
				return cty.UnknownVal(cty.Bool), nil
			}
			if err := workFits(float64(len(args[0].AsString())) * float64(args[1].LengthInt())); err != nil {
				return cty.NilVal, err
			}
			for it := args[1].ElementIterator(); it.Next(); {
				_, part := it.Element()
				if part.IsNull() {
					return cty.NilVal, function.NewArgErrorf(1, "the string to search for cannot be null")
				}
				if has(args[0].AsString(), part.AsString()) != all {
					return cty.BoolVal(!all), nil
				}
			}
			return cty.BoolVal(all), nil
		},
	})
}

// referenceParam is the parameter for a reference: a string, or a list of
// strings any of which is acceptable.
var referenceParam = function.Parameter{Name: "reference", Type: cty.DynamicPseudoType, AllowDynamicType: true}

// referenceTexts returns the strings of a reference. known is false if one of
// them is not known.
func referenceTexts(arg int, v cty.Value) (texts []string, known bool, err error) {
	if !v.IsWhollyKnown() {
		return nil, false, nil
	}
	elements := []cty.Value{v}
	if isSequence(v.Type()) {
		elements = v.AsValueSlice()
	}
	for _, e := range elements {
		if e.Type() != cty.String || e.IsNull() {
			return nil, true, function.NewArgErrorf(arg, "must be a string or a list of strings")
		}
		texts = append(texts, e.AsString())
	}
	if len(texts) == 0 {
		return nil, true, function.NewArgErrorf(arg, "at least one reference is needed")
	}
	return texts, true, nil
}

// scoreFunc returns a function for a measure of likeness.
func scoreFunc(score func(text string, references []string) float64) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}, referenceParam},
		Type:         function.StaticReturnType(cty.Number),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			texts, known, err := referenceTexts(1, args[1])
			if err != nil || !known {
				return cty.UnknownVal(cty.Number), err
			}
			if err := gramsCheck(args[0].AsString(), texts, 4); err != nil {
				return cty.NilVal, err
			}
			return figure(score(args[0].AsString(), texts))
		},
	})
}

// figure returns a computed number, rounded to the twelve digits that are the
// same on all machines. It is a decimal: 0.7 is exactly 0.7.
func figure(x float64) (cty.Value, error) {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return cty.NilVal, errors.New("the result is too large")
	}
	return cty.ParseNumberVal(strconv.FormatFloat(x, 'g', 12, 64))
}

// part is the parameter that selects a part of a score.
var part = &function.Parameter{Name: "part", Type: cty.String}

// partOf returns the part of a score that the arguments from an index on
// select.
func partOf(s overlap.Score, args []cty.Value, from int) (cty.Value, error) {
	if len(args) > from+1 {
		return cty.NilVal, function.NewArgErrorf(from+1, "too many arguments")
	}
	what := "f1"
	if len(args) > from {
		what = args[from].AsString()
	}
	switch what {
	case "f1":
		return figure(s.F1())
	case "precision":
		return figure(s.Precision)
	case "recall":
		return figure(s.Recall)
	}
	return cty.NilVal, function.NewArgErrorf(from, `must be "f1", "precision", or "recall"`)
}

var rougeLFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "text", Type: cty.String}, referenceParam},
	VarParam:     part,
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		texts, known, err := referenceTexts(1, args[1])
		if err != nil || !known {
			return cty.UnknownVal(cty.Number), err
		}
		if err := wordsCheck(args[0].AsString(), texts); err != nil {
			return cty.NilVal, err
		}
		return partOf(overlap.RougeL(args[0].AsString(), texts), args, 2)
	},
})

var rougeNFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "text", Type: cty.String}, referenceParam, {Name: "n", Type: cty.Number}},
	VarParam:     part,
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		texts, known, err := referenceTexts(1, args[1])
		if err != nil || !known {
			return cty.UnknownVal(cty.Number), err
		}
		n, exact := args[2].AsBigFloat().Int64()
		if exact != 0 || n < 1 || n > 100 {
			return cty.NilVal, function.NewArgErrorf(2, "the number of words must be a whole number from 1 to 100")
		}
		if err := gramsCheck(args[0].AsString(), texts, int(n)); err != nil {
			return cty.NilVal, err
		}
		return partOf(overlap.RougeN(args[0].AsString(), texts, int(n)), args, 3)
	},
})

// distanceCheck is for a table of all characters of one text by all characters
// of the other.
func distanceCheck(args []cty.Value) error {
	return workFits(float64(utf8.RuneCountInString(args[0].AsString())) * float64(utf8.RuneCountInString(args[1].AsString())))
}

// wordsCheck bounds the words of a text times those of all references, because
// the work is proportional to both.
func wordsCheck(text string, references []string) error {
	words, steps := float64(len(overlap.Words(text))), 0.0
	for _, r := range references {
		steps += (1 + words) * float64(1+len(overlap.Words(r)))
	}
	return workFits(steps)
}

// gramsCheck is for measures that build runs of n words, whose total length is
// n times that of the texts.
func gramsCheck(text string, references []string, n int) error {
	size := float64(len(text)) * float64(n) * float64(len(references))
	for _, r := range references {
		size += float64(len(r)) * float64(n)
	}
	const waste = 16 // of text that is garbage once it is counted
	return fits(size / waste)
}

func distance(args []cty.Value) int {
	return levenshtein.Distance(args[0].AsString(), args[1].AsString(), nil)
}

var twoStrings = []function.Parameter{{Name: "a", Type: cty.String}, {Name: "b", Type: cty.String}}

var levenshteinFunc = function.New(&function.Spec{
	Params:       twoStrings,
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.NumberIntVal(int64(distance(args))), nil
	},
})

var similarityFunc = function.New(&function.Spec{
	Params:       twoStrings,
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		longer := max(utf8.RuneCountInString(args[0].AsString()), utf8.RuneCountInString(args[1].AsString()))
		if longer == 0 {
			return cty.NumberIntVal(1), nil
		}
		return figure(1 - float64(distance(args))/float64(longer))
	},
})

var wordCountFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "text", Type: cty.String}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.NumberIntVal(int64(len(strings.Fields(args[0].AsString())))), nil
	},
})
