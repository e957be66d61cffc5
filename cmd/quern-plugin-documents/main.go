// Command quern-plugin-documents provides sources of documents, such as PDF and
// HTML. It is a separate program because of the size of the libraries that parse
// them, and so that a damaged document cannot affect other stages.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/documents"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(documents.Plugin(version.Number)) }
