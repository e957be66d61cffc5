// Package kubernetes provides the deployment "kubernetes", which applies objects
// to a cluster.
//
// It uses server-side apply with the field manager "quern", so it shares objects
// with other managers field by field, and the API server computes what an apply
// would change. A plan is a dry run of the apply, so it also shows what changed
// outside of quern.
package kubernetes

import (
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin.
func Plugin(version string) plugin.Plugin {
	return plugin.Plugin{
		Name: "kubernetes", Version: version,
		Types: []plugin.Type{
			plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "kubernetes", Doc: doc, BehaviorVersion: 1}, deployment{}),
		},
	}
}
