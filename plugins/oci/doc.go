// Package oci provides the deployment "oci", which pushes a model to an OCI
// registry in the format of the CNCF's ModelPack specification
// (https://github.com/modelpack/model-spec).
//
// Each file is a layer of its own, unarchived and uncompressed, so that the
// digests of layers are those of quern's blobs: nothing is packed, hashed, or
// written to disk in order to be pushed, and a registry that has a file does not
// get it again. The tag is written last and with one request. Whoever pulls it
// gets the old or the new model.
package oci

import (
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin, which has a process of its own: it alone sees where
// Docker's credentials are.
func Plugin(version string) plugin.Plugin {
	return plugin.Plugin{
		Name: "oci", Version: version,
		Types: []plugin.Type{
			plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "oci", Doc: doc, BehaviorVersion: 1}, deployment{}),
		},
	}
}
