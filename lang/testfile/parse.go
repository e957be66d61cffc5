package testfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/limit"
)

// content says what a body may contain.
type content struct {
	what       string // with its article: "a run block"
	required   []string
	optional   []string
	blocks     []string
	hasMembers bool // any argument, as in variables
}

var (
	inFile      = content{what: "a test file", blocks: []string{"variables", "mock", "real", "run"}}
	inVariables = content{what: "a variables block", hasMembers: true}
	inRun       = content{
		what: "a run block", optional: []string{"command", "target", "replace"},
		blocks: []string{"variables", "mock", "real", "assert", "expect", "expect_error", "expect_warning"},
	}
	inAssert = content{what: "an assert block", required: []string{"condition"}, optional: []string{"error_message"}}
	inExpect = content{what: "an expect block", optional: []string{"rows", "file", "schema", "ordered", "subset"}}
	inReal   = content{what: "a real block"}
	inOutput = content{what: "an output block", optional: []string{"rows", "file", "schema"}}
	inRule   = content{what: "a rule block", required: []string{"when"}, optional: []string{"answer", "tool_calls", "error"}}
)

// expected is the content of expect_error and expect_warning.
func expected(blockType string) content {
	return content{what: "an " + blockType + " block", optional: []string{"address", "text"}}
}

// Parse is Load for one file that is already in memory.
func Parse(name string, src []byte) (*File, hcl.Diagnostics) {
	src = config.UnixLines(src)
	p := &parser{file: &File{Name: name, Source: src}}
	if d := config.CheckText(name, src); d != nil {
		return p.file, hcl.Diagnostics{d}
	}
	parsed, diags := limit.ParseConfig(src, name, hcl.InitialPos)
	p.diags = diags
	if parsed != nil {
		if body, ok := parsed.Body.(*hclsyntax.Body); ok {
			p.root(body)
		}
	}
	if len(p.file.Runs) == 0 && !p.diags.HasErrors() {
		p.add(diag.Errorf(&hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, "No runs", "A test file needs a run block: run \"NAME\" { … }."))
	}
	diag.Sort(p.diags)
	return p.file, p.diags
}

type parser struct {
	file  *File
	diags hcl.Diagnostics
}

func (p *parser) add(d ...*hcl.Diagnostic) { p.diags = append(p.diags, d...) }

// arguments reports what a body may not contain, and returns its arguments.
func (p *parser) arguments(body *hclsyntax.Body, c content) hclsyntax.Attributes {
	known := slices.Concat(c.required, c.optional)
	for _, name := range ordered.Keys(body.Attributes) {
		if a := body.Attributes[name]; !c.hasMembers && !slices.Contains(known, name) {
			p.add(diag.Errorf(a.NameRange.Ptr(), "Unsupported argument", "%s has no argument %q.%s", diag.Capital(c.what), name, suggest(name, known, slices.Contains(c.blocks, name))))
		}
	}
	for _, name := range c.required {
		if body.Attributes[name] == nil {
			at := body.MissingItemRange()
			p.add(diag.Errorf(&at, "Missing required argument", "%s needs the argument %q.", diag.Capital(c.what), name))
		}
	}
	for _, b := range body.Blocks {
		if !slices.Contains(c.blocks, b.Type) {
			p.add(diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "%s cannot contain blocks of type %q.%s", diag.Capital(c.what), b.Type, suggest(b.Type, c.blocks, false)))
		}
	}
	return body.Attributes
}

func suggest(name string, known []string, isBlock bool) string {
	switch hint := diag.Suggest(name, known); {
	case isBlock:
		return " It is a block: write it without an equals sign."
	case hint != "":
		return hint
	case len(known) == 0:
		return ""
	}
	return " It can contain " + english.And(known) + "."
}

// label returns the only label of a block. It returns false if the block has none, or
// several, which it has reported.
func (p *parser) label(b *hclsyntax.Block, what string) (string, bool) {
	if len(b.Labels) == 1 {
		return b.Labels[0], true
	}
	p.add(diag.Errorf(b.DefRange().Ptr(), "Wrong number of labels", "Write %s %q { … }.", b.Type, what))
	return "", false
}

