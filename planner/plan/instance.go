package plan

import (
	"fmt"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Instance converts a bound configuration to the plugin protocol. inputs
// describes each input by key; InputPort builds such a description. The plugin gets
// the address without the path of the module, so that no result can depend on
// the module that a stage is in.
func (o *Bound) Instance(n *Node, inputs map[string]*pluginv1.Input) (*pluginv1.Instance, error) {
	config, err := encodeConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration of %s: %w", n.Address, err)
	}
	in := &pluginv1.Instance{
		Kind: n.Kind, Type: n.Type, Address: addr.WithinModule(n.Address), Config: config,
		Inputs: inputs, Pins: n.Pins, RowArguments: make(map[string]*pluginv1.RowArgument, len(o.Rows)),
	}
	for key, row := range o.Rows {
		column, _ := row.Expr.Column()
		in.RowArguments[key] = &pluginv1.RowArgument{Type: row.Expr.ColumnType, RowsOf: row.Of, Column: column}
	}
	return in, nil
}

// InputPort describes an input that is the output p of another node. rows is
// nil if they are not known yet.
func InputPort(p *Port, rows *int64) *pluginv1.Input {
	in := &pluginv1.Input{
		Kind: kindToProto(p.Kind), Columns: p.Columns.Proto(), Rows: rows, Format: p.Format, Capabilities: p.Capabilities,
	}
	if p.Signature != nil {
		in.Signature = p.Signature.Proto()
	}
	return in
}

// Proto is the signature in the form of the plugin protocol.
func (s *Signature) Proto() *pluginv1.Signature {
	return &pluginv1.Signature{Inputs: s.Inputs.Proto(), Outputs: s.Outputs.Proto()}
}

// SignatureFromProto reads what Proto wrote; nil gives nil.
func SignatureFromProto(s *pluginv1.Signature) *Signature {
	if s == nil {
		return nil
	}
	return &Signature{Inputs: data.FromProto(s.Inputs), Outputs: data.FromProto(s.Outputs)}
}

func kindToProto(kind string) pluginv1.ArtifactKind {
	switch kind {
	case KindDataset:
		return pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET
	case KindModel:
		return pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL
	case KindReport:
		return pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT
	}
	return pluginv1.ArtifactKind_ARTIFACT_KIND_UNSPECIFIED
}

// KindFromProto is the name of an artifact kind; "" for one that is unknown.
func KindFromProto(kind pluginv1.ArtifactKind) string {
	switch kind {
	case pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET:
		return KindDataset
	case pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL:
		return KindModel
	case pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT:
		return KindReport
	case pluginv1.ArtifactKind_ARTIFACT_KIND_PROMPT:
		return KindPrompt
	}
	return ""
}
