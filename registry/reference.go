package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// TypeInfo describes a type in one line.
type TypeInfo struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Plugin  string `json:"plugin"`
	Version string `json:"version"` // the plugin's
	Summary string `json:"summary"`
}

// Types lists the types of all plugins, in the order of the plugins.
func (r *Registry) Types(ctx context.Context) ([]TypeInfo, error) {
	var out []TypeInfo
	for _, plugin := range r.Names() {
		schema, err := r.schema(ctx, plugin)
		if err != nil {
			return nil, err
		}
		for _, t := range schema.Types {
			out = append(out, TypeInfo{
				Kind: t.Kind, Name: t.Name, Plugin: plugin, Version: schema.Version, Summary: summary(t.Doc),
			})
		}
	}
	return out, nil
}

// summary is the first sentence of a doc.
func summary(doc string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(doc), "\n")
	if sentence, _, ok := strings.Cut(line, ". "); ok {
		return sentence + "."
	}
	return line
}

// Reference writes the reference of a plugin's types, or of all plugins' where
// plugin is empty, as Markdown.
func (r *Registry) Reference(ctx context.Context, w io.Writer, plugin string) error {
	names := r.Names()
	if plugin != "" {
		names = []string{plugin}
	}
	var b strings.Builder
	for _, name := range names {
		schema, err := r.schema(ctx, name)
		if err != nil {
			return err
		}
		writePlugin(&b, name, schema)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writePlugin(b *strings.Builder, name string, schema *pluginv1.GetSchemaResponse) {
	fmt.Fprintf(b, "# Plugin %s\n\n", name)
	if len(schema.Config.GetArguments())+len(schema.Config.GetBlocks()) > 0 {
		fmt.Fprintf(b, "Its block, `plugin %q { … }`, has these arguments:\n\n", name)
		writeBody(b, schema.Config, "")
		b.WriteString("\n")
	}
	for _, t := range schema.Types {
		fmt.Fprintf(b, "## %s \"%s\"\n\n%s\n\n", t.Kind, t.Name, strings.TrimSpace(t.Doc))
		writeBody(b, t.Body, "")
		b.WriteString("\n")
	}
	for _, f := range schema.Functions {
		writeFunction(b, name, f)
	}
}

func writeBody(b *strings.Builder, body *pluginv1.Body, indent string) {
	for _, a := range body.GetArguments() {
		fmt.Fprintf(b, "%s- `%s` (%s)%s\n", indent, a.Name, strings.Join(traits(a), ", "), spaced(a.Doc))
	}
	for _, block := range body.GetBlocks() {
		labels := ""
		for _, l := range block.Labels {
			labels += fmt.Sprintf(" %q", strings.ToUpper(l))
		}
		fmt.Fprintf(b, "%s- `%s%s { … }` (%s)%s\n", indent, block.Name, labels, times(block), spaced(block.Doc))
		writeBody(b, block.Body, indent+"  ")
	}
}

func spaced(doc string) string {
	if doc == "" {
		return ""
	}
	return ": " + strings.Join(strings.Fields(doc), " ")
}

func times(b *pluginv1.Block) string {
	switch {
	case b.MinItems == 0 && b.MaxItems == 0:
		return "any number"
	case b.MaxItems == 0:
		return fmt.Sprintf("at least %d", b.MinItems)
	case b.MinItems == b.MaxItems:
		return fmt.Sprintf("exactly %d", b.MinItems)
	}
	return fmt.Sprintf("%d to %d", b.MinItems, b.MaxItems)
}

// traits are what can be said of an argument in a few words.
func traits(a *pluginv1.Argument) []string {
	out := []string{holds(a)}
	if a.Required {
		out = append(out, "required")
	}
	if len(a.DefaultValue) > 0 {
		out = append(out, "default `"+string(a.DefaultValue)+"`")
	}
	if len(a.OneOf) > 0 {
		out = append(out, "one of `"+strings.Join(a.OneOf, "`, `")+"`")
	}
	if a.Sensitive {
		out = append(out, "sensitive")
	}
	return out
}

// holds says what an argument takes.
func holds(a *pluginv1.Argument) string {
	var kinds []string
	if a.PerRow {
		kinds = append(kinds, strings.TrimSpace("row expression "+typeText(a.Type)))
	}
	for _, k := range a.Accepts {
		kinds = append(kinds, strings.ToLower(strings.TrimPrefix(k.String(), "ARTIFACT_KIND_")))
	}
	text := cmp.Or(strings.Join(kinds, " or "), typeText(a.Type), "any")
	switch a.Collection {
	case pluginv1.Collection_COLLECTION_LIST:
		return "list of " + text
	case pluginv1.Collection_COLLECTION_MAP:
		return "map of " + text
	}
	return text
}

func typeText(b []byte) string {
	var t cty.Type
	if len(b) == 0 || json.Unmarshal(b, &t) != nil || t == cty.DynamicPseudoType {
		return ""
	}
	return t.FriendlyName()
}
