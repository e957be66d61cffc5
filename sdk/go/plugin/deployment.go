package plugin

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Deployment puts an artifact somewhere that lives on.
type Deployment[A any] interface {
	// Prepare declares the state's attributes with SetValueType.
	Prepare(context.Context, *Prepare[A]) error
	// Read says what stands at the deployment's place now; nil: it is gone.
	Read(context.Context, *DeploymentReadRequest[A]) (*DeploymentState, error)
	// Plan says what it would take to get from prior to the arguments. It
	// changes nothing.
	Plan(context.Context, *DeploymentPlanRequest[A]) (*DeploymentPlan, error)
	// Apply creates or updates. It returns a state even beside an error when
	// something was made.
	Apply(context.Context, *DeploymentApplyRequest[A]) (*DeploymentState, error)
	// Delete takes the deployment away. Deleting what is gone already is a
	// success.
	Delete(context.Context, *DeploymentDeleteRequest[A]) error
}

// State is what a plugin must know to find its deployment again.
type DeploymentState struct {
	// Value is a known cty object: the attributes that users can refer to. A
	// state that was written before an attribute was declared has null for it.
	Value cty.Value
	// Private is the plugin's own notes. It holds no secret.
	Private []byte
}

// DeploymentRead asks what stands there.
type DeploymentReadRequest[A any] struct {
	Args  *A
	State *DeploymentState
}

// DeploymentPlan asks what would be done.
type DeploymentPlanRequest[A any] struct {
	// Args holds zeros where values are not known yet.
	Args *A
	// Prior is what stands there; nil: nothing.
	Prior *DeploymentState

	digests map[string]string
	unknown []string
}

// Digest returns the digest of the artifact at a key that is to be deployed;
// false: it is not known yet.
func (p *DeploymentPlanRequest[A]) Digest(key string) (string, bool) {
	d, ok := p.digests[key]
	return d, ok
}

// Known says whether the argument at a key has its value already.
func (p *DeploymentPlanRequest[A]) Known(key string) bool { return knownKey(p.unknown, key) }

// DeploymentAction is what would be done about a deployment.
type DeploymentAction int

// The actions.
const (
	ActionNone DeploymentAction = iota + 1
	ActionCreate
	ActionUpdate
	ActionReplace
)

// Planned is what would be done and what differs.
type DeploymentPlan struct {
	Action  DeploymentAction
	Changes []DeploymentChange
}

// Change says what differs, for a person.
type DeploymentChange struct {
	Argument, Before, After string
	// ForcesReplacement: this is what an update can't do.
	ForcesReplacement bool
}

// DeploymentApply asks to create or update.
type DeploymentApplyRequest[A any] struct {
	Args *A
	// Prior is what stands there; nil: nothing.
	Prior *DeploymentState
	// WorkDir is a folder for temporary files.
	WorkDir string

	inputs map[string]*pluginv1.Artifact
	*warnings
}

// Warnf tells the user of something at an argument, or, with an empty key, of the
// deployment as a whole.
func (a *DeploymentApplyRequest[A]) Warnf(argument, format string, args ...any) {
	a.warnf(argument, format, args)
}

// Artifact returns what is to be deployed; nil: there is none at that key.
func (a *DeploymentApplyRequest[A]) Artifact(h Artifact) *ArtifactInput {
	return newArtifactInput(h.Key, a.inputs)
}

// Dataset returns a dataset that is to be deployed; nil: there is none.
func (a *DeploymentApplyRequest[A]) Dataset(h Dataset) *DatasetInput {
	return newDatasetInput(h.Key, a.inputs)
}

// Model returns a model that is to be deployed; nil: there is none.
func (a *DeploymentApplyRequest[A]) Model(h Model) *ModelFiles { return newModelFiles(a.inputs[h.Key]) }

// DeploymentDelete asks to take a deployment away.
type DeploymentDeleteRequest[A any] struct {
	Args  *A
	State *DeploymentState
	*warnings
}

// Warnf tells the user of something, such as what was left in place.
func (d *DeploymentDeleteRequest[A]) Warnf(format string, args ...any) { d.warnf("", format, args) }

// StateUpgrader is an optional interface of a Deployment, for one whose
// Info.StateVersion is above 0.
type StateUpgrader interface {
	// UpgradeState makes of a state that a version of the plugin with a lower
	// StateVersion wrote one of the present version. It changes nothing outside.
	UpgradeState(ctx context.Context, version int64, state *DeploymentState) (*DeploymentState, error)
}

// NewDeployment returns a type that deploys artifacts.
func NewDeployment[A any](info Info, impl Deployment[A]) Type {
	return &deployment[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_DEPLOY, impl: impl}, impl}
}
