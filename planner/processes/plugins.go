package processes

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/foreign"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Plugins is what the planner needs from the available plugins. It is the part
// of registry.Registry that planning uses, and is safe for concurrent use.
type Plugins interface {
	// Type finds a stage type by the local name of a plugin or, if that is
	// empty, by the name of the type. It returns the plugin's local name. The
	// error suggests what was meant, if possible.
	Type(kind, name, plugin string) (*pluginv1.Type, string, error)
	// ConfigSchema returns the schema of a plugin's block, or nil if it has
	// none.
	ConfigSchema(plugin string) (*pluginv1.Body, error)
	// SetConfig sets the value of a plugin's block, before the plugin starts.
	SetConfig(plugin string, config cty.Value) error
	// SetEnvironment sets the names of the environment variables that a plugin
	// receives.
	SetEnvironment(plugin string, names []string)
	// Development reports whether a plugin is under development, so that each
	// build of it may behave differently.
	Development(plugin string) bool
	foreign.Plugins
	// Describe returns the plugins that were asked for, and their programs.
	Describe() map[string]plan.Plugin
}