func (p *parser) root(body *hclsyntax.Body) {
	p.arguments(body, inFile)
	names := map[string]bool{}
	for _, b := range body.Blocks {
		switch b.Type {
		case "variables":
			p.file.Variables = p.variables(b, p.file.Variables)
		case "mock", "real":
			p.file.Mocks = p.mock(b, p.file.Mocks)
		case "run":
			r := p.run(b)
			if r == nil {
				continue
			}
			if names[r.Name] {
				p.add(diag.Errorf(&r.Range, "Duplicate run", "This file has two runs %q. Give one of them another name.", r.Name))
			}
			names[r.Name] = true
			p.file.Runs = append(p.file.Runs, r)
		}
	}
}

func (p *parser) variables(b *hclsyntax.Block, to map[string]hcl.Expression) map[string]hcl.Expression {
	if to == nil {
		to = map[string]hcl.Expression{}
	}
	for name, a := range p.arguments(b.Body, inVariables) {
		if to[name] != nil {
			p.add(diag.Errorf(a.NameRange.Ptr(), "Duplicate variable", "The variable %q is set twice.", name))
		}
		p.names(a.Expr, "run")
		to[name] = a.Expr
	}
	return to
}

func (p *parser) run(b *hclsyntax.Block) *Run {
	name, ok := p.label(b, "NAME")
	if !ok {
		return nil
	}
	r := &Run{Name: name, Range: b.DefRange()}
	if !hclsyntax.ValidIdentifier(name) {
		p.add(diag.Errorf(b.LabelRanges[0].Ptr(), "Invalid name", "The name of a run begins with a letter or an underscore and contains only letters, digits, underscores, and hyphens."))
	}
	args := p.arguments(b.Body, inRun)
	r.Plan = p.command(args["command"])
	r.Targets, r.Replace = p.addresses(args["target"]), p.addresses(args["replace"])
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "variables":
			r.Variables = p.variables(inner, r.Variables)
		case "mock", "real":
			r.Mocks = p.mock(inner, r.Mocks)
		case "assert":
			r.Asserts = append(r.Asserts, p.assert(inner))
		case "expect":
			if e := p.expect(inner, r.Plan); e != nil {
				r.Expects = append(r.Expects, e)
			}
		case "expect_error":
			r.Errors = append(r.Errors, p.diagnostic(inner))
		case "expect_warning":
			r.Warnings = append(r.Warnings, p.diagnostic(inner))
		}
	}
	return r
}

// command reports whether a run plans only.
func (p *parser) command(a *hclsyntax.Attribute) bool {
	if a == nil {
		return false
	}
	switch word := hcl.ExprAsKeyword(a.Expr); word {
	case "plan", "apply":
		return word == "plan"
	}
	p.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid command", "command is plan or apply, without quotes."))
	return false
}

// addresses reads a list of addresses in quotes.
func (p *parser) addresses(a *hclsyntax.Attribute) []addr.Target {
	if a == nil {
		return nil
	}
	exprs, diags := hcl.ExprList(a.Expr)
	if diags.HasErrors() {
		p.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid addresses", "Write a list of addresses in quotes: %s = [\"transform.clean\"].", a.Name))
		return nil
	}
	var all []addr.Target
	for _, e := range exprs {
		text, ok := p.text(e)
		if !ok {
			continue
		}
		target, err := addr.ParseTarget(text)
		p.invalid(err, e.Range())
		if err == nil {
			all = append(all, target)
		}
	}
	return all
}

func (p *parser) address(text string, at hcl.Range) (addr.Instance, bool) {
	a, err := addr.Parse(text)
	p.invalid(err, at)
	return a, err == nil
}

// invalid reports an error about a place, if it is one.
func (p *parser) invalid(err error, at hcl.Range) {
	if err == nil {
		return
	}
	for _, d := range diag.Of(err) {
		d.Subject = &at
		p.add(d)
	}
}

