package plugin

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// The kinds of stage that a type can belong to.
const (
	KindSource    = "source"
	KindTransform = "transform"
	KindLabel     = "label"
	KindTrain     = "train"
	KindEvaluate  = "evaluate"
	KindDeploy    = "deploy"
	// KindModelBlock is the kind of `model` blocks, which no stage carries out.
	KindModelBlock = "model"
)

// Plugin is a program's whole offer.
type Plugin struct {
	// Name is the plugin's usual local name; its types begin with it and an
	// underscore, but for those that come with quern.
	Name string
	// Version is a semantic version.
	Version string
	// Config is a pointer to an argument struct for the plugin's block, or
	// nil. It is filled before anything but the schema is asked for.
	Config any
	// Configure is called when Config was filled; nil: nothing to do. Root is
	// the folder that relative paths in configurations start from, an
	// absolute path.
	Configure func(ctx context.Context, root string) error
	Types     []Type
}

// Info says what a type is.
type Info struct {
	// Kind is one of the Kind constants. Sources are KindSource, deployments
	// KindDeploy; mappers and runners any of the others; providers say nothing.
	Kind string
	// Name is the type's name, the block's first label.
	Name string
	// Doc is Markdown; its first sentence is the summary.
	Doc string
	// Behavior is raised only when the same arguments and inputs would give
	// other results than before: it is part of every key.
	BehaviorVersion int64
	// StateVersion is the version of a deployment's states. It is raised when
	// states that were written before have to be upgraded to be understood; the
	// implementation then is a StateUpgrader. That an attribute was added to the
	// value type is no reason: it is null in an older state.
	StateVersion int64
}

// Type is a stage type, made by Source, Mapper, FlatMapper, Runner, Provider or
// Deployment.
type Type interface {
	// named tells the type the name of its plugin, for messages.
	named(plugin string)
	schema() (*pluginv1.Type, error)
	prepare(context.Context, *pluginv1.Instance) *pluginv1.Prepared
}
