// Package git provides the source "git", which reads files of a Git repository.
//
// A branch or tag is pinned to a commit in the lock file. The commit is fetched once
// into a bare repository in the folder for transfers, from which files are listed and
// read. Git's ID of a file's content is its version, so of a new commit only the files
// that changed are transferred and read.
package git

import (
	"context"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin, which has a process of its own: it alone has Git's
// settings in its environment.
func Plugin(version string) plugin.Plugin {
	place := "."
	return plugin.Plugin{
		Name: "git", Version: version,
		Configure: func(_ context.Context, root string) error {
			place = root
			return nil
		},
		Types: []plugin.Type{
			files.NewSource[args](plugin.Info{Kind: plugin.KindSource, Name: "git", Doc: doc, BehaviorVersion: 1}, "path", repositories{func() string { return place }}),
		},
	}
}
