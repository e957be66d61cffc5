package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
)

// A prompt is a template over rows. It has no columns of its own to be checked
// against, because each use is over the rows of a different dataset. So it is
// compiled again for each argument that takes it, and becomes a row expression
// like any other: one that computes the JSON of the messages, tools, and output
// schema (llm.Request) for a row.

// prompt compiles a prompt over the rows of an argument's dataset.
func (a *artifactArgument) prompt(h *module.Handle, use hcl.Range, key string) *plan.Arg {
	of := a.inputs[a.Rows]
	if of == nil {
		if !a.diags.HasErrors() && !a.skip && !a.starved {
			a.errorf(use, "No dataset for this prompt", "The argument %q is filled in for each row of the argument %q, which is not set.", a.Name, a.Rows)
		}
		return nil
	}
	a.prompts[key] = append(a.prompts[key], h.From)
	c := &promptCompiler{d: a.bodyDecoder, node: h.From, rows: of, key: key, rowsOf: a.Rows}
	text := c.request(h.From.Prompt.Stage.Config.Body, h.From.Prompt.Scope)
	if c.failed || a.diags.HasErrors() {
		return nil
	}
	compiled := c.compile(text, h.From.Range.HCL())
	if compiled == nil {
		return nil
	}
	row := &plan.RowArg{Expr: compiled, Of: a.Rows, Prompt: h.From.Address}
	if len(compiled.Refs) > 0 {
		row.Schema = pickColumns(of.Port.Columns, compiled.Columns)
	}
	return &plan.Arg{Row: row}
}

// promptCompiler compiles a prompt block piece by piece, so that each error is
// shown where it was made, and joins the texts of the pieces.
type promptCompiler struct {
	d      *bodyDecoder
	node   *module.Instance // the prompt's
	rows   *module.Handle
	key    string // of the argument that takes the prompt
	rowsOf string
	failed bool
	// refs and secrets are what the pieces refer to.
	refs, secrets []string
	functions     []expr.ForeignName // of plugins
}

// request returns the text of the expression for the whole request.
func (c *promptCompiler) request(body *hclsyntax.Body, sc *module.Scope) string {
	fields := []string{"messages = " + c.messages(body, sc)}
	fields = append(fields, c.tools(body, sc)...)
	c.eachBlock(body, "output", sc, func(b *hclsyntax.Body, _ []string, sc *module.Scope) {
		fields = append(fields, "output = {"+strings.Join(c.fields(b, sc, "name", "schema", "strict"), ", ")+"}")
	})
	fields = append(fields, c.examples(body, sc)...)
	return "jsonencode({" + strings.Join(fields, ", ") + "})"
}

// messages returns the text of the expression for the messages. In a prompt that a
// stage produced, the value of that stage takes the place of the system message
// and the examples.
func (c *promptCompiler) messages(body *hclsyntax.Body, sc *module.Scope) string {
	var own []string
	if c.node.Kind == kind.Prompt {
		own = c.introduction(body, sc)
	}
	if e := attribute(body, "user"); e != nil {
		own = append(own, c.message("user", e, sc))
	}
	lists := []string{"[" + strings.Join(own, ", ") + "]"}
	if c.node.Kind != kind.Prompt {
		lists = slices.Insert(lists, 0, c.produced())
	}
	if e := attribute(body, "messages"); e != nil {
		lists = append(lists, c.piece(e, sc, cty.DynamicPseudoType))
	}
	if len(lists) == 1 {
		return lists[0]
	}
	return "concat(" + strings.Join(lists, ", ") + ")"
}

// introduction returns the messages before the question.
func (c *promptCompiler) introduction(body *hclsyntax.Body, sc *module.Scope) []string {
	var messages []string
	if e := attribute(body, "system"); e != nil {
		messages = append(messages, c.message("system", e, sc))
	}
	c.eachBlock(body, "example", sc, func(b *hclsyntax.Body, _ []string, sc *module.Scope) {
		messages = append(messages, c.message("user", attribute(b, "user"), sc), c.message("assistant", attribute(b, "assistant"), sc))
	})
	return messages
}

// produced returns the reference to the messages of a stage that produces a prompt.
func (c *promptCompiler) produced() string {
	c.refs = append(c.refs, c.node.Addr.Stage.String())
	return c.node.Address + "." + plan.MessagesName
}

func (c *promptCompiler) message(role string, e hclsyntax.Expression, sc *module.Scope) string {
	return fmt.Sprintf("{role = %q, content = %s}", role, c.piece(e, sc, cty.String))
}

func (c *promptCompiler) tools(body *hclsyntax.Body, sc *module.Scope) []string {
	var tools []string
	c.eachBlock(body, "tool", sc, func(b *hclsyntax.Body, labels []string, sc *module.Scope) {
		fields := append([]string{fmt.Sprintf("name = %q", labels[0])}, c.fields(b, sc, "description", "parameters")...)
		tools = append(tools, "{"+strings.Join(fields, ", ")+"}")
	})
	text := "[" + strings.Join(tools, ", ") + "]"
	if e := attribute(body, "tools"); e != nil {
		return []string{"tools = concat(" + text + ", " + c.piece(e, sc, cty.DynamicPseudoType) + ")"}
	}
	if len(tools) == 0 {
		return nil
	}
	return []string{"tools = " + text}
}

