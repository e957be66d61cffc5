package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Functions returns the functions that a plugin offers.
func (r *Registry) Functions(plugin string) ([]*pluginv1.Function, error) {
	schema, err := r.schema(r.ctx, plugin)
	if err != nil {
		return nil, err
	}
	return schema.Functions, nil
}

// Build returns the digest of the program of a plugin that is under development, and
// otherwise "".
func (r *Registry) Build(plugin string) string {
	if !r.Development(plugin) {
		return ""
	}
	digest, err := r.digestOf(r.entry(plugin))
	if err != nil {
		return "unknown" // reported when the plugin is started
	}
	return digest
}

// Namespaces returns the namespaces of the plugins' functions in compiled expressions,
// by local name. They depend on where a plugin comes from, so that an expression stays
// the same if the plugin gets another local name: github.com/acme/quern-plugin-ocr has
// the namespace ocr. If two sources end in the same name, each is distinguished by a
// hash.
func (r *Registry) Namespaces() map[string]string {
	sources := map[string]map[string]bool{} // by namespace
	out := map[string]string{}
	for _, name := range r.Names() {
		namespace := r.namespace(name)
		if sources[namespace] == nil {
			sources[namespace] = map[string]bool{}
		}
		sources[namespace][r.origin(name)] = true
		out[name] = namespace
	}
	for name, namespace := range out {
		if len(sources[namespace]) > 1 {
			sum := sha256.Sum256([]byte(r.origin(name)))
			out[name] = namespace + "_" + hex.EncodeToString(sum[:4])
		}
	}
	return out
}

// origin identifies where a plugin comes from.
func (r *Registry) origin(plugin string) string {
	if e := r.entry(plugin); e.required {
		return e.source
	}
	return Builtin + " " + plugin
}

func (r *Registry) namespace(plugin string) string {
	e := r.entry(plugin)
	if !e.required {
		return plugin
	}
	base := programOf(Requirement{Name: plugin, Source: strings.TrimRight(e.source, "/")})
	name := strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			return c
		}
		return '_'
	}, base)
	if !hclsyntax.ValidIdentifier(name) {
		return "p_" + name
	}
	return name
}

// writeFunction writes the reference of a function.
func writeFunction(b *strings.Builder, plugin string, f *pluginv1.Function) {
	var names []string
	for _, p := range f.Parameters {
		names = append(names, p.Name)
	}
	all := f.Parameters
	if f.Variadic != nil {
		names, all = append(names, f.Variadic.Name+"..."), append(all[:len(all):len(all)], f.Variadic)
	}
	fmt.Fprintf(b, "## %s::%s(%s)\n\n%s\n\n", plugin, f.Name, strings.Join(names, ", "), strings.TrimSpace(f.Summary+"\n\n"+f.Doc))
	if f.Deprecated != "" {
		fmt.Fprintf(b, "**Deprecated:** %s\n\n", f.Deprecated)
	}
	for _, p := range all {
		null := ""
		if p.Nullable {
			null = " or null"
		}
		fmt.Fprintf(b, "- `%s` (%s%s)%s\n", p.Name, p.Type, null, spaced(p.Doc))
	}
	fmt.Fprintf(b, "\nThe result is %s.\n\n", f.Result)
}
