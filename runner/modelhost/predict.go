package modelhost

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Predict sends batches to the model's plugin and returns its answers.
func (h *Host) Predict(stage pluginv1.HostService_PredictServer) error {
	first, err := stage.Recv()
	if err != nil {
		return err
	}
	start, ok := first.GetEvent().(*pluginv1.HostServicePredictRequest_Start)
	if !ok {
		return status.Error(codes.InvalidArgument, "the first message of a prediction must name the model")
	}
	model, err := h.model(start.Start)
	if err != nil {
		return err
	}
	if h.hub.opts.Replay != nil {
		return status.Error(codes.FailedPrecondition, "no model predicts while requests are replayed")
	}
	if model.Language != nil && model.Language.Instance != nil {
		return status.Errorf(codes.FailedPrecondition, "%s cannot predict", model.Language.Address)
	}
	client, err := model.Connect(stage.Context())
	if err != nil {
		return fmt.Errorf("start plugin %s for the model at %q: %w", model.Plugin, start.Start, err)
	}
	ctx, cancel := context.WithCancel(stage.Context())
	defer cancel()
	maker, err := client.Predict(ctx)
	if err != nil {
		return fmt.Errorf("plugin %s: %w", model.Plugin, err)
	}
	if err := relay(ctx, stage, maker, model.Artifact); err != nil {
		return fmt.Errorf("plugin %s, which trained the model at %q: %w", model.Plugin, start.Start, err)
	}
	return nil
}

// relay ends when the maker has answered everything, or when either side ends
// the stream.
func relay(ctx context.Context, stage pluginv1.HostService_PredictServer, maker pluginv1.PluginService_PredictClient, model *pluginv1.Artifact) error {
	g, ctx := parallel.WithContext(ctx)
	ended := make(chan struct{})
	g.Go(func() error {
		defer close(ended)
		return backward(stage, maker)
	})
	// Recv on the stage's stream returns only when the call ends, so the
	// goroutine in it is not waited for: returning from Predict unblocks it.
	forwarded := make(chan error, 1)
	go func() { forwarded <- forward(stage, maker, model) }()
	g.Go(func() error {
		select {
		case err := <-forwarded:
			return err
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g.Wait()
}

func forward(stage pluginv1.HostService_PredictServer, maker pluginv1.PluginService_PredictClient, model *pluginv1.Artifact) error {
	if err := maker.Send(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Start{Start: model}}); err != nil {
		return sent(err)
	}
	for {
		req, err := stage.Recv()
		if errors.Is(err, io.EOF) {
			return maker.CloseSend()
		}
		if err != nil {
			return err
		}
		rows, ok := req.GetEvent().(*pluginv1.HostServicePredictRequest_Rows)
		if !ok {
			return status.Error(codes.InvalidArgument, "only the first message of a prediction can name a model")
		}
		if err := maker.Send(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Rows{Rows: rows.Rows}}); err != nil {
			return sent(err)
		}
	}
}

// sent drops io.EOF, because the receiver returns the reason of a broken
// stream.
func sent(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func backward(stage pluginv1.HostService_PredictServer, maker pluginv1.PluginService_PredictClient) error {
	for {
		resp, err := maker.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stage.Send(&pluginv1.HostServicePredictResponse{Rows: resp.GetRows(), Errors: resp.GetErrors(), More: resp.GetMore()}); err != nil {
			return err
		}
	}
}
