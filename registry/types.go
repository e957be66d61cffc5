package registry

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Type returns a stage type and the name of the plugin that serves it. If
// plugin is not empty, only that plugin is asked.
func (r *Registry) Type(kind, name, plugin string) (*pluginv1.Type, string, error) {
	if plugin != "" {
		return r.typeOf(plugin, kind, name)
	}
	var failures []error
	for _, candidate := range r.candidates(kind, name) {
		schema, err := r.schema(r.ctx, candidate)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if t := findType(schema, kind, name); t != nil {
			return t, candidate, nil
		}
	}
	if len(failures) > 0 {
		return nil, "", failures[0]
	}
	return nil, "", r.unknownType(kind, name)
}

func (r *Registry) typeOf(plugin, kind, name string) (*pluginv1.Type, string, error) {
	if r.entry(plugin) == nil {
		return nil, "", r.noPlugin(plugin)
	}
	schema, err := r.schema(r.ctx, plugin)
	if err != nil {
		return nil, "", err
	}
	if t := findType(schema, kind, name); t != nil {
		return t, plugin, nil
	}
	return nil, "", fmt.Errorf("plugin %q has no %s type %q.%s", plugin, kind, name,
		diag.Suggest(name, typeNames(schema, kind)))
}

// candidates returns the plugins to ask for a type, the most likely first: the
// bundled program that serves it or the one whose name is its prefix, then
// quern's own, and then all others.
func (r *Registry) candidates(kind, typ string) []string {
	names := r.Names()
	likely := func(name string) int {
		switch e := r.entry(name); {
		case !e.required && r.options.serves(name, kind, typ), strings.HasPrefix(typ, name+"_"):
			return 0
		case !e.required:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(names, func(a, b string) int { return likely(a) - likely(b) })
	return names
}

// serves reports whether a plugin that comes with quern serves a type: a program
// that lists it, or one that quern itself serves and that has its name.
func (o *Options) serves(plugin, kind, typ string) bool {
	types, bundled := o.Bundled[plugin]
	return slices.Contains(types, kind+" "+typ) || !bundled && plugin == typ
}

// Missing returns an error if quern comes with a program for a type and that
// program is not in quern's folder. It does not start any program.
func (r *Registry) Missing(kind, name string) error {
	for _, plugin := range ordered.Keys(r.options.Bundled) {
		if !r.options.serves(plugin, kind, name) || r.entry(plugin) != nil {
			continue
		}
		return fmt.Errorf("%s type %q is served by the program %s, which is missing: it must be in the same folder as quern (%s). "+
			"Run quern from the folder that the whole release archive was unpacked to, install it with \"pip install 'quern-dev[%s]'\", or, in a clone of quern, build all programs with \"make programs\"",
			kind, name, programName(plugin), filepath.Dir(r.options.Program), plugin)
	}
	return nil
}

func (r *Registry) unknownType(of, name string) error {
	if err := r.Missing(of, name); err != nil {
		return err
	}
	names := r.TypeNames(of)
	if owner, _, ok := strings.Cut(name, "_"); ok && r.entry(owner) == nil {
		return fmt.Errorf("unknown %s type %q.%s If it belongs to a plugin %q, add the plugin to required_plugins in the quern block, and run \"quern init\"",
			of, name, diag.Suggest(name, names), owner)
	}
	for _, other := range kind.Those(kind.Kind.IsTypedStage) {
		if other != of && slices.Contains(r.TypeNames(other), name) {
			return fmt.Errorf("unknown %s type %q, but there is a %s type of that name", of, name, other)
		}
	}
	return fmt.Errorf("unknown %s type %q.%s The types are: %s", of, name,
		diag.Suggest(name, names), strings.Join(names, ", "))
}

// TypeNames returns the names of a kind's types, sorted. It leaves out plugins
// whose schema is not available.
func (r *Registry) TypeNames(kind string) []string {
	var out []string
	for _, name := range r.Names() {
		if schema, err := r.schema(r.ctx, name); err == nil {
			out = append(out, typeNames(schema, kind)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func typeNames(schema *pluginv1.GetSchemaResponse, kind string) []string {
	var out []string
	for _, t := range schema.Types {
		if t.Kind == kind {
			out = append(out, t.Name)
		}
	}
	return out
}

func findType(schema *pluginv1.GetSchemaResponse, kind, name string) *pluginv1.Type {
	for _, t := range schema.Types {
		if t.Kind == kind && t.Name == name {
			return t
		}
	}
	return nil
}
