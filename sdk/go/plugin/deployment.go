package plugin

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Deployment manages something outside the store that outlives a run, such as
// an endpoint or a copy of a model.
type Deployment[A any] interface {
	// Prepare declares the state's attributes with SetValueType.
	Prepare(context.Context, *Prepare[A]) error
	// Read returns the current state of the deployment, or nil if it no longer
	// exists.
	Read(context.Context, *DeploymentReadRequest[A]) (*DeploymentState, error)
	// Plan returns what Apply would do. It changes nothing.
	Plan(context.Context, *DeploymentPlanRequest[A]) (*DeploymentPlan, error)
	// Apply creates or updates the deployment. If something was created, it
	// returns a state even with an error, so that quern does not lose track of
	// it.
	Apply(context.Context, *DeploymentApplyRequest[A]) (*DeploymentState, error)
	// Delete deletes the deployment. If it no longer exists, Delete succeeds.
	Delete(context.Context, *DeploymentDeleteRequest[A]) error
}

// Importer is a Deployment that can take over what exists already. Users then
// write an import block with its ID.
type Importer[A any] interface {
	// Import returns the state of the deployment with the ID, or nil if there is
	// none. It changes nothing. The type's documentation says what the ID is.
	Import(context.Context, *DeploymentImportRequest[A]) (*DeploymentState, error)
}

// DeploymentImportRequest is the request of Importer.Import.
type DeploymentImportRequest[A any] struct {
	// Args are the arguments of the block. All of them are known.
	Args *A
	// ID identifies the deployment.
	ID string
}

// DeploymentState is what the plugin must remember to find its deployment
// again. quern stores it. It must not contain secrets.
type DeploymentState struct {
	// Value is an object without unknown values: the attributes that users can
	// refer to. If the state is older than an attribute, the attribute is null.
	Value cty.Value
	// Private is for the plugin alone.
	Private []byte
}

// Text returns an attribute of Value that is a string. It returns "" if there is
// no such attribute, or if it is null or not a string.
func (s *DeploymentState) Text(attribute string) string {
	if t := s.Value.Type(); !t.IsObjectType() || !t.HasAttribute(attribute) {
		return ""
	}
	v := s.Value.GetAttr(attribute)
	if v.Type() != cty.String || v.IsNull() || !v.IsKnown() {
		return ""
	}
	return v.AsString()
}

// DeploymentReadRequest is the request of Deployment.Read.
type DeploymentReadRequest[A any] struct {
	Args  *A
	State *DeploymentState
}

// DeploymentPlanRequest is the request of Deployment.Plan.
type DeploymentPlanRequest[A any] struct {
	// Args holds zeros where values are not known yet; see Known.
	Args *A
	// Prior is the current state; nil if nothing is deployed.
	Prior *DeploymentState

	digests map[string]string
	inputs  map[string]*pluginv1.Artifact
	unknown []string
}

// Digest returns the digest of the artifact to deploy at a key; false if it is
// not known yet.
func (p *DeploymentPlanRequest[A]) Digest(key string) (string, bool) {
	d, ok := p.digests[key]
	return d, ok
}

// Artifact returns a model or report that exists already, or nil: it may still
// have to be computed, or its files may not be on this machine yet. Apply has to
// check again what Plan checks about it.
func (p *DeploymentPlanRequest[A]) Artifact(h Artifact) *ArtifactInput {
	return newArtifactInput(h.Key, p.inputs)
}

// Model returns a model that exists already, or nil; see Artifact.
func (p *DeploymentPlanRequest[A]) Model(h Model) *ModelFiles { return newModelFiles(p.inputs[h.Key]) }

// Known reports whether the argument at a key has a value already.
func (p *DeploymentPlanRequest[A]) Known(key string) bool { return knownKey(p.unknown, key) }

// DeploymentAction is what Apply would do.
type DeploymentAction int

// The actions.
const (
	ActionNone DeploymentAction = iota + 1
	ActionCreate
	ActionUpdate
	ActionReplace
)

// DeploymentPlan is the result of Deployment.Plan.
type DeploymentPlan struct {
	Action  DeploymentAction
	Changes []DeploymentChange
	// Coexists is set if a deployment created from the arguments can exist together
	// with the prior one, for example because it has another name. If the prior one is
	// replaced, quern then calls Apply without a prior state first and Delete with the
	// prior state last, which must leave the new one as it is. Otherwise quern deletes
	// the prior one first, so that for a while neither exists.
	Coexists bool
}

// DeploymentChange describes one difference to the user.
type DeploymentChange struct {
	Argument, Before, After string
	// ForcesReplacement is true if the deployment must be replaced because of
	// this change.
	ForcesReplacement bool
}

// DeploymentApplyRequest is the request of Deployment.Apply.
type DeploymentApplyRequest[A any] struct {
	Args *A
	// Prior is the current state; nil if nothing is deployed.
	Prior *DeploymentState
	// WorkDir is the absolute path of a folder for temporary files.
	WorkDir string

	inputs map[string]*pluginv1.Artifact
	*warnings
}

// Warnf shows the user a warning at an argument or, with an empty key, about
// the whole deployment. The first line of the text is the summary.
func (a *DeploymentApplyRequest[A]) Warnf(argument, format string, args ...any) {
	a.warnf(argument, format, args)
}

// Artifact returns an input of any kind, or nil if the argument is not set.
func (a *DeploymentApplyRequest[A]) Artifact(h Artifact) *ArtifactInput {
	return newArtifactInput(h.Key, a.inputs)
}

// Dataset returns a dataset input, or nil if the argument is not set.
func (a *DeploymentApplyRequest[A]) Dataset(h Dataset) *DatasetInput {
	return newDatasetInput(h.Key, a.inputs)
}

// Model returns a model input, or nil if the argument is not set.
func (a *DeploymentApplyRequest[A]) Model(h Model) *ModelFiles { return newModelFiles(a.inputs[h.Key]) }

// DeploymentDeleteRequest is the request of Deployment.Delete.
type DeploymentDeleteRequest[A any] struct {
	Args  *A
	State *DeploymentState
	*warnings
}

// Warnf shows the user a warning, for example about what was left in place.
func (d *DeploymentDeleteRequest[A]) Warnf(format string, args ...any) { d.warnf("", format, args) }

// StateUpgrader is an optional interface of a Deployment. It is required if
// Info.StateVersion is above 0.
type StateUpgrader interface {
	// UpgradeState converts a state that was written with a lower
	// Info.StateVersion to the current one. It changes nothing outside.
	UpgradeState(ctx context.Context, version int64, state *DeploymentState) (*DeploymentState, error)
}

// NewDeployment returns a type that manages deployments.
func NewDeployment[A any](info Info, impl Deployment[A]) Type {
	return &deployment[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_DEPLOY, impl: impl}, impl}
}