// text returns the value of an expression that must be a constant string.
func (p *parser) text(e hcl.Expression) (string, bool) {
	v, diags := eval.Value(e, nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String || v.AsString() == "" {
		p.add(diag.Errorf(e.Range().Ptr(), "Invalid value", "Write a text in quotes. It cannot be computed."))
		return "", false
	}
	return v.AsString(), true
}

func (p *parser) textOf(a *hclsyntax.Attribute) (string, hcl.Range) {
	if a == nil {
		return "", hcl.Range{}
	}
	text, _ := p.text(a.Expr)
	return text, a.Expr.Range()
}

func (p *parser) flag(a *hclsyntax.Attribute) bool {
	if a == nil {
		return false
	}
	v, diags := eval.Value(a.Expr, nil)
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.Bool || !v.IsKnown() {
		p.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid value", "%s is true or false.", a.Name))
		return false
	}
	return v.True()
}

func (p *parser) assert(b *hclsyntax.Block) Assert {
	args := p.arguments(b.Body, inAssert)
	return Assert{Condition: expression(args["condition"]), Message: expression(args["error_message"]), Range: b.DefRange()}
}

func expression(a *hclsyntax.Attribute) hcl.Expression {
	if a == nil {
		return nil
	}
	return a.Expr
}

func (p *parser) expect(b *hclsyntax.Block, plans bool) *Expect {
	name, ok := p.label(b, "KIND.NAME")
	if !ok {
		return nil
	}
	e := &Expect{Range: b.DefRange()}
	if e.Stage, e.Port, ok = p.dataset(name, b.LabelRanges[0]); !ok {
		return nil
	}
	args := p.arguments(b.Body, inExpect)
	e.Table = p.table(args)
	e.Ordered, e.Subset = p.flag(args["ordered"]), p.flag(args["subset"])
	if !e.Given() {
		p.add(diag.Errorf(&e.Range, "Missing rows", "An expect block needs rows or file: the rows that %s must have.", name))
	}
	if plans {
		p.add(diag.Errorf(&e.Range, "No rows in a plan", "A run with command = plan computes no rows. Remove the expect block, or the command."))
	}
	return e
}

// dataset splits the address of a dataset into that of its stage and the name of its
// output.
func (p *parser) dataset(name string, at hcl.Range) (addr.Instance, string, bool) {
	a, port, err := Dataset(name)
	p.invalid(err, at)
	return a, port, err == nil
}

// Dataset splits the address of a dataset, such as transform.parts.train, into that of
// its stage and the name of its output.
func Dataset(name string) (addr.Instance, string, error) {
	a, err := addr.Parse(name)
	if err == nil {
		return a, "", nil
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		if whole, err := addr.Parse(name[:i]); err == nil {
			return whole, name[i+1:], nil
		}
	}
	return a, "", err
}

func (p *parser) diagnostic(b *hclsyntax.Block) Diagnostic {
	args := p.arguments(b.Body, expected(b.Type))
	d := Diagnostic{Text: expression(args["text"]), Range: b.DefRange()}
	d.Address, _ = p.textOf(args["address"])
	if d.Address != "" {
		p.address(d.Address, args["address"].Expr.Range())
	}
	if d.Address == "" && d.Text == nil && len(args) == 0 {
		p.add(diag.Errorf(&d.Range, "Nothing is expected", "An %s block needs an address, a text, or both.", b.Type))
	}
	return d
}

func (p *parser) table(args hclsyntax.Attributes) Table {
	t := Table{Rows: expression(args["rows"])}
	t.File, t.FileRange = p.textOf(args["file"])
	if t.Rows != nil {
		p.names(t.Rows)
		if a := args["file"]; a != nil {
			p.add(diag.Errorf(a.NameRange.Ptr(), "Both rows and file", "The rows are either here or in a file. Remove one of them."))
		}
	}
	if a := args["schema"]; a != nil {
		t.SchemaRange = a.Expr.Range()
		t.Schema = p.schema(a)
	}
	return t
}

// schema reads the types of columns.
func (p *parser) schema(a *hclsyntax.Attribute) map[string]string {
	v, diags := eval.Value(a.Expr, nil)
	if diags.HasErrors() || v.IsNull() || !v.IsWhollyKnown() || !v.CanIterateElements() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		p.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid schema", "schema is a map from columns to types: { price = \"float64\" }."))
		return nil
	}
	schema := map[string]string{}
	for name, t := range v.AsValueMap() {
		if t.IsNull() || t.Type() != cty.String {
			p.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid schema", "The type of column %q must be a text, such as \"int64\".", name))
			continue
		}
		schema[name] = t.AsString()
	}
	return schema
}

