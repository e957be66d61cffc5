package plan

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Now is what a saved plan is held against before it is applied.
type Now struct {
	Environment string
	State       StateRef
	// Plugins by local name, as they would be started.
	Plugins map[string]Plugin
}

// CheckFresh says why a saved plan can no longer be applied: the state has
// moved on, or a plugin is another program by now. What the sources hold has
// to be asked of their plugins; the planner does that.
func (p *Plan) CheckFresh(now Now) hcl.Diagnostics {
	var diags hcl.Diagnostics
	stale := func(format string, args ...any) {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError,
			Summary:  "The saved plan is stale",
			Detail:   fmt.Sprintf(format, args...) + " Make a new plan.",
		})
	}
	switch {
	case p.Environment != now.Environment:
		stale("It was made for environment %q, and this is %q.", p.Environment, now.Environment)
	case p.State.Serial == 0 && now.State.Serial > 0:
		stale("It was made before anything was applied here, and something has been applied since.")
	case p.State.Lineage != now.State.Lineage && (p.State.Serial != 0 || now.State.Serial != 0):
		stale("It was made against another state (lineage %s, and this is %s).", p.State.Lineage, now.State.Lineage)
	case p.State.Serial != now.State.Serial:
		stale("The state has changed since it was made: serial %d then, %d now.", p.State.Serial, now.State.Serial)
	}
	for name, then := range p.Plugins {
		is, ok := now.Plugins[name]
		switch {
		case !ok:
			stale("It needs the plugin %q, which is not there.", name)
		case is.Digest != then.Digest:
			stale("The plugin %q is another program than when the plan was made: version %s then, %s now.", name, then.Version, is.Version)
		}
	}
	return diags
}
