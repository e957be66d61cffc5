// Package storage provides sources that read rows from objects in buckets, and
// deployments that publish datasets there: "s3", "gcs", and "azure".
//
// A refresh lists the objects that match a pattern. Their versions say which have
// changed, and only those are read, by ranges. A deployment sends the objects that
// are missing, and then replaces the manifest that lists them. Credentials come from
// the environment, in the way that each cloud's own tools find them.
package storage

import (
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin, which has a process of its own: it alone has the
// credentials in its environment.
func Plugin(version string) plugin.Plugin {
	return plugin.Plugin{
		Name: "storage", Version: version,
		Types: append(deployments(),
			files.NewSource[azureArgs](plugin.Info{Kind: plugin.KindSource, Name: "azure", Doc: azureDoc, BehaviorVersion: 1}, "path", objects[azureArgs, *azureArgs]{}),
			files.NewSource[gcsArgs](plugin.Info{Kind: plugin.KindSource, Name: "gcs", Doc: gcsDoc, BehaviorVersion: 1}, "path", objects[gcsArgs, *gcsArgs]{}),
			files.NewSource[s3Args](plugin.Info{Kind: plugin.KindSource, Name: "s3", Doc: s3Doc, BehaviorVersion: 1}, "path", objects[s3Args, *s3Args]{}),
		),
	}
}

// refreshDoc is what the documentation of all sources says about refreshes.
const refreshDoc = `A refresh lists the objects under the part of ` + "`path`" + ` before its first pattern character, up to %s in a request, and reads none of them. Each object is a part: only objects that are new or whose content changed are read again, in large ranges at the same time. Of Parquet objects, only the footer and the chosen columns are transferred. An object that changes while it is read is an error.`
