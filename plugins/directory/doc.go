// Package directory offers the deployment "directory": an artifact's files in
// a folder, which programs read while it is exchanged under their feet.
//
// For path = "serve/current" there are
//
//	serve/current                    a symbolic link to one of the releases
//	serve/.current.quern/owner.json  the mark that all beside it is quern's
//	serve/.current.quern/NAME/       a release: the artifact's files, no more
//	serve/.current.quern/NAME.json   what the release is made of
//
// It promises that a reader who follows the link sees one whole release or
// another, never a mixture and never nothing: a release is written and synced
// under a temporary name, put in its place, and then the link is exchanged by
// a rename. It never touches what it did not make: a file, folder or link at
// the path that is not its own is an error. A crash leaves at most a
// temporary folder, which the next apply removes.
package directory

import (
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types are the deployments of this package. root returns the folder that
// relative paths start from.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "directory", Doc: doc, BehaviorVersion: 1}, deployment{root}),
	}
}
