// Package stage represents an instance of a stage after everything that it
// waited for is known. It evaluates the configuration, computes the keys, and
// provides the inputs as files. It does not decide what to do with a stage, and
// it writes only to the folder that it is given.
package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// Plugins starts plugins, or returns running ones. It is called from many
// goroutines.
type Plugins interface {
	Client(ctx context.Context, name string) (*client.Plugin, error)
}

// Ports that quern itself fills.
const (
	// PortQuarantine contains the rows of a source that were set aside, and
	// PortParts the parts that a source consisted of, in order, if there were
	// several. They are kept with the action's outputs, and expressions cannot
	// refer to them.
	PortQuarantine = "quarantine"
	PortParts      = "parts"
	// PortErrors contains the rows of a row-wise label stage that failed.
	PortErrors = "errors"
)

// Stage is a node with everything known that it waited for.
type Stage struct {
	*plan.Node
	Bound    *plan.Bound
	Inputs   map[string]*Input // by key
	Instance *pluginv1.Instance
	Secrets  Secrets
	// Warnings are the warnings that occurred while it ran.
	Warnings hcl.Diagnostics
}

// Input is an artifact or a language model that a stage receives.
type Input struct {
	Key string
	Of  *plan.Input
	// Port is the declaration of the artifact.
	Port     *plan.Port
	Ref      artifact.Ref
	Artifact *artifact.Artifact
	// Plugin is the plugin that produced it, which serves it if it is a model.
	Plugin string
	// Action is the key of the action that produced it, or empty if it is not
	// known.
	Action string
	// Features compute a model's inputs from a row, by name.
	Features map[string]*expr.Compiled
	// Language is set for a language model. For one with a block, the digest in
	// Ref is its definition, and the artifact is empty.
	Language *Language
}

// NewInput returns an artifact as an input.
func NewInput(key string, of *plan.Input, port *plan.Port, ref artifact.Ref, a *artifact.Artifact) (*Input, error) {
	in := &Input{Key: key, Of: of, Port: port, Ref: ref, Artifact: a}
	if len(a.Features) > 0 {
		if err := json.Unmarshal(a.Features, &in.Features); err != nil {
			return nil, &failure.Input{Address: of.Address, Err: fmt.Errorf("read its features: %w", err)}
		}
	}
	return in, nil
}

// NewLanguage returns a language model as an input.
func NewLanguage(key string, of *plan.Input, l *Language) *Input {
	return &Input{
		Key: key, Of: of, Plugin: l.Plugin, Language: l,
		Port:     &plan.Port{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: l.Info.Capabilities, Model: &l.Info},
		Ref:      artifact.Ref{Kind: artifact.Model, Digest: l.Definition},
		Artifact: &artifact.Artifact{Kind: artifact.Model, ModelFormat: plan.FormatRemote},
	}
}

// New returns the stage of a node whose configuration is bound.
func New(n *plan.Node, bound *plan.Bound, inputs map[string]*Input, secrets Secrets) (*Stage, error) {
	s := &Stage{Bound: bound, Inputs: inputs, Secrets: secrets}
	s.Node = n.Resolved(bound, func(key string) map[string]*expr.Compiled { return inputs[key].Features })
	var err error
	s.Instance, err = bound.Instance(n, inputPorts(n.Plugin, inputs))
	return s, err
}

// inputPorts describes inputs for a plugin.
func inputPorts(plugin string, inputs map[string]*Input) map[string]*pluginv1.Input {
	protos := map[string]*pluginv1.Input{}
	for key, in := range inputs {
		var rows *int64
		if in.Artifact.Dataset != nil {
			rows = &in.Artifact.Dataset.Rows
		}
		protos[key] = plan.InputPort(in.Port, rows)
		if in.Language != nil && in.Plugin == plugin {
			protos[key].Model = in.Language.Instance
		}
	}
	return protos
}

// Forced reports whether a new result was requested (-replace).
func Forced(n *plan.Node) bool {
	return slices.ContainsFunc(n.Reasons, func(reason plan.Reason) bool { return reason.Code == plan.BecauseReplaced })
}

