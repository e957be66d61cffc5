package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
)

// Find returns the folder of the module that a call in parent names with its
// source, relative to the working directory or absolute.
type Find func(parent *Module, call *Call) (dir string, diags hcl.Diagnostics)

// FindLocal finds modules in local folders, whose sources begin with ./ or ../. It
// reports other sources as errors.
func FindLocal(parent *Module, call *Call) (string, hcl.Diagnostics) {
	if call.IsLocal() {
		return filepath.Join(parent.Dir, filepath.FromSlash(call.Source)), nil
	}
	d := diag.Errorf(&call.SourceRange, "Unknown source of a module", "The source %q is not a folder. The path of a folder begins with ./ or ../.", call.Source)
	return "", hcl.Diagnostics{d}
}

// IsLocal reports whether the call's module is in a folder relative to that of the
// caller.
func (c *Call) IsLocal() bool {
	s := filepath.ToSlash(c.Source)
	return s == "." || s == ".." || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../")
}

// LoadTree reads the configuration files of a folder and of all modules that it
// calls, directly or indirectly. find locates modules; nil is FindLocal. The
// module is never nil. It contains everything that could be read, whatever the
// diagnostics say. Its Sources contain the files of all modules.
func LoadTree(dir string, find Find) (*Module, hcl.Diagnostics) {
	if find == nil {
		find = FindLocal
	}
	t := &tree{root: dir, find: find, sources: map[string][]byte{}, loaded: map[string]*Module{}, conflicts: map[hcl.Range]bool{}}
	m := t.load(dir, nil)
	t.mergePlugins(m, m, map[string]string{}, map[*Module]bool{})
	diag.Sort(t.diags)
	return m, t.diags
}

// tree loads modules that call each other.
type tree struct {
	root    string
	find    Find
	sources map[string][]byte
	loaded  map[string]*Module // by folder
	diags   hcl.Diagnostics
	// conflicts are the places of required plugins that are reported.
	conflicts map[hcl.Range]bool
}

func (t *tree) add(d ...*hcl.Diagnostic) { t.diags = append(t.diags, d...) }

// frame is a call whose module is being loaded, and the calls around it.
type frame struct {
	call  *Call
	dir   string
	outer *frame
}

// load reads the module in a folder and the modules that it calls. from is nil
// for the root module.
func (t *tree) load(dir string, from *frame) *Module {
	l := newLoader(dir)
	l.m.Sources, l.prefix, l.child = t.sources, t.prefix(dir), from != nil
	t.loaded[identity(dir)] = l.m
	l.readFolder()
	for _, name := range ordered.Keys(l.m.Calls) {
		call := l.m.Calls[name]
		if call.Source != "" {
			call.Module = t.called(l.m, call, from)
		}
		if call.Module != nil {
			l.inputs(call)
		}
	}
	_, diags := l.finish()
	t.add(diags...)
	return l.m
}

// called returns the module of a call, or nil if it cannot be read.
func (t *tree) called(parent *Module, call *Call, from *frame) *Module {
	dir, diags := t.find(parent, call)
	t.add(diags...)
	if diags.HasErrors() {
		return nil
	}
	id := identity(dir)
	here := &frame{call: call, dir: id, outer: from}
	if t.isOpen(id, from) {
		t.add(t.cycle(here))
		return nil
	}
	if m := t.loaded[id]; m != nil {
		return m
	}
	if _, diags := FileNames(dir); diags.HasErrors() {
		t.add(diag.Errorf(&call.SourceRange, "Cannot read module", "%s", t.notAModule(dir, diags[0])))
		return nil
	}
	return t.load(dir, here)
}

// notAModule says why a folder cannot be a module.
func (t *tree) notAModule(dir string, why *hcl.Diagnostic) string {
	name := strings.TrimSuffix(t.prefix(dir), "/")
	if why.Summary == noFiles {
		return "The folder " + name + " contains no files whose names end in " + Suffix + " or " + JSONSuffix + "."
	}
	_, err := os.ReadDir(dir)
	return "The folder " + name + " cannot be read: " + cause(err) + "."
}

// isOpen reports whether a folder is that of the root or of a call around.
func (t *tree) isOpen(id string, from *frame) bool {
	for f := from; f != nil; f = f.outer {
		if f.dir == id {
			return true
		}
	}
	return id == identity(t.root)
}

