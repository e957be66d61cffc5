package processes

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Plugins is what the planner needs of the plugins that there are. It is the
// part of registry.Registry that planning uses, and is safe for use by several
// goroutines.
type Plugins interface {
	// Type finds a stage type: by the local name of a plugin, or, where that
	// is empty, by the name of the type. It returns the plugin's local name.
	// The error says what was meant, if it can.
	Type(kind, name, plugin string) (*pluginv1.Type, string, error)
	// ConfigSchema is the body of a plugin's block; nil: it takes nothing.
	ConfigSchema(plugin string) (*pluginv1.Body, error)
	// SetConfig gives a plugin the value of its block, before it is started.
	SetConfig(plugin string, config cty.Value) error
	// SetEnvironment names the variables of the environment that a plugin
	// sees.
	SetEnvironment(plugin string, names []string)
	// Client returns a plugin's process, started if it is not running yet.
	Client(ctx context.Context, plugin string) (*client.Plugin, error)
	// Development says whether a plugin is under development, so that any
	// build of it may behave differently.
	Development(plugin string) bool
	// Describe names the plugins that were looked at, and their programs.
	Describe() map[string]plan.Plugin
}
