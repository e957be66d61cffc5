package module

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// noInstance is the summary of an error that an expression can guard against.
const noInstance = "No such instance"

// CheckTraversals reports references, in these expressions, to instances,
// outputs, and values that a stage does not have.
func (m *Module) CheckTraversals(r *Refs, within ...hcl.Expression) []*hcl.Diagnostic {
	return m.checkTraversals(r, nil, within)
}

// checkStage is CheckTraversals for a whole stage.
func (m *Module) checkStage(s *Stage) []*hcl.Diagnostic {
	return m.checkTraversals(s.Refs, s, expressionsOf(s.Config), s.Config.Body)
}

func (m *Module) checkTraversals(r *Refs, user *Stage, within []hcl.Expression, bodies ...*hclsyntax.Body) []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	c := &chains{module: m, refs: r, user: user}
	for _, t := range r.traversals {
		s, rest := m.leadsTo(t, user)
		if s == nil {
			continue
		}
		c.roots = append(c.roots, t.SourceRange())
		v, _ := m.value(s, len(rest) > 0 && s.readPlain(t, nil))
		_, d := wholePlace(s, v.Type()).follow(t[2:])
		if d != nil && (d.Summary != noInstance || !guarded(t, within, bodies...)) {
			diags = append(diags, d)
		}
	}
	diags = append(diags, m.checkOutputs(r, within, bodies)...)
	return append(diags, c.check(within, bodies)...)
}

// leadsTo returns the stage that a traversal in an expression of user begins
// with, and the steps after the stage or instance. It returns nil if the stage
// cannot be seen: it does not exist, has errors, or is user itself.
func (m *Module) leadsTo(t hcl.Traversal, user *Stage) (*Stage, hcl.Traversal) {
	a, rest, ok := addr.FromTraversal(t)
	if !ok {
		return nil, nil
	}
	s := m.Stage(a.Stage)
	if s == nil || s.unordered || s.broken || s.deferred != nil || s == user {
		return nil, nil
	}
	return s, rest
}

// place is where a reference leads to within the value of a stage.
type place struct {
	path string
	// types are those that the value can have: several after a computed index,
	// and none if that is not known.
	types []cty.Type
	// group is set if the value is all instances of a stage.
	group *Stage
}

// wholePlace is the place of a stage's whole value.
func wholePlace(s *Stage, t cty.Type) place {
	p := place{path: s.Config.Addr.String(), types: []cty.Type{t}}
	if s.keyed != Single {
		p.group = s
	}
	return p
}

// follow takes steps from a place, as far as types are known.
func (p place) follow(steps hcl.Traversal) (place, *hcl.Diagnostic) {
	for _, step := range steps {
		next, d := p.step(step)
		if d != nil || len(next.types) == 0 {
			return place{}, d
		}
		p = next
	}
	return p, nil
}

func (p place) step(step hcl.Traverser) (place, *hcl.Diagnostic) {
	name, text, ok := stepName(step)
	if !ok || !slices.ContainsFunc(p.types, isStructure) {
		return place{}, nil
	}
	to := place{path: p.path + text}
	for _, t := range p.types {
		n, isNumber := stepNumber(step)
		switch {
		case t.IsObjectType() && t.HasAttribute(name):
			to.types = append(to.types, t.AttributeType(name))
		case t.IsTupleType() && isNumber && n >= 0 && n < t.Length():
			to.types = append(to.types, t.TupleElementType(n))
		case !t.IsObjectType() && p.group == nil:
			return place{}, nil
		}
	}
	switch {
	case len(to.types) > 0:
		return to, nil
	case p.group != nil && p.types[0].IsTupleType():
		return place{}, missingNumber(p.group, step, p.types[0].Length())
	}
	return place{}, p.missing(name, step)
}

// elements returns the place of any element.
func (p place) elements(text string) place {
	to := place{path: p.path + text}
	for _, t := range p.types {
		switch {
		case t.IsObjectType():
			to.types = slices.AppendSeq(to.types, maps.Values(t.AttributeTypes()))
		case t.IsTupleType():
			to.types = append(to.types, t.TupleElementTypes()...)
		default:
			return place{}
		}
	}
	return to
}

func isStructure(t cty.Type) bool { return t.IsObjectType() || t.IsTupleType() }

func stepName(step hcl.Traverser) (name, text string, ok bool) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name, "." + step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), `["` + step.Key.AsString() + `"]`, true
		}
		if step.Key.Type() == cty.Number {
			return "", "[" + step.Key.AsBigFloat().Text('f', 0) + "]", true
		}
	}
	return "", "", false
}

func stepNumber(step hcl.Traverser) (int, bool) {
	index, ok := step.(hcl.TraverseIndex)
	if !ok || index.Key.Type() != cty.Number {
		return 0, false
	}
	n, _ := index.Key.AsBigFloat().Int64()
	return int(n), true
}

// missing is the error about a step to an attribute or instance that does not
// exist.
func (p place) missing(name string, step hcl.Traverser) *hcl.Diagnostic {
	subject := step.SourceRange()
	names := p.attributes()
	if p.group == nil {
		detail := "It has no attributes."
		if len(names) > 0 {
			detail = "It has: " + diag.List(names) + "."
		}
		return diag.Errorf(&subject, "Unsupported attribute", "%s has no %q.%s %s", p.path, name, diag.Suggest(name, names), detail)
	}
	if _, isAttr := step.(hcl.TraverseAttr); isAttr {
		return diag.Errorf(&subject, "Missing instance key", "%s uses for_each, so it can have several instances. Name one: %s[\"KEY\"].%s", p.path, p.path, name)
	}
	detail := "It has no instances."
	if len(names) > 0 {
		quoted := make([]string, len(names))
		for i, n := range names {
			quoted[i] = strconv.Quote(n)
		}
		detail = "Its keys are: " + diag.List(quoted) + "."
	}
	return diag.Errorf(&subject, noInstance, "%s has no instance %q.%s %s", p.path, name, diag.Suggest(name, names), detail)
}

// attributes returns the names of the attributes that values of any of the types
// have, sorted.
func (p place) attributes() []string {
	all := map[string]bool{}
	for _, t := range p.types {
		if t.IsObjectType() {
			for name := range t.AttributeTypes() {
				all[name] = true
			}
		}
	}
	return ordered.Keys(all)
}

func missingNumber(s *Stage, step hcl.Traverser, n int) *hcl.Diagnostic {
	subject := step.SourceRange()
	path := s.Config.Addr.String()
	if a, isAttr := step.(hcl.TraverseAttr); isAttr {
		return diag.Errorf(&subject, "Missing instance key", "%s uses count, so it can have several instances. Name one: %s[0].%s", path, path, a.Name)
	}
	if n == 0 {
		return diag.Errorf(&subject, noInstance, "%s has count = 0, so it has no instances.", path)
	}
	if n == 1 {
		return diag.Errorf(&subject, noInstance, "%s has one instance: 0.", path)
	}
	return diag.Errorf(&subject, noInstance, "%s has %d instances: 0 to %d.", path, n, n-1)
}
