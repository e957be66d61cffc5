package promptfoo

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/limit"
)

// settle determines the columns of the tests and their types, and renders
// variables that are templates of other variables.
func (im *importer) settle() {
	if im.gather(); len(im.columns) == 0 {
		// A row needs a column.
		for i, t := range im.tests {
			t.extra = []config.Member{{Name: "test", Value: float64(i + 1)}}
		}
		im.gather()
	}
	im.fillIn()
	for _, name := range im.columns {
		im.types[name] = im.unify(name)
	}
}

func (im *importer) gather() {
	seen := map[string]bool{}
	add := func(members []config.Member) {
		for _, m := range members {
			if !seen[m.Name] {
				seen[m.Name] = true
				im.columns = append(im.columns, m.Name)
			}
		}
	}
	for _, t := range im.tests {
		add(t.vars)
	}
	// Columns that are not variables are renamed if they conflict with
	// variables.
	for _, t := range im.tests {
		for i := range t.extra {
			for slices.ContainsFunc(im.tests, func(o *test) bool { return config.Object(o.vars).Get(t.extra[i].Name) != nil }) {
				t.extra[i].Name += "_"
			}
		}
		add(t.extra)
	}
}

// cell returns the value of a column in a test.
func (t *test) cell(column string) any {
	if v := config.Object(t.vars).Get(column); v != nil {
		return v
	}
	return config.Object(t.extra).Get(column)
}

// set replaces or adds the value of a column.
func (t *test) set(column string, v any) {
	for i := range t.vars {
		if t.vars[i].Name == column {
			t.vars[i].Value = v
			return
		}
	}
	t.vars = append(t.vars, config.Member{Name: column, Value: v})
}

// unify converts the values of a column to one type. A missing value in a
// string column becomes an empty string, as in promptfoo's templates.
func (im *importer) unify(name string) column {
	kinds := map[typ]bool{}
	elems := map[typ]bool{}
	missing := false
	for _, t := range im.tests {
		v := t.cell(name)
		if v == nil {
			missing = true
			continue
		}
		kinds[kindOf(v)] = true
		if list, ok := v.([]any); ok {
			for _, item := range list {
				elems[kindOf(item)] = true
			}
		}
	}
	c := column{typ: single(kinds), elem: single(elems)}
	if missing && (c.typ == typeNumber || c.typ == typeBool) {
		c.typ = typeAny
	}
	if len(kinds) == 0 {
		c.typ = typeString
	}
	if c.typ == typeAny || c.typ == typeList && len(elems) > 1 {
		c = column{typ: typeString}
		for _, t := range im.tests {
			t.set(name, config.AsText(t.cell(name)))
		}
	}
	if c.typ == typeString && missing {
		for _, t := range im.tests {
			if t.cell(name) == nil {
				t.set(name, "")
			}
		}
	}
	return c
}

func kindOf(v any) typ {
	switch v.(type) {
	case string:
		return typeString
	case float64:
		return typeNumber
	case bool:
		return typeBool
	case []any:
		return typeList
	case config.Object:
		return typeObject
	}
	return typeAny
}

func single(kinds map[typ]bool) typ {
	if len(kinds) == 1 {
		for k := range kinds {
			return k
		}
	}
	return typeAny
}

// fillIn renders variables that are templates of other variables.
func (im *importer) fillIn() {
	for _, t := range im.tests {
		for i, m := range t.vars {
			text, ok := m.Value.(string)
			if !ok || !hasTags(text) {
				continue
			}
			out, err := im.render(t, text)
			if err != nil {
				im.Lost(t.at, "variable "+m.Name, "it is a template: %s.", config.Sentence(err))
				continue
			}
			t.vars[i].Value = out
		}
	}
}

func hasTags(s string) bool {
	at, _ := firstTag(s)
	return at >= 0
}

// render renders a text with the variables of a test.
func (im *importer) render(t *test, text string) (string, error) {
	types := map[string]column{}
	row := map[string]cty.Value{}
	for _, m := range slices.Concat(t.extra, t.vars) {
		if m.Value != nil {
			types[m.Name] = column{typ: kindOf(m.Value)}
			row[m.Name] = ctyOf(m.Value)
		}
	}
	var named error
	env := func(name string) string {
		named = errorf("the environment variable %s is not known", name)
		return `""`
	}
	pieces, err := (&scope{columns: types, env: env}).template(text)
	if err != nil || named != nil {
		return "", first(err, named)
	}
	e, diags := limit.ParseExpression([]byte(`"`+inline(pieces, quotedText)+`"`), "template", hcl.InitialPos)
	if diags.HasErrors() {
		return "", diags
	}
	v, diags := eval.Value(e, &hcl.EvalContext{Functions: funcs.Pure(), Variables: map[string]cty.Value{"row": cty.ObjectVal(row)}})
	if diags.HasErrors() {
		return "", errorf("%s", diags[0].Detail)
	}
	if v.IsNull() || !v.IsKnown() {
		return "", nil
	}
	if v.Type() != cty.String {
		return config.AsText(plainOf(v)), nil
	}
	return v.AsString(), nil
}

func ctyOf(v any) cty.Value {
	switch v := v.(type) {
	case string:
		return cty.StringVal(v)
	case float64:
		return cty.NumberFloatVal(v)
	case bool:
		return cty.BoolVal(v)
	case []any:
		items := make([]cty.Value, len(v))
		for i := range v {
			items[i] = ctyOf(v[i])
		}
		return cty.TupleVal(items)
	case config.Object:
		attrs := map[string]cty.Value{}
		for _, m := range v {
			attrs[m.Name] = ctyOf(m.Value)
		}
		return cty.ObjectVal(attrs)
	}
	return cty.NullVal(cty.DynamicPseudoType)
}

// plainOf returns a number or bool as a plain value.
func plainOf(v cty.Value) any {
	switch v.Type() {
	case cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return f
	case cty.Bool:
		return v.True()
	}
	return nil
}
