package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// schema says what a body may contain.
type schema struct {
	// what the body belongs to, with its article: "a variable block".
	what     string
	required []string
	optional []string
	blocks   []blockSchema
}

type blockSchema struct {
	name   string
	labels []string // what each label is: "TYPE", "NAME"
	once   bool
}

func (s schema) arguments() []string { return slices.Concat(s.required, s.optional) }

func (s schema) block(name string) (blockSchema, bool) {
	i := slices.IndexFunc(s.blocks, func(b blockSchema) bool { return b.name == name })
	if i < 0 {
		return blockSchema{}, false
	}
	return s.blocks[i], true
}

func (s schema) blockNames() []string {
	var names []string
	for _, b := range s.blocks {
		names = append(names, b.name)
	}
	return names
}

// content checks a body against a schema. It returns the attributes that the
// schema knows, and the blocks that it knows and that have the right number of
// labels. It reports everything else.
func (l *loader) content(body *hclsyntax.Body, s schema) (hclsyntax.Attributes, []*hclsyntax.Block) {
	known := hclsyntax.Attributes{}
	for name, attr := range body.Attributes {
		if slices.Contains(s.arguments(), name) {
			known[name] = attr
			continue
		}
		l.add(unknownArgument(attr, s))
	}
	for _, name := range s.required {
		if known[name] == nil {
			r := body.MissingItemRange()
			l.missing(diag.Errorf(&r, "Missing required argument", "%s needs the argument %q.", diag.Capital(s.what), name))
		}
	}
	return known, l.knownBlocks(body, s)
}

func (l *loader) knownBlocks(body *hclsyntax.Body, s schema) []*hclsyntax.Block {
	var blocks []*hclsyntax.Block
	first := map[string]*hclsyntax.Block{}
	for _, b := range body.Blocks {
		spec, ok := s.block(b.Type)
		if !ok {
			l.add(unknownBlock(b, s))
			continue
		}
		if !l.labels(b, spec.labels) {
			continue
		}
		if other := first[b.Type]; other != nil && spec.once {
			l.add(diag.Errorf(b.DefRange().Ptr(), "Duplicate "+b.Type+" block", "%s can have only one %s block. The first is at %s; put everything in that one.", diag.Capital(s.what), b.Type, place(other.DefRange())))
			continue
		}
		first[b.Type] = b
		blocks = append(blocks, b)
	}
	return blocks
}

func unknownArgument(attr *hclsyntax.Attribute, s schema) *hcl.Diagnostic {
	if _, ok := s.block(attr.Name); ok {
		return diag.Errorf(attr.NameRange.Ptr(), "Unsupported argument", "In %s, %s is a block, not an argument: write %s { … } without an equals sign.", s.what, attr.Name, attr.Name)
	}
	return diag.Errorf(attr.NameRange.Ptr(), "Unsupported argument", "%s has no argument %q.%s", diag.Capital(s.what), attr.Name, suggestOrList(attr.Name, s.arguments(), "Its arguments are"))
}

func unknownBlock(b *hclsyntax.Block, s schema) *hcl.Diagnostic {
	if slices.Contains(s.arguments(), b.Type) {
		return diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "In %s, %s is an argument, not a block: write %s = … with an equals sign.", s.what, b.Type, b.Type)
	}
	if b.Type == "dynamic" {
		hint := ""
		if slices.Contains(s.arguments(), "for_each") {
			hint = " Use for_each to create several instances, or combine the conditions: alltrue([for … : …])."
		}
		return diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "%s cannot contain dynamic blocks.%s", diag.Capital(s.what), hint)
	}
	return diag.Errorf(b.TypeRange.Ptr(), "Unsupported block type", "%s cannot contain blocks of type %q.%s", diag.Capital(s.what), b.Type, suggestOrList(b.Type, s.blockNames(), "It can contain"))
}

// suggestOrList suggests the candidate that was most likely meant, or lists all of them.
func suggestOrList(given string, candidates []string, lead string) string {
	if hint := diag.Suggest(given, candidates); hint != "" {
		return hint
	}
	if len(candidates) == 0 {
		return ""
	}
	return " " + lead + " " + english.And(candidates) + "."
}

// labels checks the number of a block's labels and that each is a name.
func (l *loader) labels(b *hclsyntax.Block, want []string) bool {
	if len(b.Labels) != len(want) {
		l.add(wrongLabels(b, want))
		return false
	}
	ok := true
	for i, label := range b.Labels {
		if !addr.ValidIdentifier(label) {
			l.add(invalidName(b.LabelRanges[i], label))
			ok = false
		}
	}
	return ok
}

func wrongLabels(b *hclsyntax.Block, want []string) *hcl.Diagnostic {
	d := diag.Errorf(b.DefRange().Ptr(), "Wrong number of labels", "%s block has %s: write %s.", article(b.Type), english.Spell(len(want), "label"), header(b.Type, want))
	switch {
	case len(b.Labels) > len(want):
		d.Subject = b.LabelRanges[len(want)].Ptr()
		d.Context = b.DefRange().Ptr()
	case len(want) == 2 && len(b.Labels) == 1:
		d.Detail += fmt.Sprintf(" The first label is the type of the %s, and the second is its name.", b.Type)
	}
	return d
}

// header is how a block is written, without its content.
func header(block string, labels []string) string {
	for _, label := range labels {
		block += fmt.Sprintf(" %q", label)
	}
	return block + " { … }"
}

func invalidName(r hcl.Range, name string) *hcl.Diagnostic {
	d := diag.Errorf(&r, "Invalid name", "%q is not a valid name. A name begins with a letter or an underscore and contains only letters, digits, underscores, and hyphens.", name)
	if valid := validName(name); valid != "" {
		d.Detail += fmt.Sprintf(" Did you mean %q?", valid)
	}
	return d
}

// validName turns something that is nearly a name into one; "" if it cannot.
func validName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r == ' ' || r == '.' || r == '/' || r == ':' {
			return '_'
		}
		return r
	}, strings.TrimSpace(s))
	if !addr.ValidIdentifier(name) {
		name = "_" + name
	}
	if !addr.ValidIdentifier(name) {
		return ""
	}
	return name
}

// sortedAttributes are the names of attributes in the order of the text.
func sortedAttributes(attrs hclsyntax.Attributes) []string {
	return slices.SortedFunc(maps.Keys(attrs), func(a, b string) int {
		return attrs[a].SrcRange.Start.Byte - attrs[b].SrcRange.Start.Byte
	})
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// article puts the indefinite article before a word, as at the beginning of a
// sentence.
func article(word string) string {
	if strings.ContainsAny(word[:1], "aeio") {
		return "An " + word
	}
	return "A " + word
}
