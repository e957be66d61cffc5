package plugin

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// The kinds of blocks that a type can belong to.
const (
	KindSource    = "source"
	KindTransform = "transform"
	KindLabel     = "label"
	KindTrain     = "train"
	KindEvaluate  = "evaluate"
	KindDeploy    = "deploy"
	// KindModelBlock is the kind of model blocks, which providers implement.
	// NewProvider sets it.
	KindModelBlock = "model"
)

// Plugin describes a plugin program: what Serve serves.
type Plugin struct {
	// Name is the plugin's usual local name: lowercase letters, digits, and
	// underscores. The names of its types begin with it and an underscore.
	Name string
	// Version is a semantic version. While it ends in "-dev", quern recomputes
	// results whenever the program changes.
	Version string
	// Config is a pointer to an argument struct for the plugin block of a
	// configuration; nil if the plugin has no settings. It is filled before
	// Configure and all other calls.
	Config any
	// Configure is called once after Config is filled; nil if there is nothing
	// to do. root is the absolute path of the folder that relative paths in the
	// configuration start from. An error is shown at the plugin block.
	Configure func(ctx context.Context, root string) error
	// Types are the types on offer. Their kinds and names are unique.
	Types []Type
	// Functions are functions for expressions. Their names are unique.
	Functions []Function
}

// Info describes a type.
type Info struct {
	// Kind is one of the Kind constants: KindSource for a Source, KindDeploy for
	// a Deployment, KindTransform for a FlatMapper, KindTransform or KindLabel
	// for a Mapper, and KindTransform, KindLabel, KindTrain, or KindEvaluate for
	// a Runner. NewProvider ignores it.
	Kind string
	// Name is the type's name, the first label of the block.
	Name string
	// Doc is Markdown. Its first sentence is the summary.
	Doc string
	// BehaviorVersion is part of every cache key. Raise it if, and only if, the
	// same arguments and inputs now give different results: everything that the
	// type has produced is computed again.
	BehaviorVersion int64
	// StateVersion is the version of a deployment's state. Raise it if older
	// states must be converted before this version can read them, and implement
	// StateUpgrader. A new attribute is no reason: it is null in older states.
	StateVersion int64
}

// Type is a type on offer. Create one with NewSource, NewMapper, NewFlatMapper,
// NewRunner, NewProvider, or NewDeployment.
type Type interface {
	// named tells the type its plugin's name, for messages.
	named(plugin string)
	schema() (*pluginv1.Type, error)
	prepare(context.Context, *pluginv1.Instance) *pluginv1.Prepared
}
