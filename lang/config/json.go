package config

import (
	"bytes"
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
)

// Shape says which members of a JSON body are blocks: JSON itself doesn't distinguish
// blocks from objects. All other members are arguments.
type Shape struct {
	// Labels are what the labels of the block itself are: "TYPE", "NAME".
	Labels []string
	Blocks map[string]*Shape

	// reads says how arguments are read, by name; otherwise says it for arguments that reads does
	// not name.
	reads     map[string]reading
	otherwise reading
}

// reading is how the strings in a value are read.
type reading int

const (
	asTemplate   reading = iota // "Hello, ${row.name}"
	asIs                        // text that is read before anything is evaluated
	asExpression                // "gate.ship", "list(string)"
)

func (s *Shape) reading(argument string) reading {
	if r, ok := s.reads[argument]; ok {
		return r
	}
	return s.otherwise
}

// rootShape is the shape of a file. Which other blocks a stage, a model, or a plugin
// has depends on its type.
var rootShape = func() *Shape {
	conditions := func(names ...string) map[string]*Shape {
		blocks := map[string]*Shape{}
		for _, name := range names {
			blocks[name] = &Shape{}
		}
		return blocks
	}
	root := &Shape{Blocks: map[string]*Shape{
		"quern": {otherwise: asIs, Blocks: map[string]*Shape{
			"required_plugins": {otherwise: asIs}, "store": {Labels: []string{"TYPE"}, otherwise: asIs}, "engine": {Labels: []string{"TYPE"}}, "budget": {},
			"environment": {Labels: []string{"NAME"}, Blocks: map[string]*Shape{"budget": {reads: map[string]reading{"per": asIs}}}},
		}},
		"plugin":   {Labels: []string{"NAME"}},
		"variable": {Labels: []string{"NAME"}, reads: map[string]reading{"type": asExpression, "default": asIs, "description": asIs}, Blocks: conditions("validation")},
		"locals":   {},
		"output":   {Labels: []string{"NAME"}, reads: map[string]reading{"type": asExpression, "description": asIs, "depends_on": asExpression}, Blocks: conditions("precondition")},
		"moved":    {reads: map[string]reading{"from": asExpression, "to": asExpression}},
		"removed":  {reads: map[string]reading{"from": asExpression}, Blocks: conditions("lifecycle")},
		"import":   {reads: map[string]reading{"to": asExpression}},
	}}
	root.Blocks[callKind] = &Shape{Labels: []string{"NAME"}, reads: map[string]reading{"source": asIs, "version": asIs, "depends_on": asExpression, "plugins": asIs}}
	for _, b := range rootSchema.blocks {
		if root.Blocks[b.name] == nil {
			root.Blocks[b.name] = stageShape(b, conditions)
		}
	}
	return root
}()

func stageShape(b blockSchema, conditions func(...string) map[string]*Shape) *Shape {
	s := &Shape{Labels: b.labels, reads: map[string]reading{"depends_on": asExpression, "plugin": asIs}}
	switch b.name {
	case "check":
		s.Blocks = conditions("assert")
		return s
	case kind.Gate:
		s.Blocks = conditions("check")
	case kind.Prompt:
		s.Blocks = conditions("example", "examples", "output")
		s.Blocks["tool"] = &Shape{Labels: []string{"NAME"}}
	default:
		s.Blocks = conditions("resources", "budget")
		s.Blocks[contractBlock] = contractShape()
	}
	s.Blocks["lifecycle"] = &Shape{Blocks: conditions("precondition", "postcondition")}
	if b.name != kind.Gate {
		s.Blocks["dynamic"] = &Shape{}
	}
	return s
}

// parseJSON parses a file in HCL's JSON syntax into the nodes of the native syntax,
// so that everything later, row expressions included, is the same for both.
func (l *loader) parseJSON(name string, src []byte) (*hclsyntax.Body, hcl.Diagnostics) {
	f, diags := hcljson.Parse(src, name)
	if f == nil || diags.HasErrors() {
		return nil, diags
	}
	j := &jsonFile{src: src, raw: l.raw}
	if bytes.HasPrefix(bytes.TrimSpace(src), []byte("[")) {
		at := f.Body.MissingItemRange()
		return nil, hcl.Diagnostics{diag.Errorf(&at, "Invalid configuration in JSON", `A JSON configuration must be an object whose members are blocks: { "source": { "csv": { … } } }.`)}
	}
	body := j.body(f.Body, rootShape)
	for _, name := range sortedAttributes(body.Attributes) { // no arguments belong here
		a := body.Attributes[name]
		body.Blocks = append(body.Blocks, &hclsyntax.Block{Type: name, TypeRange: a.NameRange, OpenBraceRange: a.SrcRange, CloseBraceRange: a.SrcRange, Body: &hclsyntax.Body{SrcRange: a.SrcRange, EndRange: a.SrcRange}})
	}
	clear(body.Attributes)
	return body, j.diags
}

// jsonFile converts the bodies of a file.
type jsonFile struct {
	src   []byte
	diags hcl.Diagnostics
	// raw has the bodies as they are in the file, keyed by what they became.
	raw map[*hclsyntax.Body]*jsonBody
}

// jsonBody is a body that can be read again when its shape is known.
type jsonBody struct {
	src   []byte
	body  hcl.Body
	shape *Shape
}

