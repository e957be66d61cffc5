package columnar

import (
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// texts returns the arguments as hcl would convert them to strings. It returns
// nil if their number is not n or one of them has no closure.
func (v *vectorizer) texts(e *hclsyntax.FunctionCallExpr, n int) []texter {
	if len(e.Args) != n {
		return nil
	}
	var all []texter
	for _, arg := range e.Args {
		a := v.expr(arg)
		if a == nil || a.asText() == nil {
			return nil
		}
		all = append(all, a.asText())
	}
	return all
}

// mapping is a function from a string to a string.
func mapping(f func(*frame, string) string) func(*vectorizer, *hclsyntax.FunctionCallExpr) *node {
	return func(v *vectorizer, e *hclsyntax.FunctionCallExpr) *node {
		args := v.texts(e, 1)
		if args == nil {
			return nil
		}
		arg := args[0]
		return textNode(func(fr *frame, i int) (string, outcome) {
			s, o := arg(fr, i)
			if o != some {
				return "", inTemplate(o)
			}
			return f(fr, s), some
		})
	}
}

func textNode(f texter) *node { return &node{form: textForm, typ: cty.String, text: f} }

func lower(f *frame, s string) string { return mapCase(f, s, 'A', 'Z', strings.ToLower) }
func upper(f *frame, s string) string { return mapCase(f, s, 'a', 'z', strings.ToUpper) }

// mapCase converts the letters from first to last to the other case.
func mapCase(f *frame, s string, first, last byte, full func(string) string) string {
	changes := false
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return full(s)
		}
		changes = changes || first <= c && c <= last
	}
	if !changes {
		return s
	}
	at := len(f.buf)
	f.buf = append(f.buf, s...)
	for i, c := range f.buf[at:] {
		if first <= c && c <= last {
			f.buf[at+i] = c ^ 0x20
		}
	}
	return f.since(at)
}

// relation is a function of two strings that returns a bool.
func relation(holds func(a, b string) bool) func(*vectorizer, *hclsyntax.FunctionCallExpr) *node {
	return func(v *vectorizer, e *hclsyntax.FunctionCallExpr) *node {
		args := v.texts(e, 2)
		if args == nil {
			return nil
		}
		return boolNode(func(f *frame, i int) (bool, outcome) {
			a, oa := args[0](f, i)
			b, ob := args[1](f, i)
			if o := max(oa, ob); o != some {
				return false, inTemplate(o)
			}
			return holds(a, b), some
		})
	}
}

func boolNode(f func(*frame, int) (bool, outcome)) *node {
	return &node{form: boolForm, typ: cty.Bool, truth: f}
}

func integerNode(f func(*frame, int) (int64, outcome)) *node {
	return &node{form: integerForm, typ: cty.Number, integer: f}
}

// constantText returns the text of an argument that is the same for all rows.
func (v *vectorizer) constantText(e hclsyntax.Expression) (string, bool) {
	if !v.fixed(e) {
		return "", false
	}
	n := v.constant(e)
	if n == nil {
		return "", false
	}
	s, ok := convertible(n, cty.String)
	if !ok {
		return "", false
	}
	return s.AsString(), true
}

// replace replaces a fixed string or the matches of a fixed pattern.
func (v *vectorizer) replace(e *hclsyntax.FunctionCallExpr) *node {
	args := v.texts(e, 3)
	if args == nil {
		return nil
	}
	old, ok1 := v.constantText(e.Args[1])
	by, ok2 := v.constantText(e.Args[2])
	if !ok1 || !ok2 {
		return nil
	}
	swap := func(s string) string { return strings.ReplaceAll(s, old, by) }
	tooLong := func(string) bool { return false }
	if len(old) > 1 && old[0] == '/' && old[len(old)-1] == '/' {
		re, err := funcs.ParsePattern(old[1 : len(old)-1])
		if err != nil {
			return nil
		}
		tooLong = func(s string) bool { return re.Check(s) != nil }
		swap = func(s string) string { return re.ReplaceAllString(s, by) }
	}
	const certain = 1 << 24 // bytes, below which no limit can be reached
	arg := args[0]
	return textNode(func(f *frame, i int) (string, outcome) {
		s, o := arg(f, i)
		switch {
		case o != some:
			return "", inTemplate(o)
		case len(s)*(len(by)+1) > certain || tooLong(s):
			return "", unsure
		}
		return swap(s), some
	})
}

