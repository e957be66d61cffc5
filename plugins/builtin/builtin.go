// Package builtin assembles the plugins that come with quern and need no large
// library. They are served by the quern binary itself, started again in that
// role, over the same protocol as any other.
package builtin

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/plugins/annotation"
	"github.com/quern-dev/quern/plugins/classification"
	"github.com/quern-dev/quern/plugins/directory"
	"github.com/quern-dev/quern/plugins/evaluation"
	"github.com/quern-dev/quern/plugins/exec"
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/linear"
	"github.com/quern-dev/quern/plugins/llm"
	"github.com/quern-dev/quern/plugins/models"
	"github.com/quern-dev/quern/plugins/ollama"
	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/plugins/rules"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Version is the version of the built-in plugins.
const Version = "0.1.0"

// Plugin returns all built-in types. Relative paths start from the root that
// the plugin is configured with; before that, from the working directory.
func Plugin() plugin.Plugin {
	place := "."
	root := func() string { return place }
	return plugin.Plugin{
		Name: "builtin", Version: Version,
		Configure: func(_ context.Context, root string) error {
			place = root
			return nil
		},
		Types: slices.Concat(
			files.Types(root),
			rows.Types(),
			rules.Types(),
			llm.Types(),
			models.Types(),
			annotation.Types(),
			linear.Types(),
			classification.Types(),
			evaluation.Types(),
			directory.Types(root),
			ollama.Types(),
			exec.Types(root),
		),
	}
}
