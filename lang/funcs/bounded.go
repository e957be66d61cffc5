package funcs

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
)

// Package eval checks the results of functions. Functions whose results can be
// far larger than their arguments, or that take far longer than reading them,
// are checked here before they are called.

// checked returns a function that is called only if check finds no problem with
// its arguments, which are known at that time.
func checked(f function.Function, check func(args []cty.Value) error) function.Function {
	return prepared(f, func(args []cty.Value) ([]cty.Value, error) { return args, check(args) })
}

// prepared returns a function that is called with the result of prepare for its
// arguments.
func prepared(f function.Function, prepare func(args []cty.Value) ([]cty.Value, error)) function.Function {
	ready := func(args []cty.Value) ([]cty.Value, error) {
		for _, a := range args {
			if !a.IsWhollyKnown() {
				return args, nil
			}
		}
		return prepare(args)
	}
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			args, err := ready(args)
			if err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			args, err := ready(args)
			if err != nil {
				return cty.NilVal, err
			}
			return f.Call(args)
		},
	})
}

// fits returns an error for too many bytes. The number is a float64, because a
// product of lengths may not fit in an int.
func fits(bytes float64) error {
	if bytes > float64(limit.Now().Bytes) {
		return limit.TooLong("the result")
	}
	return nil
}

// elementsFit is fits for a number of elements.
func elementsFit(n float64) error {
	if n > float64(limit.Now().Elements) {
		return limit.TooManyElements("the result")
	}
	return nil
}

// workFits returns an error if that many steps of a loop take too long. A
// machine does about stepsPerSecond of them.
func workFits(steps float64) error {
	const stepsPerSecond = 1e8
	if steps > limit.Now().Time.Seconds()*stepsPerSecond {
		return limit.TooSlow("comparing texts of this length")
	}
	return nil
}

// Pattern is a regular expression with the cost of matching it.
type Pattern struct {
	*regexp.Regexp
	// instructions is the size of its program. A match may have to follow all
	// of them at each byte.
	instructions int
}

// patterns caches patterns by their text. When there are many, it is emptied.
var patterns = struct {
	sync.Mutex
	compiled map[string]*Pattern
}{compiled: map[string]*Pattern{}}

const mostPatterns = 256

// ParsePattern compiles a regular expression.
func ParsePattern(text string) (*Pattern, error) {
	patterns.Lock()
	defer patterns.Unlock()
	if p, ok := patterns.compiled[text]; ok {
		return p, nil
	}
	p, err := parsePattern(text)
	if err != nil {
		return nil, err
	}
	if len(patterns.compiled) >= mostPatterns {
		clear(patterns.compiled)
	}
	patterns.compiled[text] = p
	return p, nil
}

func parsePattern(text string) (*Pattern, error) {
	const most = 100_000 // bytes
	if len(text) > most {
		return nil, fmt.Errorf("the pattern is longer than %d bytes", most)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &Pattern{re, len(program.Inst)}, nil
}

// Check returns an error if matching a text could take too long.
func (p *Pattern) Check(text string) error {
	if err := workFits(float64(p.instructions) * float64(len(text))); err != nil {
		return limit.TooSlow("matching this pattern with a text of this length")
	}
	return nil
}

// patternCheck checks a pattern and a text, the first two arguments.
func patternCheck(args []cty.Value) error {
	p, err := ParsePattern(args[0].AsString())
	if err != nil {
		return nil // regex reports what is wrong with it
	}
	return p.Check(args[1].AsString())
}

// matchesCheck is patternCheck for all matches, which may be too many.
func matchesCheck(args []cty.Value) error {
	if err := patternCheck(args); err != nil {
		return err
	}
	text, most := args[1].AsString(), limit.Now().Elements
	if len(text) < most {
		return nil
	}
	if p, err := ParsePattern(args[0].AsString()); err == nil {
		return elementsFit(float64(len(p.FindAllStringIndex(text, most+1))))
	}
	return nil
}

func splitCheck(args []cty.Value) error {
	return elementsFit(float64(strings.Count(args[1].AsString(), args[0].AsString())))
}

func joinCheck(args []cty.Value) error {
	size := 0.0
	for _, list := range args[1:] {
		size += float64(list.LengthInt()) * float64(len(args[0].AsString()))
	}
	return fits(size)
}

func indentCheck(args []cty.Value) error {
	spaces, _ := args[0].AsBigFloat().Float64()
	if spaces < 0 || spaces != math.Trunc(spaces) {
		return function.NewArgErrorf(0, "the number of spaces must be a whole number of at least 0")
	}
	return fits(spaces * (1 + float64(strings.Count(args[1].AsString(), "\n"))))
}

// verb is a verb in a format, with its flags, width, and precision.
var verb = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`%[^a-zA-Z%]*([a-zA-Z%])`) })

