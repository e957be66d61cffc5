// Package web provides the source "http", which reads rows from files on web
// servers.
//
// Whether a file has changed follows from its validators, ETag and Last-Modified,
// in one conditional request. Planning transfers only the beginning of a large
// file. Reading it downloads it to disk first, and continues a download that
// was interrupted, even if the process was killed.
package web

import (
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the source of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		files.NewSource[args](plugin.Info{Kind: plugin.KindSource, Name: "http", Doc: doc, BehaviorVersion: 1}, "url", objects{}),
	}
}