// shaped reads the body again, with more blocks.
func (b *jsonBody) shaped(blocks map[string]*Shape) (*hclsyntax.Body, hcl.Diagnostics) {
	shape := *b.shape
	shape.Blocks = maps.Clone(blocks)
	if shape.Blocks == nil {
		shape.Blocks = map[string]*Shape{}
	}
	maps.Copy(shape.Blocks, b.shape.Blocks)
	j := &jsonFile{src: b.src}
	body := j.body(b.body, &shape)
	return body, j.diags
}

// Shape reads the stage's body again if it is written in JSON, now that it
// is known which blocks its type has.
func (s *Stage) Shape(blocks func() map[string]*Shape) hcl.Diagnostics {
	if s.json == nil {
		return nil
	}
	body, diags := s.json.shaped(blocks())
	s.Body = s.own(body)
	return diags
}

// Shape is that of a stage for a plugin block.
func (p *Plugin) Shape(blocks func() map[string]*Shape) hcl.Diagnostics {
	if p.json == nil {
		return nil
	}
	body, diags := p.json.shaped(blocks())
	p.Body = body
	return diags
}

func (j *jsonFile) body(b hcl.Body, s *Shape) *hclsyntax.Body {
	end := b.MissingItemRange()
	out := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: end, EndRange: end}
	if j.raw != nil {
		j.raw[out] = &jsonBody{src: j.src, body: b, shape: s}
	}
	schema := &hcl.BodySchema{}
	for _, name := range ordered.Keys(s.Blocks) {
		labels := s.Blocks[name].Labels
		if name == "dynamic" {
			labels = []string{"BLOCK"}
		}
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: name, LabelNames: labels})
	}
	content, rest, diags := b.PartialContent(schema)
	j.diags = append(j.diags, diags...)
	if diags.HasErrors() {
		return out
	}
	attributes, diags := rest.JustAttributes()
	j.diags = append(j.diags, diags...)
	for name, a := range attributes {
		out.Attributes[name] = &hclsyntax.Attribute{
			Name: name, Expr: j.expression(a.Expr, s.reading(name)),
			SrcRange: a.Range, NameRange: a.NameRange, EqualsRange: a.NameRange,
		}
	}
	for _, block := range content.Blocks {
		out.Blocks = append(out.Blocks, j.block(block, s))
	}
	return out
}

func (j *jsonFile) block(b *hcl.Block, outer *Shape) *hclsyntax.Block {
	shape := outer.Blocks[b.Type]
	if b.Type == "dynamic" {
		content := &Shape{Blocks: map[string]*Shape{"dynamic": {}}}
		if of := outer.Blocks[b.Labels[0]]; of != nil {
			content = &Shape{Blocks: of.Blocks}
		}
		shape = &Shape{reads: map[string]reading{"iterator": asExpression}, Blocks: map[string]*Shape{"content": content}}
	}
	// Several blocks can share the name of their type, so the last label is
	// where a block begins.
	at := b.TypeRange
	if n := len(b.LabelRanges); n > 0 {
		at = b.LabelRanges[n-1]
	}
	return &hclsyntax.Block{
		Type: b.Type, Labels: b.Labels, LabelRanges: b.LabelRanges, TypeRange: at,
		OpenBraceRange: b.DefRange, CloseBraceRange: b.Body.MissingItemRange(), Body: j.body(b.Body, shape),
	}
}

// expression converts a value to an expression of the native syntax.
func (j *jsonFile) expression(e hcl.Expression, as reading) hclsyntax.Expression {
	r := e.Range()
	if members, diags := hcl.ExprMap(e); !diags.HasErrors() {
		return j.object(members, r, as)
	}
	if elements, diags := hcl.ExprList(e); !diags.HasErrors() {
		tuple := &hclsyntax.TupleConsExpr{SrcRange: r, OpenRange: e.StartRange()}
		for _, element := range elements {
			tuple.Exprs = append(tuple.Exprs, j.expression(element, as))
		}
		return tuple
	}
	v, diags := e.Value(nil)
	j.diags = append(j.diags, diags...)
	if v.Type() != cty.String || v.IsNull() {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: r}
	}
	text, diags := newJSONText(j.src, r).read(as)
	j.diags = append(j.diags, diags...)
	if wrapped, ok := text.(*hclsyntax.TemplateWrapExpr); ok {
		return wrapped.Wrapped
	}
	return text
}

func (j *jsonFile) object(members []hcl.KeyValuePair, r hcl.Range, as reading) hclsyntax.Expression {
	open := r
	open.End = open.Start
	out := &hclsyntax.ObjectConsExpr{SrcRange: r, OpenRange: open}
	seen := map[string]hcl.Range{}
	for _, m := range members {
		at := m.Key.Range()
		key := newJSONText(j.src, at)
		if first, twice := seen[string(key.text)]; twice {
			j.diags = append(j.diags, diag.Errorf(&at, "Duplicate key", "The key %q is already set at %s. Remove one of them.", key.text, place(first)))
			continue
		}
		seen[string(key.text)] = at
		how := as
		if as == asExpression {
			how = asIs
		}
		name, diags := key.read(how)
		j.diags = append(j.diags, diags...)
		out.Items = append(out.Items, hclsyntax.ObjectConsItem{KeyExpr: &hclsyntax.ObjectConsKeyExpr{Wrapped: name}, ValueExpr: j.expression(m.Value, as)})
	}
	return out
}
