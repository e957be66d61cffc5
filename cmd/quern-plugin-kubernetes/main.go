// Command quern-plugin-kubernetes provides deploy "kubernetes", which applies
// objects to a cluster. It is a separate program because of the size of
// Kubernetes' client library.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/kubernetes"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(kubernetes.Plugin(version.Number)) }
