// Package kind is the table of the kinds of blocks that have addresses: source,
// transform, model, and so on. All code that treats kinds alike reads the
// table, so a new kind is one row here and the code that implements it.
package kind

import (
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// The kinds, as they are written in configurations, addresses, plans, states,
// and the plugin protocol.
const (
	Source    = "source"
	Transform = "transform"
	Model     = "model"
	Prompt    = "prompt"
	Label     = "label"
	Train     = "train"
	Evaluate  = "evaluate"
	Gate      = "gate"
	Deploy    = "deploy"
)

// Kind is a row of the table.
type Kind struct {
	// Name is one of the constants. Plural is the form that messages use for
	// several blocks.
	Name, Plural string
	// stage is set if a block computes something. Models and prompts do not:
	// they exist for the stages that use them.
	stage bool
	// Modes are the ways in which the plugins' types of this kind may run. A
	// kind without modes belongs to quern itself: its blocks have no type
	// label.
	Modes []pluginv1.Mode
}

// table is in lifecycle order.
var table = []Kind{
	{Name: Source, Plural: "sources", stage: true, Modes: []pluginv1.Mode{pluginv1.Mode_MODE_READ}},
	{Name: Transform, Plural: "transforms", stage: true, Modes: []pluginv1.Mode{pluginv1.Mode_MODE_MAP, pluginv1.Mode_MODE_FLAT_MAP, pluginv1.Mode_MODE_RUN}},
	{Name: Model, Plural: "models", Modes: []pluginv1.Mode{pluginv1.Mode_MODE_MODEL}},
	{Name: Prompt, Plural: "prompts"},
	{Name: Label, Plural: "labels", stage: true, Modes: []pluginv1.Mode{pluginv1.Mode_MODE_MAP, pluginv1.Mode_MODE_RUN}},
	{Name: Train, Plural: "trainings", stage: true, Modes: []pluginv1.Mode{pluginv1.Mode_MODE_RUN}},
	{Name: Evaluate, Plural: "evaluations", stage: true, Modes: []pluginv1.Mode{pluginv1.Mode_MODE_RUN}},
	{Name: Gate, Plural: "gates", stage: true},
	{Name: Deploy, Plural: "deployments", stage: true, Modes: []pluginv1.Mode{pluginv1.Mode_MODE_DEPLOY}},
}

// Typed reports whether the blocks of a kind have a label for their type, which
// a plugin provides.
func (k Kind) Typed() bool { return len(k.Modes) > 0 }

// IsStage reports whether a block of the kind computes something. Nothing waits
// for, or runs, a block that does not.
func (k Kind) IsStage() bool { return k.stage }

// IsTypedStage reports whether a plugin executes the blocks of the kind.
func (k Kind) IsTypedStage() bool { return k.stage && k.Typed() }

// Of returns the row of a kind. For an invalid name, it returns the zero Kind,
// which has no name.
func Of(name string) Kind {
	if i := index(name); i >= 0 {
		return table[i]
	}
	return Kind{}
}

// Is reports whether a name is that of a kind.
func Is(name string) bool { return index(name) >= 0 }

// index returns the row of a kind, or -1.
func index(name string) int {
	for i := range table { // without copies of the rows, because references are many
		if table[i].Name == name {
			return i
		}
	}
	return -1
}

// Names returns the names of all kinds, in lifecycle order.
func Names() []string { return Those(func(Kind) bool { return true }) }

// Those returns the names of the kinds for which a condition is true, such as
// Kind.IsStage, in lifecycle order.
func Those(are func(Kind) bool) []string {
	var names []string
	for _, k := range table {
		if are(k) {
			names = append(names, k.Name)
		}
	}
	return names
}
