// Package inprocess lets plugintest serve a plugin inside a test's process,
// without a function in the plugin package that only tests call.
package inprocess

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
)

// Serve serves a plugin.Plugin. The plugin package sets it.
var Serve func(ctx context.Context, p any) (address *goplugin.ReattachConfig, done <-chan struct{}, err error)