// fields returns the attributes of a nested block that are set, as fields of an
// object.
func (c *promptCompiler) fields(b *hclsyntax.Body, sc *module.Scope, names ...string) []string {
	var fields []string
	for _, name := range names {
		if e := attribute(b, name); e != nil {
			fields = append(fields, name+" = "+c.piece(e, sc, cty.DynamicPseudoType))
		}
	}
	return fields
}

// piece compiles one expression of the prompt and returns its text. If it
// fails, the errors are reported and the text must not be used.
func (c *promptCompiler) piece(e hclsyntax.Expression, sc *module.Scope, want cty.Type) string {
	s := rowScope(sc, c.rows)
	if !expr.MentionsRow(e) {
		s.Row, s.RowOf = nil, ""
	}
	compiled, diags := expr.Compile(e, s, want)
	c.d.diags = append(c.d.diags, diags...)
	if diags.HasErrors() {
		c.failed = true
		return "null"
	}
	c.refs, c.secrets = append(c.refs, compiled.Refs...), append(c.secrets, compiled.Secrets...)
	c.functions = append(c.functions, compiled.Functions...)
	return compiled.Text
}

// compile compiles the text of the whole request. Its parts have been compiled
// already, so an error here is a bug in quern.
func (c *promptCompiler) compile(text string, at hcl.Range) *expr.Compiled {
	e, diags := limit.ParseExpression([]byte(text), at.Filename, at.Start)
	if !diags.HasErrors() {
		var compiled *expr.Compiled
		whole, err := c.d.Tree.Compiled(c.refs, c.secrets, c.functions)
		if err != nil {
			c.d.errorf(at, "Cannot compile the prompt", "%s.", err)
			return nil
		}
		s := overRows(whole, c.rows)
		if compiled, diags = expr.Compile(e, s, cty.String); compiled != nil {
			compiled.Range = diag.NewRange(at)
			return compiled
		}
	}
	for _, problem := range diags {
		c.d.errorf(at, "Cannot compile the prompt", "%s: %s", problem.Summary, problem.Detail)
	}
	return nil
}

// eachBlock calls f for the nested blocks of a type in the order written, with
// dynamic ones expanded.
func (c *promptCompiler) eachBlock(body *hclsyntax.Body, name string, sc *module.Scope, f func(*hclsyntax.Body, []string, *module.Scope)) {
	for _, b := range body.Blocks {
		switch {
		case b.Type == name:
			f(b.Body, b.Labels, sc)
		case b.Type == "dynamic" && len(b.Labels) == 1 && b.Labels[0] == name:
			c.dynamic(b, sc, f)
		}
	}
}

func (c *promptCompiler) dynamic(b *hclsyntax.Block, sc *module.Scope, f func(*hclsyntax.Body, []string, *module.Scope)) {
	content, forEach := schema.DynamicContent(b), attribute(b.Body, "for_each")
	if content == nil || forEach == nil {
		return
	}
	values, diags := eval.Value(forEach, sc.Values)
	c.d.diags = append(c.d.diags, diags...)
	if diags.HasErrors() || !values.IsKnown() || values.IsNull() || !values.CanIterateElements() {
		c.failed = true
		switch {
		case diags.HasErrors():
		case values.IsKnown():
			c.d.errorf(forEach.Range(), "Wrong value for for_each", "for_each of a dynamic block must be a list, a set, or a map, but this is %s.", nullOr(values))
		default:
			c.d.errorf(forEach.Range(), "Blocks are not known", "for_each of a dynamic block must be a collection that is known at plan time.%s", c.d.ApplyFirst(c.node.Prompt.Stage.Config.Count, c.node.Prompt.Stage.Config.ForEach))
		}
		return
	}
	iterator := b.Labels[0]
	if e := attribute(b.Body, "iterator"); e != nil {
		if name := hcl.ExprAsKeyword(e); name != "" {
			iterator = name
		}
	}
	for _, e := range value.Elements(values) {
		v := iteratorOf(iterator, e.Key, e.Value)
		inner := sc.With(v, v)
		var labels []string
		if e := attribute(b.Body, "labels"); e != nil {
			v, diags := eval.Value(e, inner.Values)
			c.d.diags = append(c.d.diags, diags...)
			for _, label := range value.Elements(v) {
				if label.Value.Type() == cty.String && label.Value.IsKnown() && !label.Value.IsNull() {
					labels = append(labels, label.Value.AsString())
				}
			}
		}
		f(content.Body, labels, inner)
	}
}

func attribute(b *hclsyntax.Body, name string) hclsyntax.Expression {
	if a := b.Attributes[name]; a != nil {
		return a.Expr
	}
	return nil
}
