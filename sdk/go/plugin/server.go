package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// server implements PluginService for a Plugin. Failures of the work are
// diagnostics in the response; a status is for calls that violate the protocol.
type server struct {
	pluginv1.UnimplementedPluginServiceServer
	plugin Plugin
	broker *goplugin.GRPCBroker
	schema *pluginv1.GetSchemaResponse
	types  map[typeName]Type
	// functions are those for expressions, by name.
	functions map[string]Function
	calls     *stoppable
	// trained are the language models that the plugin trained, by digest.
	trained *opened[string, *Language]
}

type typeName struct{ kind, name string }

// newServer checks the plugin's types. Errors are mistakes of the plugin's
// author.
func newServer(p Plugin) (*server, error) {
	s := &server{plugin: p, types: map[typeName]Type{}, calls: &stoppable{}, trained: &opened[string, *Language]{}}
	s.schema = &pluginv1.GetSchemaResponse{Version: p.Version, Config: &pluginv1.Body{}}
	if p.Config != nil {
		t := reflect.TypeOf(p.Config)
		if t.Kind() != reflect.Pointer {
			return nil, fmt.Errorf("Plugin.Config is a %s, but must be a pointer to a struct", t)
		}
		body, err := bodySchema(t.Elem())
		if err != nil {
			return nil, fmt.Errorf("Plugin.Config: %w", err)
		}
		s.schema.Config = body
	}
	var errs []error
	for _, t := range p.Types {
		t.named(p.Name)
		schema, err := t.schema()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name := typeName{schema.Kind, schema.Name}
		if s.types[name] != nil {
			errs = append(errs, fmt.Errorf("%s %q is declared twice", schema.Kind, schema.Name))
		}
		s.types[name] = t
		s.schema.Types = append(s.schema.Types, schema)
	}
	errs = append(errs, s.addFunctions(p.Functions))
	return s, errors.Join(errs...)
}

func (s *server) GetSchema(context.Context, *pluginv1.GetSchemaRequest) (*pluginv1.GetSchemaResponse, error) {
	return s.schema, nil
}

func (s *server) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if s.plugin.Config != nil {
		into := reflect.ValueOf(s.plugin.Config).Elem()
		if _, err := decodeConfig(&pluginv1.Instance{Config: req.Config}, into, false); err != nil {
			return &pluginv1.ConfigureResponse{Diagnostics: diagnostics(err)}, nil
		}
	}
	var err error
	if s.plugin.Configure != nil {
		err = s.plugin.Configure(ctx, req.Root)
	}
	return &pluginv1.ConfigureResponse{Diagnostics: diagnostics(err)}, nil
}

func (s *server) Prepare(ctx context.Context, req *pluginv1.PrepareRequest) (*pluginv1.PrepareResponse, error) {
	out := &pluginv1.PrepareResponse{Prepared: make([]*pluginv1.Prepared, len(req.Instances))}
	for i, in := range req.Instances {
		t, err := find[Type](s, in)
		if err != nil {
			return nil, err
		}
		out.Prepared[i] = t.prepare(ctx, in)
		if err := ctx.Err(); err != nil {
			return nil, status.FromContextError(err).Err()
		}
	}
	return out, nil
}

func (s *server) Fingerprint(ctx context.Context, req *pluginv1.FingerprintRequest) (*pluginv1.FingerprintResponse, error) {
	t, err := find[readable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.fingerprint(ctx, req), nil
}

func (s *server) Read(req *pluginv1.ReadRequest, stream pluginv1.PluginService_ReadServer) error {
	t, err := find[readable](s, req.Instance)
	if err != nil {
		return err
	}
	out := readStream{&sender[pluginv1.ReadResponse]{stream: stream}, &throttle{}}
	defer out.close()
	return finish(stream.Context(), t.read(stream.Context(), req, out), func(d *pluginv1.Diagnostic) error {
		return out.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Diagnostic{Diagnostic: d}})
	})
}

func (s *server) Preview(req *pluginv1.PreviewRequest, stream pluginv1.PluginService_PreviewServer) error {
	t, err := find[readable](s, req.Instance)
	if err != nil {
		return err
	}
	out := readStream{&sender[pluginv1.ReadResponse]{stream: stream}, &throttle{}}
	defer out.close()
	if err = t.preview(stream.Context(), req, out); errors.Is(err, errNoPreview) {
		return err
	}
	return finish(stream.Context(), err, func(d *pluginv1.Diagnostic) error {
		return out.send(&pluginv1.ReadResponse{Event: &pluginv1.ReadResponse_Diagnostic{Diagnostic: d}})
	})
}

func (s *server) Map(stream pluginv1.PluginService_MapServer) error {
	first, err := begin(stream.Recv)
	if err != nil {
		return err
	}
	t, err := find[mappable](s, first.GetStart())
	if err != nil {
		return err
	}
	host := s.dialHost(stream.Context(), first)
	defer host.close()
	return finish(stream.Context(), t.serveMap(stream.Context(), first, stream, host), func(d *pluginv1.Diagnostic) error {
		return stream.Send(&pluginv1.MapResponse{Diagnostics: []*pluginv1.Diagnostic{d}})
	})
}

func (s *server) Run(req *pluginv1.RunRequest, stream pluginv1.PluginService_RunServer) error {
	t, err := find[runnable](s, req.Instance)
	if err != nil {
		return err
	}
	host := s.dialHost(stream.Context(), req)
	defer host.close()
	out := runStream{&sender[pluginv1.RunResponse]{stream: stream}, &throttle{}}
	defer out.close()
	ctx, over := s.calls.begin(stream.Context(), req.Call)
	defer over()
	return finish(ctx, t.run(ctx, req, out, host), func(d *pluginv1.Diagnostic) error {
		return out.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Diagnostic{Diagnostic: d}})
	})
}

