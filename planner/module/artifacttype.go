package module

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
)

// CheckType reports that a value is not of an artifact type. It checks what is known:
// null is of every type. what names the variable or output, and handles is the value
// with its artifacts.
func CheckType(t *config.ArtifactType, handles cty.Value, at hcl.Range, what string) *hcl.Diagnostic {
	if handles == cty.NilVal || !handles.IsKnown() || handles.IsNull() {
		return nil
	}
	h, ok := HandleOf(handles)
	switch {
	case !ok:
		return diag.Errorf(&at, "Wrong type of value", "%s must be a %s, but this is not an artifact.", what, t.Kind)
	case h.Port == nil:
		return diag.Errorf(&at, "Wrong type of value", "%s must be a %s, but %s is not itself an artifact.%s", what, t.Kind, h, outputsOf(h, t.Kind))
	case h.Port.Kind != t.Kind:
		return diag.Errorf(&at, "Wrong kind of artifact", "%s must be a %s, but %s is a %s.%s", what, t.Kind, h, h.Port.Kind, outputsOf(h, t.Kind))
	case t.Capability != "" && !slices.Contains(h.Port.Capabilities, t.Capability):
		return diag.Errorf(&at, "Model lacks a capability", "%s must be a model that can %s, but %s can only %s.", what, t.Capability, h, strings.Join(h.Port.Capabilities, ", "))
	}
	if misfits := columnMisfits(t, h.Port); len(misfits) > 0 {
		return diag.Errorf(&at, "Wrong columns", "%s must be %s, which %s is not:\n  - %s", what, t, h, strings.Join(misfits, "\n  - "))
	}
	return nil
}

// outputsOf names the outputs of an instance that are of a kind.
func outputsOf(h *Handle, kind string) string {
	var fit []string
	for i := range h.From.Outputs {
		if p := &h.From.Outputs[i]; p != h.Port && p.Kind == kind {
			fit = append(fit, (&Handle{From: h.From, Port: p}).String())
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return " It has: " + diag.List(fit) + "."
}

// columnMisfits says which columns of a type a dataset lacks, and which have other
// types.
func columnMisfits(t *config.ArtifactType, p *plan.Port) []string {
	var misfits []string
	for _, want := range t.Columns {
		c, _, ok := p.Columns.Lookup(want.Name)
		switch {
		case ok && !want.Accepts(c.Type):
			misfits = append(misfits, fmt.Sprintf("The column %q has the type %s, not %s.", want.Name, c.Type, want.Type))
		case !ok && !want.Optional:
			misfits = append(misfits, fmt.Sprintf("It has no column %q.%s", want.Name, lacking(want.Name, p.Columns.Names())))
		}
	}
	return misfits
}

func lacking(name string, names []string) string {
	if hint := diag.Suggest(name, names); hint != "" {
		return hint
	}
	return " Its columns are: " + diag.List(names) + "."
}
