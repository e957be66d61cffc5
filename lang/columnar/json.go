package columnar

import (
	"slices"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/lang/eval"
)

// jsonencode joins the parts of a JSON text and recomputes only those that
// depend on the row. Prompts are rendered by it.
func (v *vectorizer) jsonencode(e *hclsyntax.FunctionCallExpr) *node {
	if len(e.Args) != 1 {
		return nil
	}
	var w jsonWriter
	if !v.json(&w, e.Args[0]) {
		return nil
	}
	return textNode(joined(w.done()))
}

// jsonWriter collects the parts of a JSON text.
type jsonWriter struct {
	parts []texter
	fixed string // the next part, which is the same for all rows
}

func (w *jsonWriter) done() []texter {
	if fixed := w.fixed; fixed != "" {
		w.parts = append(w.parts, func(*frame, int) (string, outcome) { return fixed, some })
	}
	w.fixed = ""
	return w.parts
}

func (w *jsonWriter) add(part texter) { w.parts = append(w.done(), part) }

// json adds the JSON of an expression. It returns false if that is not
// possible.
func (v *vectorizer) json(w *jsonWriter, e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return v.json(w, e.Expression)
	case *hclsyntax.ObjectConsExpr:
		return v.jsonObject(w, e)
	case *hclsyntax.TupleConsExpr:
		return v.jsonTuple(w, e)
	}
	n := v.expr(e)
	if n == nil {
		return false
	}
	if n.constant == nil {
		w.add(orNull(n.asJSON()))
		return true
	}
	text, err := ctyjson.Marshal(*n.constant, n.typ)
	w.fixed += string(jsontext.Plain(text))
	return err == nil
}

func (v *vectorizer) jsonTuple(w *jsonWriter, e *hclsyntax.TupleConsExpr) bool {
	w.fixed += "["
	for i, elem := range e.Exprs {
		if i > 0 {
			w.fixed += ","
		}
		if !v.json(w, elem) {
			return false
		}
	}
	w.fixed += "]"
	return true
}

// jsonObject writes the attributes in the order of their names, as cty does.
func (v *vectorizer) jsonObject(w *jsonWriter, e *hclsyntax.ObjectConsExpr) bool {
	values := make(map[string]hclsyntax.Expression, len(e.Items))
	var names []string
	for _, item := range e.Items {
		name, ok := v.attributeName(item.KeyExpr)
		if _, twice := values[name]; !ok || twice {
			return false
		}
		values[name], names = item.ValueExpr, append(names, name)
	}
	slices.Sort(names)
	w.fixed += "{"
	for i, name := range names {
		if i > 0 {
			w.fixed += ","
		}
		w.fixed += quoted(name) + ":"
		if !v.json(w, values[name]) {
			return false
		}
	}
	w.fixed += "}"
	return true
}

// attributeName returns the name that a fixed key evaluates to.
func (v *vectorizer) attributeName(key hclsyntax.Expression) (string, bool) {
	if !v.fixed(key) {
		return "", false
	}
	val, diags := eval.Value(key, v.vars)
	if diags.HasErrors() {
		return "", false
	}
	name, err := convert.Convert(val, cty.String)
	if err != nil || !name.IsKnown() || name.IsNull() {
		return "", false
	}
	return name.AsString(), true
}

// orNull returns null as JSON.
func orNull(text texter) texter {
	return func(f *frame, i int) (string, outcome) {
		s, o := text(f, i)
		if o == null {
			return "null", some
		}
		return s, o
	}
}

// asJSON returns a node's value as JSON. Numbers and bools look the same as in
// text.
func (n *node) asJSON() texter {
	switch n.form {
	case textForm:
		return written(n.text, (*frame).quoted)
	case valueForm:
		return unlift(n.value, func(v cty.Value) (string, outcome) {
			text, err := ctyjson.Marshal(v, v.Type())
			if err != nil {
				return "", unsure
			}
			return string(jsontext.Plain(text)), some
		})
	}
	return n.asText()
}

// quoted returns a JSON string. Most strings need no escapes.
func (f *frame) quoted(s string) string {
	if !plain(s) {
		return quoted(s)
	}
	return f.keep(`"`, s, `"`)
}

func quoted(s string) string {
	text, _ := jsontext.Marshal(s) // which cannot fail for a string
	return string(text)
}

// plain reports whether JSON needs no escapes for a string.
func plain(s string) bool {
	beyond := false
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\':
			return false
		case c >= utf8.RuneSelf:
			beyond = true
		}
	}
	return !beyond || utf8.ValidString(s)
}
