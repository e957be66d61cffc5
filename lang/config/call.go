package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
)

// callKind is the type of the blocks that call modules, and what references to
// them begin with.
const callKind = "module"

// Call is a module block: it calls the module in another folder with inputs.
type Call struct {
	Name string
	// Source says where the module is, and Version, which may be empty, which
	// versions of it are acceptable.
	Source, Version string
	// At most one of Count and ForEach is set.
	Count, ForEach hcl.Expression
	DependsOn      []hcl.Traversal
	// Plugins are the caller's local names of plugins by the module's. Other
	// plugins have the same name in both.
	Plugins map[string]string
	// Inputs are the values of the module's variables, by name.
	Inputs map[string]*hcl.Attribute
	// Module is the module in the folder, or nil if it could not be read. Calls
	// of one folder share it.
	Module *Module

	// DeclRange is the block's header, and Range the whole block.
	NameRange, SourceRange, VersionRange, DeclRange, Range hcl.Range
}

// callArguments are the arguments of a module block that are not inputs. A module
// that is called cannot have variables with these names.
var callArguments = []string{"source", "version", "count", "for_each", "depends_on", "plugins"}

// isInput reports whether an argument of a module block is an input.
func isInput(name string) bool { return !slices.Contains(callArguments, name) }

func (l *loader) call(b *hclsyntax.Block) {
	c := &Call{
		Name: b.Labels[0], Inputs: map[string]*hcl.Attribute{},
		NameRange: b.LabelRanges[0], DeclRange: b.DefRange(), Range: hcl.RangeBetween(b.DefRange(), b.CloseBraceRange),
	}
	for _, block := range b.Body.Blocks {
		l.add(diag.Errorf(block.TypeRange.Ptr(), "Unsupported block type", "A module block cannot contain blocks, only arguments. Write %s = { … } with an equals sign.", block.Type))
	}
	attrs := b.Body.Attributes
	for _, name := range sortedAttributes(attrs) {
		if isInput(name) {
			c.Inputs[name] = attrs[name].AsHCLAttribute()
		}
	}
	l.callSource(c, b.Body)
	c.Count, c.ForEach = l.repetition(attrs)
	if a := attrs["depends_on"]; a != nil {
		c.DependsOn = l.dependsOn(a)
	}
	if a := attrs["plugins"]; a != nil {
		c.Plugins = l.callPlugins(a)
	}
	if other := l.m.Calls[c.Name]; other != nil {
		l.duplicate(c.NameRange, c.DeclRange, callKind, c.Name, other.DeclRange)
		return
	}
	l.m.Calls[c.Name] = c
}

// callSource reads where a module comes from.
func (l *loader) callSource(c *Call, body *hclsyntax.Body) {
	source, version := body.Attributes["source"], body.Attributes["version"]
	if source == nil {
		r := body.MissingItemRange()
		l.missing(diag.Errorf(&r, "Missing required argument", `A module block needs a source: the folder of the module, such as "./modules/%s", or an address that it is downloaded from.`, c.Name))
	} else {
		before := len(l.diags)
		c.Source, c.SourceRange = l.constString(source), source.Expr.Range()
		if c.Source == "" && len(l.diags) == before {
			l.add(diag.Errorf(&c.SourceRange, "Invalid source of a module", "The source is empty. Write the folder of the module, such as \"./modules/%s\", or an address that it is downloaded from.", c.Name))
		}
	}
	if version != nil {
		if v := l.constString(version); l.constraint(v, version.Expr.Range()) {
			c.Version, c.VersionRange = v, version.Expr.Range()
		}
	}
}

// callPlugins reads { acme = acme_eu }.
func (l *loader) callPlugins(a *hclsyntax.Attribute) map[string]string {
	pairs, diags := hcl.ExprMap(a.Expr)
	if diags.HasErrors() {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid plugins", "plugins must map the module's names of plugins to the names of plugins here: plugins = { acme = acme_eu }."))
		return nil
	}
	names := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		theirs, ours := keywordOrString(pair.Key), keywordOrString(pair.Value)
		if theirs == "" || ours == "" {
			l.add(diag.Errorf(hcl.RangeBetween(pair.Key.Range(), pair.Value.Range()).Ptr(), "Invalid plugins", "Each of plugins must be NAME = NAME: the module's name of the plugin, and the name of a plugin here. It cannot be computed."))
			continue
		}
		names[theirs] = ours
	}
	return names
}

// keywordOrString returns the name that an expression is, with or without quotes,
// or "".
func keywordOrString(e hcl.Expression) string {
	if name := hcl.ExprAsKeyword(e); name != "" {
		return name
	}
	if v, diags := eval.Value(e, nil); !diags.HasErrors() && isName(v) {
		return v.AsString()
	}
	return ""
}

// References returns all traversals in the call's expressions that begin outside of
// them, in the order of the fields of Call, with inputs in the order of their
// names.
func (c *Call) References() []hcl.Traversal {
	refs := c.InstanceReferences()
	for _, name := range ordered.Keys(c.Inputs) {
		refs = append(refs, Variables(c.Inputs[name].Expr)...)
	}
	return refs
}

// InstanceReferences returns what the number of the call's instances and their
// start depend on: the traversals in count, for_each, and depends_on.
func (c *Call) InstanceReferences() []hcl.Traversal {
	var refs []hcl.Traversal
	for _, e := range []hcl.Expression{c.Count, c.ForEach} {
		if e != nil {
			refs = append(refs, Variables(e)...)
		}
	}
	return append(refs, c.DependsOn...)
}
