package schema

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
)

// Check reports names in a body that its schema does not define, and required
// names that are missing. It looks at names only, so it reports all of them,
// whatever the values are. Messages call the body "of".
func Check(b *hclsyntax.Body, schema *Body, of string) []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	for _, name := range ordered.Keys(b.Attributes) {
		if schema.Args[name] == nil {
			diags = append(diags, unknownArgument(b.Attributes[name], schema, of))
		}
	}
	for _, block := range b.Blocks {
		diags = append(diags, checkBlock(block, schema, of)...)
	}
	for _, a := range schema.required {
		if b.Attributes[a.Name] == nil {
			diags = append(diags, diag.Errorf(b.MissingItemRange().Ptr(), "Missing required argument",
				"%s needs the argument %q%s", of, a.Name, Documented(a.Doc)))
		}
	}
	for _, name := range ordered.Keys(schema.Blocks) {
		diags = append(diags, checkCount(b, schema.Blocks[name], of)...)
	}
	return diags
}

// Documented returns the first sentence of an argument's documentation.
func Documented(doc string) string {
	first, _, _ := strings.Cut(doc, "\n")
	if sentence, _, found := strings.Cut(first, ". "); found {
		first = sentence + "."
	}
	if first == "" {
		return "."
	}
	return ": " + first
}

func unknownArgument(a *hclsyntax.Attribute, schema *Body, of string) *hcl.Diagnostic {
	if schema.Blocks[a.Name] != nil {
		return diag.Errorf(a.NameRange.Ptr(), "Unsupported argument",
			"%q is a block of %s, not an argument. Write it without the equals sign: %s { … }", a.Name, of, a.Name)
	}
	names := append(ordered.Keys(schema.Args), "for_each", "count", "depends_on", "plugin", "timeout", "retries")
	return diag.Errorf(a.NameRange.Ptr(), "Unsupported argument", "%s has no argument %q.%s%s",
		of, a.Name, diag.Suggest(a.Name, names), listed(" Its arguments are: ", a.Name, ordered.Keys(schema.Args)))
}

// listed lists the valid names if none is similar enough to be a suggestion.
func listed(lead, given string, names []string) string {
	if len(names) == 0 || diag.Closest(given, names) != "" {
		return ""
	}
	return lead + english.And(names) + "."
}

func checkBlock(b *hclsyntax.Block, schema *Body, of string) []*hcl.Diagnostic {
	if b.Type == "dynamic" && len(b.Labels) == 1 {
		return checkDynamic(b, schema, of)
	}
	nested := schema.Blocks[b.Type]
	if nested == nil {
		return []*hcl.Diagnostic{unknownBlock(b.Type, b.TypeRange, schema, of)}
	}
	var diags []*hcl.Diagnostic
	if len(b.Labels) != len(nested.Labels) {
		subject := b.DefRange()
		diags = append(diags, diag.Errorf(&subject, "Wrong number of labels", "A %s block has %s: %s",
			b.Type, english.Spell(len(nested.Labels), "label"), blockExample(nested)))
	}
	return append(diags, Check(b.Body, nested.Body, blockTitle(b, of))...)
}

func blockTitle(b *hclsyntax.Block, of string) string {
	title := b.Type
	for _, l := range b.Labels {
		title += fmt.Sprintf(" %q", l)
	}
	return "The block " + title + " of " + of
}

func blockExample(b *Block) string {
	text := b.Name
	for _, l := range b.Labels {
		text += fmt.Sprintf(" %q", strings.ToUpper(l))
	}
	return text + " { … }"
}

func unknownBlock(name string, subject hcl.Range, schema *Body, of string) *hcl.Diagnostic {
	if schema.Args[name] != nil {
		return diag.Errorf(&subject, "Unsupported block type", "%q is an argument of %s, not a block. Write it with an equals sign: %s = …", name, of, name)
	}
	known := append(ordered.Keys(schema.Blocks), "dynamic", "lifecycle", "resources", "budget", "contract")
	return diag.Errorf(&subject, "Unsupported block type", "%s cannot contain blocks of type %q.%s%s", of, name,
		diag.Suggest(name, known), listed(" It can contain ", name, ordered.Keys(schema.Blocks)))
}

func checkDynamic(b *hclsyntax.Block, schema *Body, of string) []*hcl.Diagnostic {
	name := b.Labels[0]
	nested, content, complete := CompleteDynamic(b, schema)
	subject := b.DefRange()
	switch {
	case nested == nil:
		return []*hcl.Diagnostic{unknownBlock(name, b.LabelRanges[0], schema, of)}
	case content == nil || b.Body.Attributes["for_each"] == nil:
		return []*hcl.Diagnostic{diag.Errorf(&subject, "Incomplete dynamic block",
			"A dynamic block needs for_each and a content block with the body of each block that it generates.")}
	case !complete:
		return []*hcl.Diagnostic{diag.Errorf(&subject, "Incomplete dynamic block",
			"A %s block has %s, so its dynamic block needs the argument labels: labels = [%s.key]", name, english.Spell(len(nested.Labels), "label"), name)}
	}
	return Check(content.Body, nested.Body, "The block "+name+" of "+of)
}

// CompleteDynamic splits a dynamic block into the schema of the block that it
// generates, nil if no such block exists, and the content of each. ok is false
// if a part is missing.
func CompleteDynamic(b *hclsyntax.Block, schema *Body) (nested *Block, content *hclsyntax.Block, ok bool) {
	nested, content = schema.Blocks[b.Labels[0]], DynamicContent(b)
	ok = nested != nil && content != nil && b.Body.Attributes["for_each"] != nil &&
		(len(nested.Labels) == 0 || b.Body.Attributes["labels"] != nil)
	return nested, content, ok
}

func checkCount(b *hclsyntax.Body, nested *Block, of string) []*hcl.Diagnostic {
	n := 0
	for _, block := range b.Blocks {
		if block.Type == "dynamic" && len(block.Labels) == 1 && block.Labels[0] == nested.Name {
			return nil // expansion finds out how many there will be
		}
		if block.Type == nested.Name {
			n++
		}
	}
	switch {
	case int64(n) < nested.MinItems:
		return []*hcl.Diagnostic{diag.Errorf(b.MissingItemRange().Ptr(), "Missing block",
			"%s needs at least %s: %s", of, english.Spell(nested.MinItems, nested.Name+" block"), blockExample(nested))}
	case nested.MaxItems > 0 && int64(n) > nested.MaxItems:
		return []*hcl.Diagnostic{diag.Errorf(b.MissingItemRange().Ptr(), "Too many blocks",
			"%s can have at most %s, but it has %d.", of, english.Spell(nested.MaxItems, nested.Name+" block"), n)}
	}
	return nil
}
