// Package builtin assembles the plugins that come with quern and need no large
// library. They are served by the quern binary itself, started again in that
// role, over the same protocol as any other. Those of vendors of models are
// plugins of their own: each runs in a process that has only its vendor's key.
package builtin

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/annotation"
	"github.com/quern-dev/quern/plugins/anthropic"
	"github.com/quern-dev/quern/plugins/classification"
	"github.com/quern-dev/quern/plugins/directory"
	"github.com/quern-dev/quern/plugins/evaluation"
	"github.com/quern-dev/quern/plugins/exec"
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/linear"
	"github.com/quern-dev/quern/plugins/llm"
	"github.com/quern-dev/quern/plugins/models"
	"github.com/quern-dev/quern/plugins/ollama"
	"github.com/quern-dev/quern/plugins/openai"
	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/plugins/rules"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugins returns the plugins that quern serves, the built-in one first.
func Plugins() []plugin.Plugin {
	return []plugin.Plugin{Plugin(), anthropic.Plugin(version.Number), openai.Plugin(version.Number)}
}

// Plugin returns all built-in types. Relative paths start from the root that
// the plugin is configured with; before that, from the working directory.
func Plugin() plugin.Plugin {
	place := "."
	root := func() string { return place }
	return plugin.Plugin{
		Name: "builtin", Version: version.Number,
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
