package planner

import (
	"context"

	"github.com/zclconf/go-cty/cty"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Plugins is what the planner needs of the plugins that there are.
type Plugins interface {
	// Type finds a stage type: by the local name of a plugin, or, where that
	// is empty, by the name of the type. It returns the plugin's local name.
	// The error says what was meant, if it can.
	Type(kind, name, plugin string) (*pluginv1.Type, string, error)
	// ConfigSchema is the body of a plugin's block; nil: it takes none.
	ConfigSchema(plugin string) (*pluginv1.Body, error)
	// SetConfig gives a plugin the values of its block, before it is started.
	SetConfig(plugin string, config cty.Value) error
	// Service starts a plugin, if it is not running yet.
	Service(ctx context.Context, plugin string) (Service, error)
	// Describe names the plugins and their programs.
	Describe() map[string]plan.Plugin
}

// Service is the part of a plugin's service that planning needs.
type Service interface {
	Prepare(context.Context, *pluginv1.PrepareRequest, ...grpc.CallOption) (*pluginv1.PrepareResponse, error)
	Fingerprint(context.Context, *pluginv1.FingerprintRequest, ...grpc.CallOption) (*pluginv1.FingerprintResponse, error)
	ReadDeployment(context.Context, *pluginv1.ReadDeploymentRequest, ...grpc.CallOption) (*pluginv1.ReadDeploymentResponse, error)
	PlanDeployment(context.Context, *pluginv1.PlanDeploymentRequest, ...grpc.CallOption) (*pluginv1.PlanDeploymentResponse, error)
}
