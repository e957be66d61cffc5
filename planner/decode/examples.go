package decode

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// examples compiles the block of a prompt that draws its examples from a
// dataset. The dataset becomes another input of the stage that uses the prompt,
// under the key KEY.examples, with the row arguments KEY.examples.user,
// KEY.examples.assistant, and, over the stage's own rows, KEY.examples.by. The
// request for each row says how to draw them; the stage draws them.
func (c *promptCompiler) examples(body *hclsyntax.Body, sc *module.Scope) []string {
	var fields []string
	c.eachBlock(body, "examples", sc, func(b *hclsyntax.Body, _ []string, sc *module.Scope) {
		key := c.key + ".examples"
		of := c.artifact(b, "dataset", plan.KindDataset, key, sc)
		if of == nil {
			return
		}
		for _, name := range []string{"user", "assistant"} {
			c.rowArgument(b, name, of, key, key+"."+name, sc)
		}
		if attribute(b, "by") != nil {
			c.rowArgument(b, "by", c.rows, c.rowsOf, key+".by", sc)
		} else {
			c.sameAsExamples(attribute(b, "user"), key+".by", sc)
		}
		if attribute(b, "model") != nil {
			c.artifact(b, "model", plan.KindModel, key+".model", sc)
		}
		fields = append(fields, "examples = {"+strings.Join(c.fields(b, sc, "count", "select", "seed"), ", ")+"}")
	})
	return fields
}

// sameAsExamples compares the stage's rows by the same text as the examples:
// what the user says in them, if the rows have the columns for it. Then like is
// compared with like, and a row that is itself one of the examples is
// recognized, whatever the prompt puts around it.
func (c *promptCompiler) sameAsExamples(user hclsyntax.Expression, key string, sc *module.Scope) {
	compiled, diags := expr.Compile(user, rowScope(sc, c.rows), cty.String)
	if diags.HasErrors() {
		return
	}
	row := &plan.RowArg{Expr: compiled, Of: c.rowsOf}
	if len(compiled.Refs) > 0 {
		row.Schema = pickColumns(c.rows.Port.Columns, compiled.Columns)
	}
	c.d.extra[key] = &plan.Arg{Row: row, Range: diag.NewRange(user.Range())}
}

// artifact evaluates an attribute to an artifact and adds it to the stage.
func (c *promptCompiler) artifact(b *hclsyntax.Body, name, kind, key string, sc *module.Scope) *module.Handle {
	e := attribute(b, name)
	v, diags := eval.Value(e, sc.Handles)
	c.d.diags = append(c.d.diags, diags...)
	if diags.HasErrors() {
		c.failed = true
		return nil
	}
	h, ok := module.HandleOf(v)
	if !ok || h.Port == nil || h.Port.Kind != kind {
		c.failed = true
		c.d.errorf(e.Range(), "Wrong kind of artifact", "The argument %q of examples must be a %s.", name, kind)
		return nil
	}
	c.d.inputs[key] = h
	c.d.extra[key] = &plan.Arg{
		Input: &plan.Input{Address: h.From.Address, Port: h.Port.Name, Kind: kind}, Range: diag.NewRange(e.Range()),
	}
	return h
}

// rowArgument compiles an attribute over the rows of a dataset and adds it to
// the stage.
func (c *promptCompiler) rowArgument(b *hclsyntax.Body, name string, of *module.Handle, rowsOf, key string, sc *module.Scope) {
	e := attribute(b, name)
	if e == nil {
		return
	}
	compiled, diags := expr.Compile(e, rowScope(sc, of), cty.String)
	c.d.diags = append(c.d.diags, diags...)
	if diags.HasErrors() {
		c.failed = true
		return
	}
	row := &plan.RowArg{Expr: compiled, Of: rowsOf}
	if len(compiled.Refs) > 0 {
		row.Schema = pickColumns(of.Port.Columns, compiled.Columns)
	}
	c.d.extra[key] = &plan.Arg{Row: row, Range: diag.NewRange(e.Range())}
}
