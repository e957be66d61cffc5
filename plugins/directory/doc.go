// Package directory provides the deployments "directory", which puts an
// artifact's files into a folder, and "dataset", which writes a dataset with its
// card. Both can replace them while other programs read them.
//
// For path = "serve/current", it creates:
//
//	serve/current                    a symbolic link to one of the releases
//	serve/.current.quern/owner.json  the marker that quern owns this folder
//	serve/.current.quern/NAME/       a release: only the artifact's files
//	serve/.current.quern/NAME.json   the content of the release
//
// A reader who follows the link always sees one complete release, never a
// mixture and never nothing. The plugin writes and syncs a release under a
// temporary name, renames it, and then replaces the link with another rename.
// It never touches anything that it did not create: if the path is a file,
// folder, or link of somebody else, that is an error. A crash leaves at most a
// temporary folder, which the next apply removes.
package directory

import (
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the deployments of this package. root returns the folder that
// relative paths start from.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "directory", Doc: doc, BehaviorVersion: 1}, deployment[args]{root, files{}}),
		plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "dataset", Doc: datasetDoc, BehaviorVersion: 1}, deployment[datasetArgs]{root, rowFiles{}}),
	}
}
