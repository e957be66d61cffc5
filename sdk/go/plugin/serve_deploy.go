package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/msgpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type deployable interface {
	Type
	read(context.Context, *pluginv1.ReadDeploymentRequest) *pluginv1.ReadDeploymentResponse
	plan(context.Context, *pluginv1.PlanDeploymentRequest) *pluginv1.PlanDeploymentResponse
	apply(context.Context, *pluginv1.ApplyDeploymentRequest) *pluginv1.ApplyDeploymentResponse
	remove(context.Context, *pluginv1.DeleteDeploymentRequest) *pluginv1.DeleteDeploymentResponse
	imports(context.Context, *pluginv1.ImportDeploymentRequest) (*pluginv1.ImportDeploymentResponse, error)
}

type deployment[A any] struct {
	core[A]
	impl Deployment[A]
}

func (d *deployment[A]) read(ctx context.Context, req *pluginv1.ReadDeploymentRequest) *pluginv1.ReadDeploymentResponse {
	args, state, err := d.request(ctx, req.Instance, req.State)
	if err != nil {
		return &pluginv1.ReadDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	now, err := d.impl.Read(ctx, &DeploymentReadRequest[A]{Args: args, State: state})
	out, stateErr := d.protoState(now)
	return &pluginv1.ReadDeploymentResponse{Diagnostics: diagnostics(errors.Join(err, stateErr)), State: out}
}

// plan allows unknown arguments: it is called while planning.
func (d *deployment[A]) plan(ctx context.Context, req *pluginv1.PlanDeploymentRequest) *pluginv1.PlanDeploymentResponse {
	args := new(A)
	unknown, err := decodeConfig(req.Instance, reflect.ValueOf(args).Elem(), true)
	if err != nil {
		return &pluginv1.PlanDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	prior, err := d.state(ctx, req.Instance, req.Prior)
	if err != nil {
		return &pluginv1.PlanDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	planned, err := d.impl.Plan(ctx, &DeploymentPlanRequest[A]{
		Args: args, Prior: prior, digests: req.Digests, inputs: req.Inputs, unknown: unknown,
	})
	out := &pluginv1.PlanDeploymentResponse{Diagnostics: diagnostics(err)}
	if now, stateErr := d.protoState(prior); stateErr == nil && !proto.Equal(now, req.Prior) {
		out.Upgraded = now
	}
	if planned == nil {
		return out
	}
	out.Action, out.Coexists = pluginv1.DeploymentAction(planned.Action), planned.Coexists
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
	prior, err := d.state(ctx, req.Instance, req.Prior)
	if err != nil {
		return &pluginv1.ApplyDeploymentResponse{Diagnostics: diagnostics(err)}
	}
	warned := &warnings{}
	state, err := d.impl.Apply(ctx, &DeploymentApplyRequest[A]{
		Args: args, Prior: prior, WorkDir: req.WorkDir, inputs: req.Inputs, warnings: warned,
	})
	if err == nil {
		err = d.checkState(state, prepared.ValueType)
	}
	out, stateErr := d.protoState(state)
	return &pluginv1.ApplyDeploymentResponse{Diagnostics: append(diagnostics(errors.Join(err, stateErr)), warned.all...), State: out}
}

func (d *deployment[A]) remove(ctx context.Context, req *pluginv1.DeleteDeploymentRequest) *pluginv1.DeleteDeploymentResponse {
	args, state, err := d.request(ctx, req.Instance, req.State)
	warned := &warnings{}
	if err == nil {
		err = d.impl.Delete(ctx, &DeploymentDeleteRequest[A]{Args: args, State: state, warnings: warned})
	}
	return &pluginv1.DeleteDeploymentResponse{Diagnostics: append(diagnostics(err), warned.all...)}
}

func (d *deployment[A]) imports(ctx context.Context, req *pluginv1.ImportDeploymentRequest) (*pluginv1.ImportDeploymentResponse, error) {
	importer, ok := d.impl.(Importer[A])
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "%s %q cannot import deployments", d.info.Kind, d.info.Name)
	}
	args, _, err := d.ready(ctx, req.Instance)
	if err != nil {
		return &pluginv1.ImportDeploymentResponse{Diagnostics: diagnostics(err)}, nil
	}
	found, err := importer.Import(ctx, &DeploymentImportRequest[A]{Args: args, ID: req.Id})
	out, stateErr := d.protoState(found)
	return &pluginv1.ImportDeploymentResponse{Diagnostics: diagnostics(errors.Join(err, stateErr)), State: out}, nil
}

// request decodes what Read and Delete get. The deployment may no longer be
// configured, so unknown arguments are zero.
func (d *deployment[A]) request(ctx context.Context, in *pluginv1.Instance, s *pluginv1.DeploymentState) (*A, *DeploymentState, error) {
	args := new(A)
	if _, err := decodeConfig(in, reflect.ValueOf(args).Elem(), true); err != nil {
		return nil, nil, err
	}
	state, err := d.state(ctx, in, s)
	return args, state, err
}

// warnings collects the warnings of an implementation.
type warnings struct{ all []*pluginv1.Diagnostic }

func (w *warnings) warnf(argument, format string, args []any) {
	w.all = append(w.all, described(pluginv1.Diagnostic_SEVERITY_WARNING, argument, fmt.Sprintf(format, args...)))
}

// checkState compares a state with what Prepare declared.
func (d *deployment[A]) checkState(s *DeploymentState, typeJSON []byte) error {
	if s == nil {
		return d.fault(errors.New("Apply returned neither a state nor an error"))
	}
	if len(typeJSON) == 0 {
		return nil
	}
	if _, err := encodeDeclared(s.Value, typeJSON); err != nil {
		return d.fault(err)
	}
	return nil
}

// protoState encodes a state. With an error, it returns the part that can be
// sent.
func (d *deployment[A]) protoState(s *DeploymentState) (*pluginv1.DeploymentState, error) {
	if s == nil {
		return nil, nil
	}
	v := s.Value
	if v == cty.NilVal {
		v = cty.EmptyObjectVal
	}
	out := &pluginv1.DeploymentState{Private: s.Private, Version: d.info.StateVersion}
	b, err := msgpack.Marshal(v, cty.DynamicPseudoType)
	if err == nil && len(b) > maxState {
		err = fmt.Errorf("its value has %d bytes, but the limit is %d", len(b), maxState)
	}
	if err == nil {
		out.Value = b
	}
	if len(s.Private) > maxState {
		err = errors.Join(err, fmt.Errorf("its private notes have %d bytes, and at most %d are allowed", len(s.Private), maxState))
		out.Private = nil
	}
	if err != nil {
		err = d.fault(fmt.Errorf("the deployment's state cannot be written: %w", err))
	}
	return out, err
}

// maxState limits the size of a state's value and of its private data, in
// bytes: a message that is too large would be lost as a whole.
const maxState = 64 << 20

// state decodes a state, upgrades one that an earlier version of the plugin
// wrote, and adds the attributes that are declared now.
func (d *deployment[A]) state(ctx context.Context, in *pluginv1.Instance, s *pluginv1.DeploymentState) (*DeploymentState, error) {
	if s == nil {
		return nil, nil
	}
	v, err := unmarshalConfig(s.Value)
	if err != nil {
		return nil, fmt.Errorf("read the state of the deployment: %w", err)
	}
	out := &DeploymentState{Value: v, Private: s.Private}
	if s.Version > d.info.StateVersion {
		return nil, fmt.Errorf("the state of the deployment is newer than the plugin\nA later version of plugin %q wrote it (state version %d; this version reads states up to %d). Install the later version.",
			d.plugin, s.Version, d.info.StateVersion)
	}
	if s.Version < d.info.StateVersion {
		u, ok := d.impl.(StateUpgrader)
		if !ok {
			return nil, d.fault(fmt.Errorf("its StateVersion is %d, but it cannot upgrade a state of version %d: it does not implement StateUpgrader", d.info.StateVersion, s.Version))
		}
		if out, err = u.UpgradeState(ctx, s.Version, out); err != nil {
			return nil, fmt.Errorf("upgrade the state of the deployment from version %d to %d: %w", s.Version, d.info.StateVersion, err)
		}
		if out == nil {
			return nil, d.fault(errors.New("UpgradeState returned neither a state nor an error"))
		}
	}
	if declared := d.declared(ctx, in); declared != cty.NilType {
		if out.Value, err = conform(out.Value, declared); err != nil {
			return nil, d.fault(fmt.Errorf("the stored state no longer matches the value type (%w): raise StateVersion and implement StateUpgrader", err))
		}
	}
	return out, nil
}

// declared returns the type of the state's value; cty.NilType if it is not
// known. A deployment that is no longer configured has no arguments, which
// Prepare may not expect.
func (d *deployment[A]) declared(ctx context.Context, in *pluginv1.Instance) cty.Type {
	var prepared *pluginv1.Prepared
	err := parallel.Call(func() error {
		_, prepared = d.instantiate(ctx, in, true)
		return nil
	})
	var t cty.Type
	if err != nil || len(prepared.GetValueType()) == 0 || t.UnmarshalJSON(prepared.ValueType) != nil {
		return cty.NilType
	}
	return t
}

// conform gives a value the attributes of a type: missing ones are null, extra
// ones are dropped.
func conform(v cty.Value, t cty.Type) (cty.Value, error) {
	if !t.IsObjectType() || v == cty.NilVal || v.IsNull() || !v.Type().IsObjectType() {
		if v == cty.NilVal {
			return cty.NullVal(t), nil
		}
		return convert.Convert(v, t)
	}
	attrs := map[string]cty.Value{}
	for name, typ := range t.AttributeTypes() {
		if !v.Type().HasAttribute(name) {
			attrs[name] = cty.NullVal(typ)
			continue
		}
		attr, err := conform(v.GetAttr(name), typ)
		if err != nil {
			return cty.NilVal, fmt.Errorf("attribute %q: %w", name, err)
		}
		attrs[name] = attr
	}
	return cty.ObjectVal(attrs), nil
}