// cycle is the error about a module that calls itself.
func (t *tree) cycle(last *frame) *hcl.Diagnostic {
	var chain []string
	for f := last; f != nil; f = f.outer {
		chain = append(chain, "  module."+f.call.Name+" at "+place(f.call.DeclRange))
		if f != last && f.dir == last.dir {
			chain = chain[:len(chain)-1]
			break
		}
	}
	slices.Reverse(chain)
	return diag.Errorf(&last.call.SourceRange, "Cycle of modules", "A module cannot call itself, not even through other modules. Remove one of these blocks:\n%s", strings.Join(chain, "\n"))
}

// identity is the same for all paths of a folder.
func identity(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// prefix is what the names of a folder's files begin with in diagnostics: the
// folder relative to that of the root module.
func (t *tree) prefix(dir string) string {
	rel, err := filepath.Rel(identity(t.root), identity(dir))
	if err != nil {
		rel = dir
	}
	if rel == "." {
		return ""
	}
	return filepath.ToSlash(rel) + "/"
}

// inputs checks the names of a call's inputs against the module's variables.
func (l *loader) inputs(c *Call) {
	m := c.Module
	names := ordered.Keys(m.Variables)
	for _, name := range ordered.Keys(c.Inputs) {
		if m.Variables[name] != nil || m.Incomplete {
			continue
		}
		detail := " It has no variables."
		if len(names) > 0 {
			detail = suggestOrList(name, names, "Its variables are")
		}
		l.add(diag.Errorf(c.Inputs[name].NameRange.Ptr(), "Unsupported argument", "The module %s has no variable %q.%s", c.Source, name, detail))
	}
	var missing []string
	for _, name := range names {
		if m.Variables[name].Required() && c.Inputs[name] == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		d := diag.Errorf(&c.DeclRange, "Missing required argument", "The module %s requires the %s %s, which module.%s does not set.", c.Source, english.Plural(len(missing), "variable"), english.And(missing), c.Name)
		l.missing(d)
	}
}

// mergePlugins adds the plugins that a module and the modules it calls require to
// those of the root module. names are the root's local names by the module's, for
// those that differ.
func (t *tree) mergePlugins(root, m *Module, names map[string]string, open map[*Module]bool) {
	if open[m] {
		return
	}
	open[m] = true
	defer delete(open, m)
	for _, name := range ordered.Keys(m.Calls) {
		c := m.Calls[name]
		if c.Module == nil {
			continue
		}
		inner := c.PluginNames(names)
		for _, local := range ordered.Keys(c.Module.Settings.RequiredPlugins) {
			t.mergePlugin(root, named(local, inner), c.Module.Settings.RequiredPlugins[local])
		}
		t.mergePlugins(root, c.Module, inner, open)
	}
}

// PluginNames returns the root's local names of plugins by those of the called
// module, for those that differ. names are the same for the caller.
func (c *Call) PluginNames(names map[string]string) map[string]string {
	inner := maps.Clone(names)
	if inner == nil {
		inner = make(map[string]string, len(c.Plugins))
	}
	for theirs, ours := range c.Plugins {
		inner[theirs] = named(ours, names)
	}
	return inner
}

func named(local string, names map[string]string) string {
	if name, ok := names[local]; ok {
		return name
	}
	return local
}

// mergePlugin adds the requirement of a module to those of the root module.
func (t *tree) mergePlugin(root *Module, name string, p RequiredPlugin) {
	all := root.Settings.RequiredPlugins
	was, ok := all[name]
	if !ok {
		p.Name = name
		all[name] = p
		return
	}
	if p.Source != "" && was.Source != "" && p.Source != was.Source {
		if t.conflicts[p.Range] {
			return
		}
		t.conflicts[p.Range] = true
		t.add(diag.Errorf(p.Range.Ptr(), "Conflicting plugins", "Here %s is %s, but at %s it is %s. Give one of them another name in required_plugins, and map it in the module block: plugins = { %s = OTHER }.", name, p.Source, place(was.Range), was.Source, p.Name))
		return
	}
	if was.Command != nil {
		return // a plugin under development has no version
	}
	if was.Source == "" {
		was.Source = p.Source
	}
	was.Version = bothConstraints(was.Version, p.Version)
	all[name] = was
}

// bothConstraints returns the constraint that satisfies two constraints.
func bothConstraints(a, b string) string {
	switch {
	case a == "" || a == b:
		return b
	case b == "" || slices.Contains(strings.Split(a, ", "), b):
		return a
	}
	return a + ", " + b
}
