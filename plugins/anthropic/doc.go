// Package anthropic provides model "anthropic": Claude models.
package anthropic

import "github.com/quern-dev/quern/sdk/go/plugin"

// Plugin returns the plugin "anthropic".
func Plugin(version string) plugin.Plugin {
	return plugin.Plugin{Name: "anthropic", Version: version, Types: []plugin.Type{
		plugin.NewProvider(plugin.Info{Name: "anthropic", Doc: doc, BehaviorVersion: 1}, impl{}),
	}}
}

const doc = `A Claude model.

The key comes from ` + "`api_key`, `api_key_command`" + ` or the variable ` + "`ANTHROPIC_API_KEY`" + `. The newest models refuse a ` + "`temperature` or `top_p`" + `; seeds and log probabilities are not available.

` + "```hcl" + `
model "anthropic" "judge" {
  name       = "claude-haiku-4-5"
  max_tokens = 512
}
` + "```" + `
`
