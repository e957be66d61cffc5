package funcs

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// cty's functions normalize their results to NFC. The functions here have the
// same parameters, types, and results, but do not change the bytes of texts.

// like returns a function with another implementation.
func like(f function.Function, impl function.ImplFunc) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(), RefineResult: notNull,
		Type: func(args []cty.Value) (cty.Type, error) { return f.ReturnTypeForValues(args) },
		Impl: impl,
	})
}

// likeText is like for a function of one text.
func likeText(f function.Function, make func(string) string) function.Function {
	return like(f, func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return verbatim.Text(make(args[0].AsString())), nil
	})
}

// likeTexts is like for a function of two texts.
func likeTexts(f function.Function, make func(a, b string) string) function.Function {
	return like(f, func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return verbatim.Text(make(args[0].AsString(), args[1].AsString())), nil
	})
}

// titled is cty's title: it capitalizes a letter that follows anything other
// than a letter, digit, underscore, or mark.
func titled(s string) string { return strings.Title(s) } //nolint:staticcheck // as in Terraform

var lineEnds = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:\r\n?|\n)*\z`) })

func chomped(s string) string { return lineEnds().ReplaceAllString(s, "") }

var indentFunc = like(stdlib.IndentFunc, func(args []cty.Value, _ cty.Type) (cty.Value, error) {
	spaces, _ := args[0].AsBigFloat().Int64() // indentCheck has verified that it is an integer
	return verbatim.Text(strings.ReplaceAll(args[1].AsString(), "\n", "\n"+strings.Repeat(" ", int(spaces)))), nil
})

var joinFunc = like(stdlib.JoinFunc, func(args []cty.Value, ret cty.Type) (cty.Value, error) {
	if len(args) < 2 {
		return cty.NilVal, fmt.Errorf("at least one list is required")
	}
	var parts []string
	for i, list := range args[1:] {
		if !list.IsWhollyKnown() {
			return cty.UnknownVal(ret), nil
		}
		for j, v := range list.AsValueSlice() {
			if v.IsNull() {
				return cty.NilVal, function.NewArgErrorf(i+1, "element %d is null; cannot concatenate null values", j)
			}
			parts = append(parts, v.AsString())
		}
	}
	return verbatim.Text(strings.Join(parts, args[0].AsString())), nil
})

var splitFunc = like(stdlib.SplitFunc, func(args []cty.Value, _ cty.Type) (cty.Value, error) {
	var parts []cty.Value
	for _, part := range strings.Split(args[1].AsString(), args[0].AsString()) {
		parts = append(parts, verbatim.Text(part))
	}
	if len(parts) == 0 {
		return cty.ListValEmpty(cty.String), nil
	}
	return cty.ListVal(parts), nil
})

var regexFunc = like(stdlib.RegexFunc, func(args []cty.Value, ret cty.Type) (cty.Value, error) {
	if ret == cty.DynamicPseudoType {
		return cty.DynamicVal, nil
	}
	re, err := ParsePattern(args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	text := args[1].AsString()
	at := re.FindStringSubmatchIndex(text)
	if at == nil {
		return cty.NilVal, fmt.Errorf("pattern did not match any part of the given string")
	}
	return found(re, text, at, ret), nil
})

var regexAllFunc = like(stdlib.RegexAllFunc, func(args []cty.Value, ret cty.Type) (cty.Value, error) {
	of := ret.ElementType()
	if of == cty.DynamicPseudoType {
		return cty.UnknownVal(ret), nil
	}
	re, err := ParsePattern(args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	var all []cty.Value
	text := args[1].AsString()
	for _, at := range re.FindAllStringSubmatchIndex(text, -1) {
		all = append(all, found(re, text, at, of))
	}
	if len(all) == 0 {
		return cty.ListValEmpty(of), nil
	}
	return cty.ListVal(all), nil
})

// found returns a match of a pattern: its text, or its groups as a tuple or, if
// they have names, an object.
func found(re *Pattern, text string, at []int, t cty.Type) cty.Value {
	group := func(i int) cty.Value {
		if at[2*i] < 0 {
			return cty.NullVal(cty.String)
		}
		return verbatim.Text(text[at[2*i]:at[2*i+1]])
	}
	switch {
	case t.IsTupleType():
		groups := make([]cty.Value, re.NumSubexp())
		for i := range groups {
			groups[i] = group(i + 1)
		}
		return cty.TupleVal(groups)
	case t.IsObjectType():
		groups := map[string]cty.Value{}
		for i, name := range re.SubexpNames()[1:] {
			groups[name] = group(i + 1)
		}
		return cty.ObjectVal(groups)
	}
	return group(0)
}

// veiled returns a function that counts characters as a reader does. If NFC
// could change its result, each character that could be affected is replaced
// with one that NFC does not change, and restored in the result.
func veiled(f function.Function) function.Function {
	return like(f, func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if allInert(args) {
			return f.Call(args)
		}
		v := veil{standsFor: map[rune]string{}, standIn: map[string]rune{}}
		covered := make([]cty.Value, len(args))
		for i, arg := range args {
			covered[i] = eachText(arg, v.cover)
		}
		result, err := f.Call(covered)
		if err != nil {
			return f.Call(args) // the message contains the original texts
		}
		return eachText(result, v.uncover), nil
	})
}

func allInert(args []cty.Value) bool {
	inert := true
	for _, arg := range args {
		eachText(arg, func(s string) string {
			inert = inert && verbatim.Inert(s)
			return s
		})
	}
	return inert
}

// eachText returns a value with f applied to its strings.
func eachText(v cty.Value, f func(string) string) cty.Value {
	out, err := cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
		if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			return verbatim.Text(f(v.AsString())), nil
		}
		return v, nil
	})
	if err != nil {
		return v // cannot happen: f returns no error
	}
	return out
}

// veil lets characters from the planes for private use represent others.
type veil struct {
	standsFor map[rune]string
	standIn   map[string]rune
}

const (
	firstStandIn = 0xf0000
	lastStandIn  = 0x10fffd
)

func (v *veil) cover(s string) string {
	var b strings.Builder
	rest := []byte(s)
	for len(rest) > 0 {
		n, cluster, err := textseg.ScanGraphemeClusters(rest, true)
		if err != nil || n <= 0 {
			b.Write(rest)
			break
		}
		b.WriteString(v.character(string(cluster)))
		rest = rest[n:]
	}
	return b.String()
}

// character returns the replacement of a character. A single rune that NFC does
// not change represents itself, unless it is in a plane that is used for
// replacements.
func (v *veil) character(c string) string {
	r := []rune(c)
	own := len(r) == 1 && r[0] < firstStandIn && verbatim.Inert(c)
	next := rune(firstStandIn + len(v.standIn))
	if own || c == "\r\n" || next > lastStandIn || !unicode.Is(unicode.Co, next) {
		return c
	}
	if known, ok := v.standIn[c]; ok {
		return string(known)
	}
	v.standIn[c], v.standsFor[next] = next, c
	return string(next)
}

func (v *veil) uncover(s string) string {
	var b strings.Builder
	for _, r := range s {
		if c, ok := v.standsFor[r]; ok {
			b.WriteString(c)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
