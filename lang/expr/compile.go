package expr

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// RowName is the name by which an expression refers to the current row.
const RowName = "row"

// Scope is what an expression may refer to when it is compiled.
type Scope struct {
	// Eval contains the functions and the values of var, local, path, quern,
	// each, count, and the stage kinds. Values that are not known yet are unknown;
	// values that come from a sensitive variable carry the mark value.Sensitive.
	Eval *hcl.EvalContext
	// Row are the columns of `row`. If it is nil, `row` cannot be used.
	Row data.Schema
	// Module is the module in which the expression is written. The user's text
	// names the stages of that module without the path; the compiled text has
	// whole addresses.
	Module addr.Module
	// RowOf is the address of the dataset that Row describes, for messages.
	RowOf string
	// Late are the names, with their types, that the expression may use for
	// what the stage itself produces: output, the answer of a model. With
	// them, it is a late row expression, which is evaluated when these values
	// exist.
	Late map[string]cty.Type
	// Definitions are those of names whose values may be unknown or contain a
	// secret, by "local.NAME", "each.value", "var.NAME", or "module.NAME". A
	// compiled text has no names of this kind, except for sensitive variables of
	// the root module, so their definitions take their place.
	Definitions map[string]*Definition
	// Foreign are the functions of plugins, or nil if none can be called.
	Foreign *ForeignScope
	// Keyless: the result is not part of a key, so it may depend on when the plan is
	// made.
	Keyless bool
	// Output: the result is that of an output, which is not stored if it is
	// sensitive, so sensitive() can be called with values that are not known yet.
	Output bool
}

// MentionsRow reports whether an expression refers to the current row. A `for`
// that names its variable `row` does not count.
func MentionsRow(e hcl.Expression) bool { return Mentions(e, RowName) }

// Mentions reports whether an expression refers to any of some names.
func Mentions(e hcl.Expression, names ...string) bool {
	return config.AnyVariable(e, func(t hcl.Traversal) bool { return slices.Contains(names, t.RootName()) })
}

// Compile compiles an expression whose result must have the type want
// (cty.DynamicPseudoType: any type). If the scope has a row or late
// names, the result must fit in a dataset column, and its column type is
// inferred.
//
// The result is nil if and only if there are errors. All errors that can be
// distinguished are reported, each with its place in the user's text.
func Compile(e hcl.Expression, s *Scope, want cty.Type) (*Compiled, hcl.Diagnostics) {
	src, diags := syntax(e)
	if diags.HasErrors() {
		return nil, diags
	}
	diags = checkNames(src, s)
	if diags.HasErrors() {
		return nil, diags
	}
	r := newReducer(s)
	reduced := r.reduce(src)
	diags = append(diags, r.diags...)
	if diags.HasErrors() {
		return nil, distinct(diags)
	}
	diags = append(diags, r.checkReduced(reduced)...)
	if diags.HasErrors() {
		return nil, distinct(diags)
	}
	typed, moreDiags := r.fit(reduced, want)
	diags = append(diags, moreDiags...)
	if diags.HasErrors() {
		return nil, distinct(diags)
	}
	text := printExpr(typed.expr)
	if d := limit.Expression([]byte(text), "", hcl.InitialPos); d != nil {
		d.Subject = e.Range().Ptr()
		d.Detail = "After inserting the values that are known when planning: " + strings.ToLower(d.Detail[:1]) + d.Detail[1:]
		return nil, append(diags, d)
	}
	c := &Compiled{
		Text:       text,
		Type:       value.Type{Type: typed.typ},
		ColumnType: typed.column,
		Range:      diag.NewRange(e.Range()),
		Functions:  r.calledForeign(typed.expr),
	}
	c.Connect(r.plugins)
	c.collect(typed.expr, s)
	return c, distinct(diags)
}

// syntax returns the syntax tree, which expressions of dynamic blocks wrap.
func syntax(e hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	unwrapped := hcl.UnwrapExpressionUntil(e, func(e hcl.Expression) bool {
		_, ok := e.(hclsyntax.Expression)
		return ok
	})
	if src, ok := unwrapped.(hclsyntax.Expression); ok {
		return src, nil
	}
	if v, diags := eval.Value(e, nil); !diags.HasErrors() {
		return literal(v, e.Range()), nil
	}
	return nil, hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Unsupported expression",
		"Only expressions in HCL's native syntax can be compiled. Write this one in a *.quern.hcl file.")}
}

// collect records what the compiled expression reads.
func (c *Compiled) collect(e hclsyntax.Expression, s *Scope) {
	c.Late = lateTypes(e, s)
	for _, t := range config.Variables(e) {
		switch root := t.RootName(); {
		case s.isLate(root):
		case root == RowName:
			if name, ok := columnOf(t); ok {
				column, _ := LookupColumn(s.Row, name)
				c.Columns = append(c.Columns, column.Name)
			} else {
				c.Columns = append(c.Columns, s.Row.Names()...)
			}
		case root == "var":
			if name, ok := t[1].(hcl.TraverseAttr); ok {
				c.Secrets = append(c.Secrets, name.Name)
			}
		default:
			if inst, _, ok := addr.Referenced(t); ok {
				c.Refs = append(c.Refs, inst.Stage.String())
			}
		}
	}
	c.Columns = sortedSet(c.Columns)
	c.Refs = sortedSet(c.Refs)
	c.Secrets = sortedSet(c.Secrets)
}

// columnOf returns the column that a traversal of `row` reads.
func columnOf(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	return AttributeName(t[1])
}

// LookupColumn returns a column by the name that an expression uses, which is
// normalized to NFC. The name of the column may be in another form.
func LookupColumn(s data.Schema, name string) (data.Column, bool) {
	if c, _, ok := s.Lookup(name); ok {
		return c, true
	}
	var found []data.Column
	for _, c := range s {
		if norm.NFC.String(c.Name) == name {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return data.Column{}, false
	}
	return found[0], true
}

func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// distinct drops repeated diagnostics about a place.
func distinct(diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) == 0 {
		return nil
	}
	seen := map[string]bool{}
	var out hcl.Diagnostics
	for _, d := range diags {
		key := d.Summary + "\x00" + d.Detail
		if d.Subject != nil {
			key += "\x00" + d.Subject.String()
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, d)
		}
	}
	return out
}

// rowTitle returns the name of the dataset of `row` for messages.
func (s *Scope) rowTitle() string {
	if s.RowOf == "" {
		return "the dataset"
	}
	return s.RowOf
}

// noColumn is the error about a column that does not exist.
func noColumn(s *Scope, name string, subject hcl.Range) *hcl.Diagnostic {
	names := s.Row.Names()
	detail := "It has no columns."
	if len(names) > 0 {
		detail = "Its columns are: " + diag.List(names) + "."
	}
	return diag.Errorf(&subject, "Unknown column", "%s has no column %q.%s %s",
		diag.Capital(s.rowTitle()), name, diag.Suggest(name, names), detail)
}