var digits = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9]+`) })

// formatCheck bounds the widths and precisions in a format, and how often it
// repeats its arguments.
func formatCheck(args []cty.Value) error {
	text := args[0].AsString()
	verbs := verb().FindAllString(text, -1)
	size, longest, lists := 0.0, 0, 1
	for _, v := range verbs {
		if mode := v[len(v)-1]; !strings.ContainsRune("vtbdoxXeEfgGsq%", rune(mode)) {
			return function.NewArgErrorf(0, "%s is not a valid format verb", v)
		}
		for _, n := range digits().FindAllString(v, -1) {
			width, err := strconv.Atoi(n)
			if err != nil {
				width = math.MaxInt
			}
			size += float64(width)
		}
	}
	for _, a := range args[1:] {
		if a.IsNull() {
			continue
		}
		if a.CanIterateElements() && !a.Type().IsObjectType() && !a.Type().IsMapType() {
			lists = max(lists, a.LengthInt())
		}
		measured, err := limit.Measure(a)
		if err != nil {
			return err
		}
		longest = max(longest, measured.Bytes)
	}
	if strings.Contains(text, "[") { // an argument may be used more than once
		size += float64(len(verbs)) * float64(longest)
	}
	return fits(size * float64(lists))
}

// replaceCheck bounds the size of a text after all matches of old have been
// replaced.
func replaceCheck(args []cty.Value) error {
	text, old, by := args[0].AsString(), args[1].AsString(), args[2].AsString()
	if pattern, ok := slashed(old); ok {
		p, err := ParsePattern(pattern)
		if err != nil {
			return nil // replace reports what is wrong with it
		}
		return p.CheckReplace(text, by)
	}
	if fits(float64(len(text)+1)*float64(len(by))) == nil {
		return nil
	}
	return fits(float64(strings.Count(text, old)) * float64(len(by)))
}

// CheckReplace is Check for replacing all matches with a text.
func (p *Pattern) CheckReplace(text, by string) error {
	if err := p.Check(text); err != nil {
		return err
	}
	// Each $1 repeats at most a part of its match.
	repeats := float64(strings.Count(by, "$")) * float64(len(text))
	if fits(repeats+float64(len(text)+1)*float64(len(by))) == nil {
		return nil
	}
	return fits(repeats + float64(len(p.FindAllStringIndex(text, -1)))*float64(len(by)))
}

// slashed returns the regular expression in a string between slashes.
func slashed(s string) (string, bool) {
	if len(s) < 2 || !strings.HasPrefix(s, "/") || !strings.HasSuffix(s, "/") {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// factors prepares the arguments of setproduct.
func factors(args []cty.Value) ([]cty.Value, error) {
	n := float64(len(args))
	lists := make([]cty.Value, len(args))
	for i, a := range args {
		if a.CanIterateElements() {
			n *= float64(a.LengthInt())
		}
		lists[i] = value.Collection(a, cty.List(cty.DynamicPseudoType))
	}
	return lists, elementsFit(n)
}

// concatCheck is for functions that return the elements of all their arguments.
func concatCheck(args []cty.Value) error {
	n := 0.0
	for _, a := range args {
		if !a.IsNull() && a.CanIterateElements() {
			n += float64(a.LengthInt())
		}
	}
	return elementsFit(n)
}

// distinctCheck is for functions that compare all elements with each other.
func distinctCheck(args []cty.Value) error {
	n := 0.0
	for _, a := range args {
		if !a.IsNull() && a.CanIterateElements() {
			n = max(n, float64(a.LengthInt()))
		}
	}
	const cost = 10 // of comparing two values, in steps
	return workFits(n * n * cost)
}

// uniformKeys is for functions whose first argument is a list of keys, which
// are normalized to NFC.
func uniformKeys(args []cty.Value) ([]cty.Value, error) {
	var keys []cty.Value
	for it := args[0].ElementIterator(); it.Next(); {
		_, key := it.Element()
		if key.IsNull() {
			return nil, function.NewArgErrorf(0, "a key is null")
		}
		keys = append(keys, cty.StringVal(key.AsString()))
	}
	if len(keys) == 0 {
		return args, nil
	}
	return []cty.Value{cty.ListVal(keys), args[1]}, nil
}

func logCheck(args []cty.Value) error {
	number, base := args[0].AsBigFloat(), args[1].AsBigFloat()
	switch {
	case number.Sign() <= 0:
		return function.NewArgErrorf(0, "a logarithm needs a number above 0")
	case base.Sign() <= 0 || base.IsInt() && base.String() == "1":
		return function.NewArgErrorf(1, "the base must be above 0 and cannot be 1")
	}
	return nil
}

func powCheck(args []cty.Value) error {
	number, _ := args[0].AsBigFloat().Float64()
	power, _ := args[1].AsBigFloat().Float64()
	switch result := math.Pow(number, power); {
	case math.IsNaN(result):
		return errors.New("a negative number raised to a fraction is not a real number")
	case math.IsInf(result, 0) && number == 0:
		return errors.New("zero raised to a negative power is a division by zero")
	case math.IsInf(result, 0):
		return limit.ErrNumber
	}
	return nil
}

func timeAddCheck(args []cty.Value) error {
	if _, err := time.ParseDuration(args[1].AsString()); err != nil {
		return function.NewArgErrorf(1, "a duration must have the form 1h30m")
	}
	return nil
}

func parseIntCheck(args []cty.Value) error {
	const most = 5000 // digits, beyond which no number can be computed with
	if args[0].Type() == cty.String && len(args[0].AsString()) > most {
		return limit.ErrNumber
	}
	return nil
}

func checkJSON(text string) error {
	depth, values := limit.JSONShape(text)
	if depth > limit.Now().Depth {
		return limit.TooDeep("the JSON")
	}
	return elementsFit(float64(values))
}

// csvCheck estimates the number of fields in a CSV text from above.
func csvCheck(text string) error {
	return elementsFit(float64(strings.Count(text, ",") + strings.Count(text, "\n")))
}

// withoutMark removes the byte order mark that other programs write at the
// beginning of a file.
func withoutMark(text string) string { return strings.TrimPrefix(text, "\ufeff") }

// deadline limits how long reading something in parts may take.
func deadline() func(what string) error {
	end := time.Now().Add(limit.Now().Time)
	return func(what string) error {
		if time.Now().After(end) {
			return limit.TooSlow(what)
		}
		return nil
	}
}

// valid returns an error if a decoded text is not UTF-8.
func valid(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("the decoded bytes are not UTF-8")
	}
	return s, nil
}

var (
	formatFunc     = checked(veiled(stdlib.FormatFunc), formatCheck)
	formatListFunc = checked(veiled(stdlib.FormatListFunc), formatCheck)
)
