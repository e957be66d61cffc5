package config

import (
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/zclconf/go-cty/cty"
)

var (
	settingsSchema = schema{
		what:     "a quern block",
		optional: []string{"required_version"},
		blocks: []blockSchema{
			{name: "required_plugins"},
			{name: "store", labels: []string{"TYPE"}},
			{name: "engine", labels: []string{"TYPE"}},
			{name: "budget"},
			{name: "environment", labels: []string{"NAME"}},
		},
	}
)

// settings reads a quern block. There may be several, in several files, but
// each setting is given once.
func (l *loader) settings(b *hclsyntax.Block) {
	attrs, blocks := l.content(b.Body, settingsSchema)
	if a := attrs["required_version"]; a != nil {
		l.requiredVersion(a)
	}
	s := &l.m.Settings
	for _, b := range blocks {
		if l.child && b.Type != "required_plugins" {
			l.rootOnly(b, "The "+b.Type+" of a run")
			continue
		}
		switch b.Type {
		case "required_plugins":
			l.requiredPlugins(b)
		case "store":
			l.store(b)
		case "engine":
			if l.typed(s.Engine, b) {
				l.content(b.Body, schema{what: "a local engine"})
				s.Engine = &Block{Type: b.Labels[0], Range: b.DefRange()}
			}
		case "budget":
			if s.Budget != nil {
				l.again(b.DefRange(), "budget", s.Budget.Range)
				continue
			}
			s.Budget = l.budget(b, budgetSchema)
		case "environment":
			l.environment(b)
		}
	}
}

// rootOnly reports a block that only the root module can have.
func (l *loader) rootOnly(b *hclsyntax.Block, what string) {
	l.add(diag.Errorf(b.DefRange().Ptr(), "Only the root module can have this block", "%s is configured in the module that quern is started in, not in a module that another one calls. Move this block there.", what))
}

func (l *loader) requiredVersion(a *hclsyntax.Attribute) {
	s := &l.m.Settings
	if s.RequiredVersion != "" {
		l.again(a.NameRange, "required_version", s.RequiredVersionRange)
		return
	}
	if c := l.constString(a); l.constraint(c, a.Expr.Range()) {
		s.RequiredVersion, s.RequiredVersionRange = c, a.Expr.Range()
	}
}

func (l *loader) again(at hcl.Range, what string, other hcl.Range) {
	l.add(diag.Errorf(&at, "Duplicate "+what, "The %s is already set at %s. Remove one of them.", what, place(other)))
}

// localType is the only type of stores and engines: a folder, and this machine.
const localType = "local"

var storeSchema = schema{what: "a local store", optional: []string{"path"}}

// store takes a store block.
func (l *loader) store(b *hclsyntax.Block) {
	s := &l.m.Settings
	var was *Block
	if s.Store != nil {
		was = &s.Store.Block
	}
	if !l.typed(was, b) {
		return
	}
	s.Store = &Store{Block: Block{Type: b.Labels[0], Range: b.DefRange()}}
	attrs, _ := l.content(b.Body, storeSchema)
	a := attrs["path"]
	if a == nil {
		return
	}
	v, ok := l.constant(a, cty.String, "a string")
	if !ok {
		return
	}
	path := v.AsString()
	switch first, _, _ := strings.Cut(path, "/"); {
	case path == "":
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid path of a store", "The path is empty. Name a folder, or remove the argument to use .quern."))
	case strings.HasPrefix(first, "~"):
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid path of a store", "quern does not replace ~ with a home folder. Write an absolute path. If the name of the folder really begins with ~, write %q.", "./"+path))
	default:
		s.Store.Path, s.Store.PathRange = filepath.FromSlash(path), a.Expr.Range()
	}
}

// typed says whether a store or engine block has a known type and is the only one.
func (l *loader) typed(was *Block, b *hclsyntax.Block) bool {
	if was != nil {
		l.again(b.DefRange(), b.Type, was.Range)
		return false
	}
	if b.Labels[0] != localType {
		l.add(diag.Errorf(b.LabelRanges[0].Ptr(), "Unknown type of "+b.Type, "No %s type is named %q. The only type is %q, which is the default.", b.Type, b.Labels[0], localType))
		return false
	}
	return true
}

