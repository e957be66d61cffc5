// Package builtin assembles the plugins that come with quern and need no large
// library. The quern binary serves them itself, in a process of its own and
// over the same protocol as any other plugin. Each vendor of models has a
// separate plugin, whose process receives only that vendor's key.
package builtin

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/annotation"
	"github.com/quern-dev/quern/plugins/anthropic"
	"github.com/quern-dev/quern/plugins/classification"
	"github.com/quern-dev/quern/plugins/decontaminate"
	"github.com/quern-dev/quern/plugins/dedup"
	"github.com/quern-dev/quern/plugins/directory"
	"github.com/quern-dev/quern/plugins/evaluation"
	"github.com/quern-dev/quern/plugins/exec"
	"github.com/quern-dev/quern/plugins/fasttext"
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/format"
	"github.com/quern-dev/quern/plugins/git"
	"github.com/quern-dev/quern/plugins/huggingface"
	"github.com/quern-dev/quern/plugins/linear"
	"github.com/quern-dev/quern/plugins/llm"
	"github.com/quern-dev/quern/plugins/models"
	"github.com/quern-dev/quern/plugins/oci"
	"github.com/quern-dev/quern/plugins/ollama"
	"github.com/quern-dev/quern/plugins/openai"
	"github.com/quern-dev/quern/plugins/perplexity"
	"github.com/quern-dev/quern/plugins/profile"
	"github.com/quern-dev/quern/plugins/quality"
	"github.com/quern-dev/quern/plugins/redact"
	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/plugins/rules"
	"github.com/quern-dev/quern/plugins/tables"
	"github.com/quern-dev/quern/plugins/text"
	"github.com/quern-dev/quern/plugins/vllm"
	"github.com/quern-dev/quern/plugins/web"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugins returns the plugins that quern serves, starting with the built-in
// one.
func Plugins() []plugin.Plugin {
	return []plugin.Plugin{Plugin(), anthropic.Plugin(version.Number), git.Plugin(version.Number), huggingface.Plugin(version.Number), oci.Plugin(version.Number), openai.Plugin(version.Number), vllm.Plugin(version.Number)}
}

// Plugin returns the plugin with all built-in types. Relative paths start from
// the root that the plugin is configured with or, before that, from the working
// directory.
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
			web.Types(),
			rows.Types(),
			quality.Types(),
			tables.Types(),
			text.Types(root),
			format.Types(root),
			dedup.Types(),
			rules.Types(),
			redact.Types(),
			decontaminate.Types(),
			llm.Types(),
			models.Types(),
			fasttext.Types(root),
			annotation.Types(),
			linear.Types(),
			classification.Types(),
			evaluation.Types(),
			perplexity.Types(),
			profile.Types(),
			directory.Types(root),
			ollama.Types(),
			exec.Types(root),
		),
	}
}
