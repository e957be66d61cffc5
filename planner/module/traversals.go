package module

import (
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

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
	return m.checkTraversals(&s.Refs, s, expressionsOf(s.Config), s.Config.Body)
}

func (m *Module) checkTraversals(r *Refs, user *Stage, within []hcl.Expression, bodies ...*hclsyntax.Body) []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	for _, t := range r.traversals {
		a, rest, ok := addr.FromTraversal(t)
		if !ok {
			continue
		}
		s := m.byAddress[a.Stage]
		if s == nil || s.unordered || s.broken || s == user {
			continue
		}
		v, _ := m.value(s, len(rest) > 0 && s.readPlain(t, nil))
		if d := checkSteps(s, t, v); d != nil && (d.Summary != noInstance || !guarded(t, within, bodies...)) {
			diags = append(diags, d)
		}
	}
	return diags
}

// checkSteps follows a traversal into the value of its stage, as far as the
// value's type is known.
func checkSteps(s *Stage, t hcl.Traversal, v cty.Value) *hcl.Diagnostic {
	at := v.Type()
	path := s.Config.Addr.String()
	for i, step := range t[2:] {
		name, text, ok := stepName(step)
		if !ok {
			return nil
		}
		instance := i == 0 && s.keyed != Single
		switch {
		case at.IsObjectType() && at.HasAttribute(name):
			at = at.AttributeType(name)
		case at.IsObjectType():
			return missing(path, name, step, at, instance)
		case instance && at.IsTupleType():
			n, isNumber := stepNumber(step)
			if !isNumber || n < 0 || n >= at.Length() {
				return missingNumber(s, step, at.Length())
			}
			at = at.TupleElementType(n)
		default:
			return nil
		}
		path += text
	}
	return nil
}

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

func missing(path, name string, step hcl.Traverser, of cty.Type, instance bool) *hcl.Diagnostic {
	subject := step.SourceRange()
	names := sortedKeys(of.AttributeTypes())
	if !instance {
		detail := "It has no attributes."
		if len(names) > 0 {
			detail = "It has: " + diag.List(names) + "."
		}
		return diag.Errorf(&subject, "Unsupported attribute", "%s has no %q.%s %s", path, name, diag.Suggest(name, names), detail)
	}
	if _, isAttr := step.(hcl.TraverseAttr); isAttr {
		return diag.Errorf(&subject, "Missing instance key", "%s uses for_each, so it can have several instances. Name one: %s[\"KEY\"].%s", path, path, name)
	}
	detail := "It has no instances."
	if len(names) > 0 {
		quoted := make([]string, len(names))
		for i, n := range names {
			quoted[i] = strconv.Quote(n)
		}
		detail = "Its keys are: " + diag.List(quoted) + "."
	}
	return diag.Errorf(&subject, noInstance, "%s has no instance %q.%s %s", path, name, diag.Suggest(name, names), detail)
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
