package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/diag"
)

// Prompts do not belong to a plugin, so the whole block is checked here. These are the
// blocks that a prompt can contain, and what each of those can contain.
var (
	promptSchema = schema{
		what:     "a prompt block",
		optional: []string{"system", "user", "messages", "tools"},
		blocks: []blockSchema{
			{name: "example"},
			{name: "examples", once: true},
			{name: "tool", labels: []string{"NAME"}},
			{name: "output", once: true},
		},
	}
	promptBlocks = map[string]schema{
		"example": {what: "an example block", required: []string{"user", "assistant"}},
		"examples": {
			what:     "an examples block",
			required: []string{"dataset", "user", "assistant"},
			optional: []string{"count", "select", "seed", "by", "model"},
		},
		"tool":   {what: "a tool block", optional: []string{"description", "parameters"}},
		"output": {what: "an output block of a prompt", required: []string{"schema"}, optional: []string{"name", "strict"}},
	}
	dynamicSchema = schema{
		what:     "a dynamic block",
		required: []string{"for_each"},
		optional: []string{"iterator", "labels"},
		blocks:   []blockSchema{{name: "content", once: true}},
	}

	modelArguments = []string{"for_each", "count", "plugin"}
)

// notCarriedOut says why blocks that do nothing by themselves do not have
// some meta-arguments and meta-blocks.
var notCarriedOut = map[string]string{
	"depends_on":  "it does not run by itself. Put depends_on in the stage that uses it.",
	"timeout":     "it does not run by itself. Put timeout in the stage that uses it.",
	"retries":     "it does not run by itself. Put retries in the stage that uses it.",
	"plugin":      "no plugin is involved. Remove it.",
	"lifecycle":   "it does not run by itself. Put the conditions in the stage that uses it.",
	contractBlock: "it produces no dataset. Put the contract in the stage that does.",
	"resources":   "it does not run by itself. Put resources in the stage that uses it.",
}

// model reads a model block. All but three of the meta-arguments belong to its
// type: a model has its own timeout, for each request.
func (l *loader) model(s *Stage, body *hclsyntax.Body) {
	meta := maps.Clone(body.Attributes)
	maps.DeleteFunc(meta, func(name string, _ *hclsyntax.Attribute) bool { return !slices.Contains(modelArguments, name) })
	l.meta(s, meta)
	refused := append([]string{"depends_on"}, metaBlocks...)
	l.refuseMeta(s, body, refused)
	arguments := append(refused, modelArguments...)
	s.own = func(body *hclsyntax.Body) *hclsyntax.Body { return without(body, arguments, metaBlocks) }
	s.Body = s.own(body)
}

// prompt reads a prompt block. It takes no meta-arguments.
func (l *loader) prompt(s *Stage, body *hclsyntax.Body) {
	refused := append(slices.Clone(metaArguments), metaBlocks...)
	l.refuseMeta(s, body, refused)
	s.Body = without(body, refused, metaBlocks)
	attrs, blocks := l.content(l.undynamic(s.Body), promptSchema)
	for _, b := range blocks {
		l.content(b.Body, promptBlocks[b.Type])
	}
	if attrs["user"] == nil && attrs["messages"] == nil {
		r := body.MissingItemRange()
		l.missing(diag.Errorf(&r, "Prompt without a question", "A prompt needs user, the text of the question, or messages, a list of { role = …, content = … }."))
	}
}

// refuseMeta reports meta-arguments that a block cannot have because it does nothing by itself.
func (l *loader) refuseMeta(s *Stage, body *hclsyntax.Body, refused []string) {
	what := article(s.Addr.Kind) + " block"
	why := func(name string) string {
		if reason := notCarriedOut[name]; reason != "" {
			return what + " cannot have " + name + ", because " + reason
		}
		return what + " has no instances. Write one block for each, or put " + name + " in the stage that uses it."
	}
	for _, name := range refused {
		if a := body.Attributes[name]; a != nil {
			l.add(diag.Errorf(a.NameRange.Ptr(), "Unsupported argument", "%s", why(name)))
		}
	}
	for _, b := range body.Blocks {
		if slices.Contains(metaBlocks, b.Type) {
			l.add(diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "%s", why(b.Type)))
		}
	}
}

// undynamic checks a prompt's dynamic blocks and returns the body without
// them.
func (l *loader) undynamic(body *hclsyntax.Body) *hclsyntax.Body {
	for _, b := range body.Blocks {
		if b.Type == "dynamic" {
			l.dynamic(b)
		}
	}
	return without(body, nil, []string{"dynamic"})
}

func (l *loader) dynamic(b *hclsyntax.Block) {
	if !l.labels(b, []string{"BLOCK"}) {
		return
	}
	inner, ok := promptBlocks[b.Labels[0]]
	if !ok {
		l.add(diag.Errorf(b.LabelRanges[0].Ptr(), "Unsupported block type", "A prompt block cannot contain blocks of type %q.%s", b.Labels[0], suggestOrList(b.Labels[0], promptSchema.blockNames(), "It can contain")))
		return
	}
	_, blocks := l.content(b.Body, dynamicSchema)
	for _, content := range blocks {
		l.content(content.Body, inner)
	}
	if len(blocks) == 0 {
		r := b.Body.MissingItemRange()
		l.missing(diag.Errorf(&r, "Missing content block", "A dynamic block needs a content block with the content of each block that it creates."))
	}
}