// substr cuts ASCII by bytes and leaves everything else to cty, which counts
// grapheme clusters.
func (v *vectorizer) substr(e *hclsyntax.FunctionCallExpr) *node {
	if len(e.Args) != 3 {
		return nil
	}
	args := v.texts(&hclsyntax.FunctionCallExpr{Args: e.Args[:1]}, 1)
	from, ok1 := v.constantInteger(e.Args[1])
	length, ok2 := v.constantInteger(e.Args[2])
	if args == nil || !ok1 || !ok2 || from < 0 || length < 0 {
		return nil
	}
	cut := func(_ *frame, s string) string {
		if ascii(s) && strings.IndexByte(s, '\r') < 0 {
			start := min(from, int64(len(s)))
			return s[start:min(start+length, int64(len(s)))]
		}
		sub, err := expr.Functions()["substr"].Call([]cty.Value{verbatim.Text(s), cty.NumberIntVal(from), cty.NumberIntVal(length)})
		if err != nil {
			return ""
		}
		return sub.AsString()
	}
	return mapping(cut)(v, &hclsyntax.FunctionCallExpr{Args: e.Args[:1]})
}

func (v *vectorizer) constantInteger(e hclsyntax.Expression) (int64, bool) {
	if !v.fixed(e) {
		return 0, false
	}
	n := v.constant(e)
	if n == nil || n.form != integerForm {
		return 0, false
	}
	i, _ := n.integer(nil, 0)
	return i, i > -1<<31 && i < 1<<31
}

// length counts a string's characters, a list's elements or a fixed pattern's
// matches.
func (v *vectorizer) length(e *hclsyntax.FunctionCallExpr) *node {
	if len(e.Args) != 1 {
		return nil
	}
	if all, ok := e.Args[0].(*hclsyntax.FunctionCallExpr); ok && all.Name == "regexall" {
		return v.matches(all)
	}
	n := v.expr(e.Args[0])
	switch {
	case n == nil:
		return nil
	case n.count != nil:
		return integerNode(n.count)
	case n.form != textForm:
		return nil
	}
	return integerNode(func(f *frame, i int) (int64, outcome) {
		s, o := n.text(f, i)
		if o != some {
			return 0, inTemplate(o)
		}
		return characters(s), some
	})
}

func characters(s string) int64 {
	if ascii(s) && strings.IndexByte(s, '\r') < 0 {
		return int64(len(s))
	}
	n, err := stdlib.Strlen(verbatim.Text(s))
	if err != nil {
		return 0
	}
	i, _ := integer(n)
	return i
}

func (v *vectorizer) matches(e *hclsyntax.FunctionCallExpr) *node {
	re, text := v.pattern(e)
	if re == nil {
		return nil
	}
	return integerNode(func(f *frame, i int) (int64, outcome) {
		s, o := text(f, i)
		if o != some {
			return 0, inTemplate(o)
		}
		if re.Check(s) != nil {
			return 0, unsure
		}
		return int64(len(re.FindAllStringIndex(s, -1))), some
	})
}

// pattern returns a call's fixed pattern and the text that it is applied to.
func (v *vectorizer) pattern(e *hclsyntax.FunctionCallExpr) (*funcs.Pattern, texter) {
	args := v.texts(e, 2)
	if args == nil {
		return nil, nil
	}
	p, ok := v.constantText(e.Args[0])
	re, err := funcs.ParsePattern(p)
	if !ok || err != nil {
		return nil, nil
	}
	return re, args[1]
}

// regex returns the match of a fixed pattern without groups.
func (v *vectorizer) regex(e *hclsyntax.FunctionCallExpr) *node {
	re, text := v.pattern(e)
	if re == nil || re.NumSubexp() > 0 {
		return nil
	}
	return textNode(func(f *frame, i int) (string, outcome) {
		s, o := text(f, i)
		if o != some {
			return "", inTemplate(o)
		}
		if re.Check(s) != nil {
			return "", unsure
		}
		at := re.FindStringIndex(s)
		if at == nil {
			return "", fails
		}
		return s[at[0]:at[1]], some
	})
}
