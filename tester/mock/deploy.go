package mock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// deployed is what a mocked deployment remembers: what was deployed, and how.
type deployed struct {
	Config  string            `json:"config"` // its digest, because it may contain secrets
	Digests map[string]string `json:"digests"`
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// ReadDeployment implements the protocol. A mocked deployment is as it was left.
func (s *server) ReadDeployment(_ context.Context, req *pluginv1.ReadDeploymentRequest) (*pluginv1.ReadDeploymentResponse, error) {
	return &pluginv1.ReadDeploymentResponse{State: req.State}, nil
}

// PlanDeployment implements the protocol.
func (s *server) PlanDeployment(_ context.Context, req *pluginv1.PlanDeploymentRequest) (*pluginv1.PlanDeploymentResponse, error) {
	if req.Prior == nil {
		return &pluginv1.PlanDeploymentResponse{Action: pluginv1.DeploymentAction_DEPLOYMENT_ACTION_CREATE}, nil
	}
	var before deployed
	if err := json.Unmarshal(req.Prior.Private, &before); err != nil {
		return nil, err
	}
	out := &pluginv1.PlanDeploymentResponse{Action: pluginv1.DeploymentAction_DEPLOYMENT_ACTION_NONE}
	for _, key := range slices.Sorted(maps.Keys(before.Digests)) {
		if now := req.Digests[key]; now != before.Digests[key] {
			out.Changes = append(out.Changes, &pluginv1.Change{Argument: key, Before: before.Digests[key], After: now})
		}
	}
	if len(out.Changes) > 0 || before.Config != digest(req.Instance.Config) {
		out.Action = pluginv1.DeploymentAction_DEPLOYMENT_ACTION_UPDATE
	}
	return out, nil
}

// ApplyDeployment implements the protocol. It deploys nothing.
func (s *server) ApplyDeployment(ctx context.Context, req *pluginv1.ApplyDeploymentRequest) (*pluginv1.ApplyDeploymentResponse, error) {
	failed := func(err error) (*pluginv1.ApplyDeploymentResponse, error) {
		return &pluginv1.ApplyDeploymentResponse{Diagnostics: []*pluginv1.Diagnostic{s.problem("%s", err)}}, nil
	}
	p, err := s.prepare(ctx, proto.Clone(req.Instance).(*pluginv1.Instance))
	if err != nil {
		return nil, err
	}
	v, err := s.value(p.ValueType, req.Instance)
	if err != nil {
		return failed(err)
	}
	now := deployed{Config: digest(req.Instance.Config), Digests: map[string]string{}}
	for key, in := range req.Inputs {
		now.Digests[key] = in.Digest
	}
	out := &pluginv1.DeploymentState{Version: s.stageType().GetStateVersion()}
	if out.Private, err = json.Marshal(now); err != nil {
		return failed(err)
	}
	if out.Value, err = client.EncodeValue(v); err != nil {
		return failed(err)
	}
	return &pluginv1.ApplyDeploymentResponse{State: out}, nil
}

// DeleteDeployment implements the protocol.
func (s *server) DeleteDeployment(context.Context, *pluginv1.DeleteDeploymentRequest) (*pluginv1.DeleteDeploymentResponse, error) {
	return &pluginv1.DeleteDeploymentResponse{}, nil
}

// Stop implements the protocol. Mocks are quick.
func (s *server) Stop(context.Context, *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	return &pluginv1.StopResponse{}, nil
}
