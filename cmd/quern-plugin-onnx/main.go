// Command quern-plugin-onnx runs embedding models in the ONNX format on this
// machine. It is a separate program because it needs ONNX Runtime, a library in C++,
// which it loads when a model is called.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/onnx"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(onnx.Plugin(version.Number)) }