func (l *loader) requiredPlugins(b *hclsyntax.Block) {
	for _, block := range b.Body.Blocks {
		l.add(diag.Errorf(block.TypeRange.Ptr(), "Unsupported block type", `A required plugin is an argument, not a block. Write %s = { source = "…", version = "…" } with an equals sign.`, block.Type))
	}
	for _, name := range sortedAttributes(b.Body.Attributes) {
		a := b.Body.Attributes[name]
		if other, ok := l.m.Settings.RequiredPlugins[name]; ok {
			l.duplicate(a.NameRange, a.SrcRange, "required plugin", name, other.Range)
			continue
		}
		if p, ok := l.requiredPlugin(a); ok {
			l.m.Settings.RequiredPlugins[name] = p
		}
	}
}

// requiredPlugin reads `"~> 1.0"`, `{ source = "…", version = "…" }`, or
// `{ command = ["…"] }`.
func (l *loader) requiredPlugin(a *hclsyntax.Attribute) (RequiredPlugin, bool) {
	p := RequiredPlugin{Name: a.Name, Range: a.SrcRange}
	object, ok := a.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		p.Version = l.constString(a)
		return p, p.Version != "" && l.constraint(p.Version, a.Expr.Range())
	}
	good := true
	for _, item := range object.Items {
		good = l.pluginItem(&p, item) && good
	}
	if good && p.Command != nil && (p.Source != "" || p.Version != "") {
		l.add(diag.Errorf(object.SrcRange.Ptr(), "Conflicting arguments", "A plugin that is started by a command is under development: it has no source and no version that quern could pin. Remove command, or the other arguments."))
		return p, false
	}
	return p, good
}

func (l *loader) pluginItem(p *RequiredPlugin, item hclsyntax.ObjectConsItem) bool {
	key, _ := eval.Value(item.KeyExpr, nil)
	name := ""
	if key.IsKnown() && !key.IsNull() && key.Type() == cty.String {
		name = key.AsString()
	}
	value := &hclsyntax.Attribute{Name: name, Expr: item.ValueExpr}
	switch name {
	case "source", "version":
		v, ok := l.constant(value, cty.String, "a string")
		if !ok {
			return false
		}
		if name == "source" {
			p.Source = v.AsString()
			return true
		}
		p.Version = v.AsString()
		return l.constraint(p.Version, item.ValueExpr.Range())
	case "command":
		p.Command = l.command(value)
		return p.Command != nil
	}
	l.add(diag.Errorf(item.KeyExpr.Range().Ptr(), "Unsupported argument", "A required plugin has no argument %q.%s", name, suggestOrList(name, []string{"source", "version", "command"}, "Its arguments are")))
	return false
}

// command reads a program and its arguments, or returns nil if they are
// malformed.
func (l *loader) command(a *hclsyntax.Attribute) []string {
	v, ok := l.constant(a, cty.List(cty.String), `a list of strings, such as ["uv", "run", "plugin.py"]`)
	if !ok {
		return nil
	}
	var argv []string
	for _, arg := range v.AsValueSlice() {
		if arg.IsNull() {
			break
		}
		argv = append(argv, arg.AsString())
	}
	if len(argv) < v.LengthInt() || len(argv) == 0 || argv[0] == "" {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Malformed command", `A command is a program and its arguments, such as ["uv", "run", "plugin.py"].`))
		return nil
	}
	return argv
}

// constraint checks a version constraint; an empty one has been reported.
func (l *loader) constraint(c string, at hcl.Range) bool {
	if c == "" {
		return false
	}
	if _, err := version.NewConstraint(c); err != nil {
		l.add(diag.Errorf(&at, "Invalid version constraint", `%q is not a valid version constraint. Valid examples are "1.2.3", "~> 1.2", and ">= 1.2, < 2.0".`, c))
		return false
	}
	return true
}

// CheckVersion reports an error if the running version of quern does not satisfy the module's
// constraint. It ignores pre-release parts of the version, and versions that are not
// version numbers ("dev").
func (m *Module) CheckVersion(running string) hcl.Diagnostics {
	want := m.Settings.RequiredVersion
	v, err := version.NewVersion(running)
	if want == "" || err != nil {
		return nil
	}
	constraint, err := version.NewConstraint(want)
	if err != nil || constraint.Check(v.Core()) {
		return nil
	}
	return hcl.Diagnostics{diag.Errorf(m.Settings.RequiredVersionRange.Ptr(), "Unsupported quern version", "This is quern %s, but the pipeline requires %s. Install a matching version, or change required_version.", running, want)}
}