// RowsPort returns the output of a row-wise stage that has the rows of an
// input, or nil if there is none.
func (s *Stage) RowsPort() *plan.Port {
	i := slices.IndexFunc(s.Outputs, func(p plan.Port) bool { return p.RowsOf != "" })
	if i < 0 || !s.RowWise() {
		return nil
	}
	return &s.Outputs[i]
}

// Read returns the columns of a dataset input that results depend on.
func (s *Stage) Read(key string, m *dataset.Manifest) []string {
	return columnsOf(s.Reads[key], m)
}

// Given returns the ones among them that the plugin itself requested.
func (s *Stage) Given(key string, m *dataset.Manifest) []string {
	return columnsOf(s.PluginReads[key], m)
}

func columnsOf(reads plan.Reads, m *dataset.Manifest) []string {
	if reads.All {
		return m.Schema.Names()
	}
	return slices.Clone(reads.Columns)
}

// ConcurrentCalls returns the maximum number of concurrent calls of the stage's
// language models.
func (s *Stage) ConcurrentCalls() int64 {
	calls := int64(0)
	for _, in := range s.Inputs {
		if in.Language != nil {
			calls += modelhost.MostConcurrent(in.Language.Info)
		}
	}
	return calls
}

// UsesSecrets reports whether secrets influence what the stage produces.
func (s *Stage) UsesSecrets() bool {
	if s.Body == nil {
		return false
	}
	_, secrets := s.Body.Refs()
	return len(secrets) > 0
}

// OverlapType is the type of the counts that quern adds to an evaluation: the
// rows that its subjects were trained on. It is cty.NilType if nothing is
// counted.
func (s *Stage) OverlapType() cty.Type {
	if t := s.ValueType.Type; s.Kind == kind.Evaluate && t != cty.NilType && t.HasAttribute(plan.OverlapName) {
		return t.AttributeType(plan.OverlapName)
	}
	return cty.NilType
}

// OverlapSubjects returns the names of the subjects that are trained models, by
// input key.
func (s *Stage) OverlapSubjects() map[string]string {
	var trained []string
	for key, in := range s.Inputs {
		if in.Of.Of != "" && in.Port.Predicts() {
			trained = append(trained, key)
		}
	}
	return plan.OverlapSubjects(trained)
}

// Warn adds a warning.
func (s *Stage) Warn(subject *hcl.Range, summary, format string, args ...any) {
	s.Warnings = append(s.Warnings, diag.Warningf(subject, summary, format, args...))
}

// Reported returns an error if one of a plugin's diagnostics is an error.
func (s *Stage) Reported(diags []*pluginv1.Diagnostic) error {
	for _, d := range diags {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_WARNING {
			return &failure.Plugin{Summary: d.GetSummary(), Detail: d.GetDetail(), Argument: d.GetArgument()}
		}
	}
	return nil
}

// Heard is Reported for an answer that may have warnings, which it adds.
func (s *Stage) Heard(diags []*pluginv1.Diagnostic) error {
	for _, d := range diags {
		if d.GetSeverity() == pluginv1.Diagnostic_SEVERITY_WARNING {
			s.Warn(s.RangeOf(d.GetArgument()), diag.Capital(d.GetSummary()), "%s", d.GetDetail())
		}
	}
	return s.Reported(diags)
}

// Faulty returns the error for a plugin that violates the protocol.
func (s *Stage) Faulty(what string) error { return failure.Faulty(s.Node, what) }

// ExplainEmpty adds to an error of the plugin that an input has no rows, which
// is usually the reason.
func (s *Stage) ExplainEmpty(err error, own *failure.Plugin) error {
	for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
		if in := s.Inputs[key]; in.Artifact.Dataset != nil && in.Artifact.Dataset.Rows == 0 {
			own.Detail = strings.TrimSpace(fmt.Sprintf("%s\n%s, its %s, has 0 rows. Check the stages that it depends on: \"quern log\" and \"quern artifact show\" show how many rows each one produced.", own.Detail, strings.TrimSuffix(in.Of.Address+"."+in.Of.Port, "."), key))
		}
	}
	return err
}
