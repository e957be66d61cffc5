package expr

import (
	"maps"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
)

// LateTypes are the types in Late.
func (c *Compiled) LateTypes() map[string]cty.Type {
	if c.Late == nil {
		return nil
	}
	types := make(map[string]cty.Type, len(c.Late))
	for name, t := range c.Late {
		types[name] = t.Type
	}
	return types
}

func (s *Scope) isLate(name string) bool {
	_, ok := s.Late[name]
	return ok
}

// isPerRow reports whether the expression is evaluated for each row of something.
func (s *Scope) isPerRow() bool { return s.Row != nil || s.Late != nil }

// checkLate follows a reference into a late name as far as its type is known.
func checkLate(t hcl.Traversal, of cty.Type) hcl.Diagnostics {
	path := t.RootName()
	for _, step := range t[1:] {
		name, ok := AttributeName(step)
		if !ok || !of.IsObjectType() {
			return nil
		}
		if !of.HasAttribute(name) {
			names := ordered.Keys(of.AttributeTypes())
			return hcl.Diagnostics{diag.Errorf(step.SourceRange().Ptr(), "Unsupported attribute", "%s has no attribute %q.%s Its attributes are: %s.",
				path, name, diag.Suggest(name, names), strings.Join(names, ", "))}
		}
		path, of = path+"."+name, of.AttributeType(name)
	}
	return nil
}

// unknownLate returns an unknown late value that is not null.
func unknownLate(t cty.Type) cty.Value {
	if !t.IsObjectType() {
		return cty.UnknownVal(t)
	}
	attrs := map[string]cty.Value{}
	for name, a := range t.AttributeTypes() {
		attrs[name] = cty.UnknownVal(a)
	}
	return cty.ObjectVal(attrs)
}

// lateTypes returns the late names that an expression reads. If only attributes
// of an object are read, its type is reduced to those.
func lateTypes(e hclsyntax.Expression, s *Scope) map[string]value.Type {
	if len(s.Late) == 0 {
		return nil
	}
	var out map[string]value.Type
	for _, t := range config.Variables(e) {
		root := t.RootName()
		if !s.isLate(root) {
			continue
		}
		if out == nil {
			out = map[string]value.Type{}
		}
		full := s.Late[root]
		read, ok := columnOf(t)
		if !ok || !full.IsObjectType() {
			out[root] = value.Type{Type: full}
			continue
		}
		attrs := map[string]cty.Type{}
		if before, ok := out[root]; ok {
			attrs = maps.Clone(before.AttributeTypes())
		}
		attrs[read] = full.AttributeType(read)
		out[root] = value.Type{Type: cty.Object(attrs)}
	}
	return out
}