func (p *parser) mock(b *hclsyntax.Block, to []*Mock) []*Mock {
	name, ok := p.label(b, "KIND.NAME")
	if !ok {
		return to
	}
	variable, isVariable := strings.CutPrefix(name, "var.")
	isVariable = isVariable && b.Type == "mock" && hclsyntax.ValidIdentifier(variable)
	if isVariable {
		name = standInKind(b.Body) + "." + variable
	} else {
		variable = ""
	}
	at, ok := p.address(name, b.LabelRanges[0])
	if !ok {
		return to
	}
	m := &Mock{Variable: variable, Stage: at.Stage, Real: b.Type == "real", Text: string(b.Range().SliceBytes(p.file.Source)), Range: b.DefRange()}
	switch {
	case at.HasKey():
		p.add(diag.Errorf(b.LabelRanges[0].Ptr(), "Invalid address", "A mock takes the place of all instances of a stage. Leave out the key: %s.", at.Stage))
	case !kind.Of(at.Kind).Typed() && !isVariable:
		p.add(diag.Errorf(b.LabelRanges[0].Ptr(), "Cannot be mocked", "%s is part of the pipeline and always what it is. Mock what it depends on.", at.Stage))
	}
	for _, other := range to {
		if other.Stage == m.Stage {
			p.add(diag.Errorf(&m.Range, "Duplicate mock", "%s is mocked twice. Remove one of the blocks.", m.Stage))
		}
	}
	if m.Real {
		p.arguments(b.Body, inReal)
		return append(to, m)
	}
	p.mockBody(m, b.Body)
	return append(to, m)
}

// standInKind returns the kind of what the mock of a variable contains.
func standInKind(body *hclsyntax.Body) string {
	for name := range body.Attributes {
		if slices.Contains(answers, name) {
			return kind.Model
		}
	}
	for _, b := range body.Blocks {
		switch b.Type {
		case "rule":
			return kind.Model
		case "prompt":
			return kind.Prompt
		}
	}
	return kind.Source
}

// answers are the arguments that mock a model.
var answers = []string{"answer", "tool_calls", "embedding", "record"}

// inMock returns what the mock of a kind may contain.
func inMock(of string) content {
	c := content{what: "a mock of kind " + of}
	switch of {
	case kind.Source:
		c.optional = []string{"rows", "file", "schema"}
	case kind.Model:
		c.optional, c.blocks = answers, []string{"rule"}
	case kind.Train:
		c.optional, c.blocks = append([]string{"columns", "values"}, answers...), []string{"rule", "output"}
	case kind.Prompt:
		c.blocks = []string{"prompt"}
	case kind.Deploy, kind.Evaluate:
		c.optional = []string{"values"}
	default:
		c.optional, c.blocks = []string{"rows", "file", "schema", "columns", "values"}, []string{"output"}
	}
	return c
}

func (p *parser) mockBody(m *Mock, body *hclsyntax.Body) {
	args := p.arguments(body, inMock(m.Stage.Kind))
	m.Table = p.table(args)
	m.Columns = p.members(args["columns"], "row")
	m.Values = p.members(args["values"])
	m.Reply = p.reply(args)
	m.Embedding = expression(args["embedding"])
	p.names(m.Embedding, "text")
	m.Record, m.RecordRange = p.textOf(args["record"])
	for _, b := range body.Blocks {
		switch b.Type {
		case "rule":
			m.Rules = append(m.Rules, p.rule(b))
		case "output":
			p.output(m, b)
		case "prompt":
			m.Prompt = p.prompt(m, b)
		}
	}
	if m.Record != "" && (m.IsSet() || len(m.Rules) > 0 || m.Embedding != nil) {
		p.add(diag.Errorf(&m.RecordRange, "Two kinds of answers", "A model's answers are either recorded or given by rules. Remove record, or the other arguments."))
	}
	if m.Columns != nil && m.Given() {
		p.add(diag.Errorf(args["columns"].NameRange.Ptr(), "Two kinds of rows", "Either columns computes the columns of each row, or rows contains whole rows. Remove one of them."))
	}
}

