package plan

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Now is the present state of things, which a saved plan is checked against
// before it is applied.
type Now struct {
	Environment string
	State       StateRef
	// Plugins are the plugins that would be started, by local name.
	Plugins map[string]Plugin
}

// CheckFresh reports why a saved plan can no longer be applied: the state or a
// plugin's program has changed. The planner checks the content of the sources,
// because only their plugins know it.
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
		stale("It was made for environment %q, but this is %q.", p.Environment, now.Environment)
	case p.State.Serial == 0 && now.State.Serial > 0:
		stale("It was made before anything was applied here, and something has been applied since.")
	case p.State.Lineage != now.State.Lineage && (p.State.Serial != 0 || now.State.Serial != 0):
		stale("It was made against a different state: lineage %s then, %s now.", p.State.Lineage, now.State.Lineage)
	case p.State.Serial != now.State.Serial:
		stale("The state has changed since the plan was made: serial %d then, %d now.", p.State.Serial, now.State.Serial)
	}
	for name, then := range p.Plugins {
		is, ok := now.Plugins[name]
		switch {
		case !ok:
			stale("It needs the plugin %q, which is not available.", name)
		case is.Digest != then.Digest:
			stale("The plugin %q has changed since the plan was made: version %s then, %s now.", name, then.Version, is.Version)
		}
	}
	return diags
}
