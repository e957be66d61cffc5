// Command quern-plugin-storage provides the sources "s3", "gcs", and "azure",
// which read rows from objects in buckets. It is a separate program because of
// the size of the clouds' client libraries, and so that no other plugin has their
// credentials.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/storage"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(storage.Plugin(version.Number)) }
