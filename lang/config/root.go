package config

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// rootSchema is what a configuration file may hold.
var rootSchema = func() schema {
	s := schema{what: "a configuration file", blocks: []blockSchema{
		{name: "quern"},
		{name: "plugin", labels: []string{"NAME"}},
		{name: "variable", labels: []string{"NAME"}},
		{name: "locals"},
		{name: "output", labels: []string{"NAME"}},
		{name: "check", labels: []string{"NAME"}},
	}}
	for _, kind := range addr.Kinds {
		labels := []string{"TYPE", "NAME"}
		if kind == "gate" || kind == "prompt" {
			labels = []string{"NAME"}
		}
		s.blocks = append(s.blocks, blockSchema{name: kind, labels: labels})
	}
	return s
}()

// foreign are the block types of neighbouring tools that users bring along,
// and what to write instead.
var foreign = map[string]string{
	"resource":         `Stages are blocks of their own kind: source, transform, label, train, evaluate, gate and deploy. What lives on outside of quern is a deploy block.`,
	"data":             `Data comes in with a source block: source "csv" "NAME" { … }.`,
	"provider":         `A plugin is configured with a plugin block: plugin "NAME" { … }.`,
	"terraform":        `The settings of a pipeline stand in a quern block: quern { … }.`,
	"local":            `Local values stand in a locals block: locals { NAME = … }.`,
	"variables":        `Each variable has a block: variable "NAME" { … }. Values for variables stand in quern.vars.hcl.`,
	"outputs":          `Each output has a block: output "NAME" { value = … }.`,
	"models":           `Each model has a block: model "TYPE" "NAME" { name = … }.`,
	"prompts":          `Each prompt has a block: prompt "NAME" { user = … }.`,
	"module":           `All files of a folder make up one pipeline: put these blocks into files beside this one.`,
	"moved":            `A stage that was renamed keeps what it has made; quern state mv FROM TO moves it in the state.`,
	"removed":          `A stage is removed by taking its block out; quern state rm ADDRESS forgets one whose deployment is to stay.`,
	"required_plugins": `Required plugins stand inside the quern block: quern { required_plugins { … } }.`,
}

func (l *loader) root(body *hclsyntax.Body) {
	for _, name := range sortedAttributes(body.Attributes) {
		attr := body.Attributes[name]
		l.add(diag.Errorf(attr.NameRange.Ptr(), "Unsupported argument", "A configuration file holds blocks, no arguments. A value that other blocks are to use is a local: locals { %s = … }. A value for a variable stands in quern.vars.hcl.", name))
	}
	var known []*hclsyntax.Block
	for _, b := range body.Blocks {
		spec, ok := rootSchema.block(b.Type)
		switch {
		case ok && l.labels(b, spec.labels):
			known = append(known, b)
		case ok:
			// labels has said what is wrong.
		case foreign[b.Type] != "":
			l.add(diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "There are no blocks of type %q here. %s", b.Type, foreign[b.Type]))
		default:
			l.add(diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "There are no blocks of type %q.%s", b.Type, suggestOrList(b.Type, rootSchema.blockNames(), "The blocks of a configuration file are")))
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
	default:
		l.stage(b)
	}
}
