// Package huggingface provides the source "huggingface", which reads datasets of
// the Hugging Face Hub, and the deployment "huggingface", which publishes a
// trained model in a repository there.
//
// It uses the Hub's HTTP API (https://huggingface.co/docs/hub/api). Large files go
// to the Hub's LFS storage under their SHA-256, which quern knows: files that are
// already there are not sent, and no file is hashed. Then a single commit refers
// to all of them, with the commit that it was made for as its parent. Whoever
// downloads the revision gets the old or the new model.
package huggingface

import (
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin, which has a process of its own: it alone has the
// token in its environment.
func Plugin(version string) plugin.Plugin {
	return plugin.Plugin{
		Name: "huggingface", Version: version,
		Types: []plugin.Type{
			files.NewSource[sourceArgs](plugin.Info{Kind: plugin.KindSource, Name: "huggingface", Doc: sourceDoc, BehaviorVersion: 1}, "path", datasets{}),
			plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "huggingface", Doc: doc, BehaviorVersion: 1}, deployment{}),
		},
	}
}
