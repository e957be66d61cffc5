package config

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
)

// rootSchema says what a configuration file may contain.
var rootSchema = func() schema {
	s := schema{what: "a configuration file", blocks: []blockSchema{
		{name: "quern"},
		{name: "plugin", labels: []string{"NAME"}},
		{name: "variable", labels: []string{"NAME"}},
		{name: "locals"},
		{name: "output", labels: []string{"NAME"}},
		{name: "check", labels: []string{"NAME"}},
		{name: callKind, labels: []string{"NAME"}},
		{name: "moved"},
		{name: "removed"},
		{name: "import"},
	}}
	for _, name := range kind.Names() {
		s.blocks = append(s.blocks, blockSchema{name: name, labels: kindLabels(name)})
	}
	return s
}()

// kindLabels are the labels of the blocks of a kind.
func kindLabels(name string) []string {
	if kind.Of(name).Typed() {
		return []string{"TYPE", "NAME"}
	}
	return []string{"NAME"}
}

// foreign are block types that users may try, such as those of similar tools,
// with what to write instead.
var foreign = withPlurals(map[string]string{
	"resource":         `Stages are blocks of their own kind: ` + english.And(stageKinds) + `. For something that exists outside quern, write a deploy block.`,
	"data":             `To bring data in, write a source block: source "csv" "NAME" { … }.`,
	"provider":         `To configure a plugin, write a plugin block: plugin "NAME" { … }.`,
	"terraform":        `The settings of a pipeline go in a quern block: quern { … }.`,
	"local":            `Local values go in a locals block: locals { NAME = … }.`,
	"variables":        `Each variable has its own block: variable "NAME" { … }. Values for variables go in quern.vars.hcl.`,
	"outputs":          `Each output has its own block: output "NAME" { value = … }.`,
	"models":           `Each model has its own block: model "TYPE" "NAME" { name = … }.`,
	"prompts":          `Each prompt has its own block: prompt "NAME" { user = … }.`,
	"modules":          `Each call of a module has its own block: module "NAME" { source = "./FOLDER" }.`,
	"required_plugins": `Required plugins go inside the quern block: quern { required_plugins { … } }.`,
})

func withPlurals(hints map[string]string) map[string]string {
	for _, name := range kind.Names() {
		if plural := kind.Of(name).Plural; hints[plural] == "" {
			hints[plural] = "Each of them has its own block: " + header(name, kindLabels(name)) + "."
		}
	}
	return hints
}

func (l *loader) root(body *hclsyntax.Body) {
	l.m.bodies = append(l.m.bodies, body)
	for _, name := range sortedAttributes(body.Attributes) {
		attr := body.Attributes[name]
		l.add(diag.Errorf(attr.NameRange.Ptr(), "Unsupported argument", "A configuration file can contain only blocks at the top level. To define a value that other blocks can use, write locals { %s = … }. To set a variable, use quern.vars.hcl.", name))
	}
	var known []*hclsyntax.Block
	for _, b := range body.Blocks {
		spec, ok := rootSchema.block(b.Type)
		switch {
		case ok && l.labels(b, spec.labels):
			known = append(known, b)
		case ok:
			l.nameless[b.Type] = true // labels has reported it
		case foreign[b.Type] != "":
			l.add(diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "%q is not a block type in quern. %s", b.Type, foreign[b.Type]))
		default:
			l.add(diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "%q is not a block type.%s", b.Type, suggestOrList(b.Type, rootSchema.blockNames(), "The block types are")))
		}
	}
	for _, b := range known {
		l.block(b)
	}
}

func (l *loader) block(b *hclsyntax.Block) {
	switch b.Type {
	case "quern":
		l.settings(b)
	case "plugin":
		l.plugin(b)
	case "variable":
		l.variable(b)
	case "locals":
		l.locals(b)
	case "output":
		l.output(b)
	case "check":
		l.check(b)
	case callKind:
		l.call(b)
	case "moved":
		l.moved(b)
	case "removed":
		l.removed(b)
	case "import":
		l.imported(b)
	default:
		l.stage(b)
	}
}
