package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type deployable interface {
	Type
	read(context.Context, *pluginv1.ReadDeploymentRequest) *pluginv1.ReadDeploymentResponse
	plan(context.Context, *pluginv1.PlanDeploymentRequest) *pluginv1.PlanDeploymentResponse
	apply(context.Context, *pluginv1.ApplyDeploymentRequest) *pluginv1.ApplyDeploymentResponse
	remove(context.Context, *pluginv1.DeleteDeploymentRequest) *pluginv1.DeleteDeploymentResponse
}

type deployment[A any] struct {
	core[A]
	impl DeploymentImpl[A]
}

func (d *deployment[A]) read(ctx context.Context, req *pluginv1.ReadDeploymentRequest) *pluginv1.ReadDeploymentResponse {
	args, state, err := d.request(req.Instance, req.State)
	if err != nil {
		return &pluginv1.ReadDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	now, err := d.impl.Read(ctx, &DeploymentRead[A]{Args: args, State: state})
	out, stateErr := protoState(now)
	return &pluginv1.ReadDeploymentResponse{Diagnostics: diagnostics(errors.Join(err, stateErr)), State: out}
}

// plan allows unknown arguments: it is called when a plan is made.
func (d *deployment[A]) plan(ctx context.Context, req *pluginv1.PlanDeploymentRequest) *pluginv1.PlanDeploymentResponse {
	args := new(A)
	unknown, err := decodeConfig(req.Instance, reflect.ValueOf(args).Elem(), true)
	if err != nil {
		return &pluginv1.PlanDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	prior, err := stateFromProto(req.Prior)
	if err != nil {
		return &pluginv1.PlanDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	planned, err := d.impl.Plan(ctx, &DeploymentPlan[A]{
		Args: args, Prior: prior, digests: req.Digests, unknown: unknown,
	})
	out := &pluginv1.PlanDeploymentResponse{Diagnostics: diagnostics(err)}
	if planned == nil {
		return out
	}
	out.Action = pluginv1.DeploymentAction(planned.Action)
	for _, c := range planned.Changes {
		out.Changes = append(out.Changes, &pluginv1.Change{
			Argument: c.Argument, Before: c.Before, After: c.After, ForcesReplacement: c.ForcesReplacement,
		})
	}
	return out
}

func (d *deployment[A]) apply(ctx context.Context, req *pluginv1.ApplyDeploymentRequest) *pluginv1.ApplyDeploymentResponse {
	args, prepared, err := d.ready(ctx, req.Instance)
	if err != nil {
		return &pluginv1.ApplyDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	prior, err := stateFromProto(req.Prior)
	if err != nil {
		return &pluginv1.ApplyDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	state, err := d.impl.Apply(ctx, &DeploymentApply[A]{
		Args: args, Prior: prior, WorkDir: req.WorkDir, inputs: req.Inputs,
	})
	if err == nil {
		err = checkState(state, prepared.ValueType)
	}
	out, stateErr := protoState(state)
	return &pluginv1.ApplyDeploymentResponse{Diagnostics: diagnostics(errors.Join(err, stateErr)), State: out}
}

func (d *deployment[A]) remove(ctx context.Context, req *pluginv1.DeleteDeploymentRequest) *pluginv1.DeleteDeploymentResponse {
	args, state, err := d.request(req.Instance, req.State)
	if err == nil {
		err = d.impl.Delete(ctx, &DeploymentDelete[A]{Args: args, State: state})
	}
	return &pluginv1.DeleteDeploymentResponse{Diagnostics: diagnostics(err)}
}

// request decodes what Read and Delete get. What is deployed may be configured
// no longer, so arguments that are unknown are zero.
func (d *deployment[A]) request(in *pluginv1.Instance, s *pluginv1.DeploymentState) (*A, *State, error) {
	args := new(A)
	if _, err := decodeConfig(in, reflect.ValueOf(args).Elem(), true); err != nil {
		return nil, nil, err
	}
	state, err := stateFromProto(s)
	return args, state, err
}

// checkState holds a state to what Prepare declared.
func checkState(s *State, typeJSON []byte) error {
	if s == nil {
		return fmt.Errorf("the plugin is faulty\nApply returned neither a state nor an error.")
	}
	if len(typeJSON) == 0 {
		return nil
	}
	_, err := encodeDeclared(s.Value, typeJSON)
	return err
}

func protoState(s *State) (*pluginv1.DeploymentState, error) {
	if s == nil {
		return nil, nil
	}
	v := s.Value
	if v == cty.NilVal {
		v = cty.EmptyObjectVal
	}
	b, err := msgpack.Marshal(v, cty.DynamicPseudoType)
	if err != nil {
		return nil, fmt.Errorf("write the deployment's state: %w", err)
	}
	return &pluginv1.DeploymentState{Value: b, Private: s.Private}, nil
}

func stateFromProto(s *pluginv1.DeploymentState) (*State, error) {
	if s == nil {
		return nil, nil
	}
	v, err := unmarshalConfig(s.Value)
	if err != nil {
		return nil, fmt.Errorf("read the deployment's state: %w", err)
	}
	return &State{Value: v, Private: s.Private}, nil
}