// members reads an object with constant names whose values are expressions.
func (p *parser) members(a *hclsyntax.Attribute, names ...string) map[string]hcl.Expression {
	if a == nil {
		return nil
	}
	pairs, diags := hcl.ExprMap(a.Expr)
	if diags.HasErrors() {
		p.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid value", "%s is an object: %s = { NAME = EXPRESSION }.", a.Name, a.Name))
		return nil
	}
	all := make(map[string]hcl.Expression, len(pairs))
	for _, pair := range pairs {
		name, diags := eval.Value(pair.Key, nil)
		if diags.HasErrors() || name.IsNull() || name.Type() != cty.String {
			p.add(diag.Errorf(pair.Key.Range().Ptr(), "Invalid name", "A name in %s cannot be computed.", a.Name))
			continue
		}
		p.names(pair.Value, names...)
		all[name.AsString()] = pair.Value
	}
	return all
}

func (p *parser) rule(b *hclsyntax.Block) Rule {
	if len(b.Labels) > 0 {
		p.add(diag.Errorf(b.DefRange().Ptr(), "Wrong number of labels", "A rule has no labels: rule { when = … }."))
	}
	args := p.arguments(b.Body, inRule)
	r := Rule{When: expression(args["when"]), Reply: p.reply(args), Error: expression(args["error"]), Range: b.DefRange()}
	if r.IsSet() == (r.Error != nil) {
		p.add(diag.Errorf(&r.Range, "Rule without an answer", "A rule has either an error, or an answer, tool_calls, or both."))
	}
	p.names(r.When, "request")
	p.names(r.Error, "request")
	return r
}

// prompt returns the content of a prompt, which is compiled where it is used.
func (p *parser) prompt(m *Mock, b *hclsyntax.Block) *hclsyntax.Body {
	if len(b.Labels) > 0 || m.Prompt != nil {
		p.add(diag.Errorf(b.DefRange().Ptr(), "Wrong prompt", "The mock of a prompt has one prompt block, without labels: prompt { user = … }."))
	}
	body, diags := config.PromptContent(b.Body)
	p.add(diags...)
	p.references(config.BodyReferences(b.Body), "row")
	return body
}

func (p *parser) reply(args hclsyntax.Attributes) Reply {
	r := Reply{Answer: expression(args["answer"]), ToolCalls: expression(args["tool_calls"])}
	p.names(r.Answer, "request")
	p.names(r.ToolCalls, "request")
	return r
}

func (p *parser) output(m *Mock, b *hclsyntax.Block) {
	name, ok := p.label(b, "NAME")
	if !ok {
		return
	}
	t := p.table(p.arguments(b.Body, inOutput))
	if !t.Given() {
		p.add(diag.Errorf(b.DefRange().Ptr(), "Missing rows", "An output block needs rows or file."))
	}
	if m.Outputs == nil {
		m.Outputs = map[string]*Table{}
	}
	if m.Outputs[name] != nil {
		p.add(diag.Errorf(b.DefRange().Ptr(), "Duplicate output", "The output %q is mocked twice.", name))
	}
	m.Outputs[name] = &t
}

// names reports references in an expression, which may be nil, to anything but
// variables, path, and more.
func (p *parser) names(e hcl.Expression, more ...string) {
	if e != nil {
		p.references(config.Variables(e), more...)
	}
}

// references reports references to anything but variables, path, and more.
func (p *parser) references(all []hcl.Traversal, more ...string) {
	can := append([]string{"var", "path"}, more...)
	for _, t := range all {
		if name := t.RootName(); !slices.Contains(can, name) {
			hint := diag.Suggest(name, can)
			if hint == "" {
				hint = fmt.Sprintf(" It can refer to %s.", english.Or(can))
			}
			p.add(diag.Errorf(t.SourceRange().Ptr(), "Name is not available here", "Nothing is named %q here.%s", name, hint))
		}
	}
}