func (s *server) CheckSample(ctx context.Context, req *pluginv1.CheckSampleRequest) (*pluginv1.CheckSampleResponse, error) {
	t, err := find[runnable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.checkSample(ctx, req)
}

func (s *server) Predict(stream pluginv1.PluginService_PredictServer) error {
	first, err := begin(stream.Recv)
	if err != nil {
		return err
	}
	err = servePredict(stream.Context(), s.plugin.Types, first.GetStart(), stream)
	crash(err)
	if isMalformed(err) {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err != nil && stream.Context().Err() == nil {
		// Predictions have no diagnostics.
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return err
}

func (s *server) Chat(stream pluginv1.PluginService_ChatServer) error {
	model, err := s.beginChat(stream)
	if err != nil {
		return err
	}
	return wire.Answer(stream, func(ctx context.Context, req *pluginv1.ChatRequest) (*pluginv1.ChatResponse, error) {
		return model.chat(ctx, req.GetRequest())
	})
}

// beginChat receives what says which model is called: a block, the trained model
// that it wraps, or a trained model alone.
func (s *server) beginChat(stream pluginv1.PluginService_ChatServer) (calledModel, error) {
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return calledModel{}, err
	}
	block, trained := first.GetStart(), first.GetTrained()
	if len(block.GetInputs()) > 0 {
		if _, err := find[callable](s, block); err != nil {
			return calledModel{}, err
		}
		second, err := stream.Recv()
		if err == nil && second.GetTrained() == nil || errors.Is(err, io.EOF) {
			err = status.Error(codes.InvalidArgument, "the second request must contain trained, because the block wraps a model")
		}
		if err != nil {
			return calledModel{}, err
		}
		trained = second.GetTrained()
	}
	return s.called(block, trained)
}

// called returns the model of a block, or a trained model alone.
func (s *server) called(block *pluginv1.Instance, trained *pluginv1.Artifact) (calledModel, error) {
	switch {
	case block != nil:
		t, err := find[callable](s, block)
		if err != nil {
			return calledModel{}, err
		}
		return t.called(block, trained), nil
	case trained != nil:
		return s.trainedModel(trained)
	}
	return calledModel{}, errNoStart
}

func (s *server) Embed(ctx context.Context, req *pluginv1.EmbedRequest) (*pluginv1.EmbedResponse, error) {
	model, err := s.called(req.GetModel(), req.GetTrained())
	if err != nil {
		return nil, err
	}
	return model.embed(ctx, req.GetTexts())
}

func (s *server) CheckModel(ctx context.Context, req *pluginv1.CheckModelRequest) (*pluginv1.CheckModelResponse, error) {
	t, err := find[callable](s, req.Model)
	if err != nil {
		return nil, err
	}
	return t.check(ctx, req.Model), nil
}

func (s *server) Stop(_ context.Context, req *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	s.calls.stop(req.Call)
	return &pluginv1.StopResponse{}, nil
}

func (s *server) ReadDeployment(ctx context.Context, req *pluginv1.ReadDeploymentRequest) (*pluginv1.ReadDeploymentResponse, error) {
	t, err := find[deployable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.read(ctx, req), nil
}

func (s *server) PlanDeployment(ctx context.Context, req *pluginv1.PlanDeploymentRequest) (*pluginv1.PlanDeploymentResponse, error) {
	t, err := find[deployable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.plan(ctx, req), nil
}

func (s *server) ApplyDeployment(ctx context.Context, req *pluginv1.ApplyDeploymentRequest) (*pluginv1.ApplyDeploymentResponse, error) {
	t, err := find[deployable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.apply(ctx, req), nil
}

func (s *server) DeleteDeployment(ctx context.Context, req *pluginv1.DeleteDeploymentRequest) (*pluginv1.DeleteDeploymentResponse, error) {
	t, err := find[deployable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.remove(ctx, req), nil
}

func (s *server) ImportDeployment(ctx context.Context, req *pluginv1.ImportDeploymentRequest) (*pluginv1.ImportDeploymentResponse, error) {
	t, err := find[deployable](s, req.Instance)
	if err != nil {
		return nil, err
	}
	return t.imports(ctx, req)
}

// errNoStart is for a stream that does not begin as it must.
var errNoStart = status.Error(codes.InvalidArgument, "the first request must contain start")

// begin receives the request that starts a stream.
func begin[Q interface{ GetStart() *S }, S any](recv func() (Q, error)) (Q, error) {
	first, err := recv()
	if errors.Is(err, io.EOF) || err == nil && first.GetStart() == nil {
		err = errNoStart
	}
	return first, err
}

// find returns the type of an instance, if the type supports the call.
func find[T Type](s *server, in *pluginv1.Instance) (T, error) {
	var none T
	t, ok := s.types[typeName{in.GetKind(), in.GetType()}]
	if !ok {
		return none, status.Errorf(codes.NotFound, "the plugin has no %s %q", in.GetKind(), in.GetType())
	}
	able, ok := t.(T)
	if !ok {
		return none, status.Errorf(codes.InvalidArgument, "%s %q does not support this call", in.GetKind(), in.GetType())
	}
	return able, nil
}

// finish ends a stream: a failure of the work becomes a diagnostic, a failure
// of the stream is returned unchanged.
func finish(ctx context.Context, err error, send func(*pluginv1.Diagnostic) error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if isMalformed(err) {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return send(diagnostic(err))
}
