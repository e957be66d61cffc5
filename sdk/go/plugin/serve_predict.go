package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// servePredict loads a model and answers the batches in order.
func servePredict(ctx context.Context, types []Type, model *pluginv1.Artifact, stream pluginv1.PluginService_PredictServer) error {
	loader, err := findLoader(types, model.GetFormat())
	if err != nil {
		return err
	}
	files := newModelFiles(model)
	predictor, err := loader.LoadModel(ctx, files)
	if err != nil {
		return fmt.Errorf("load the model (%s): %w", files.Format, err)
	}
	if c, ok := predictor.(io.Closer); ok {
		defer c.Close()
	}
	work := func(ctx context.Context, req *pluginv1.PredictRequest) ([]*pluginv1.PredictResponse, error) {
		rec, err := requestRows(req.GetRows())
		if err != nil {
			return nil, err
		}
		defer rec.Release()
		messages, err := answer(ctx, predictor, rec, files.Signature.Outputs)
		if err != nil {
			return nil, fmt.Errorf("predict with the model (%s): %w", files.Format, err)
		}
		return messages, nil
	}
	return inOrder(ctx, 1, stream.Recv, work, sendAll(stream.Send))
}

func findLoader(types []Type, format string) (ModelLoader, error) {
	for _, t := range types {
		r, ok := t.(runnable)
		if !ok {
			continue
		}
		if l, ok := r.loader(); ok && slices.Contains(l.ModelFormats(), format) {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no type of the plugin can predict with models of format %q", format)
}

// answer returns the messages that answer a batch.
func answer(ctx context.Context, p Predictor, rec arrow.RecordBatch, want data.Schema) ([]*pluginv1.PredictResponse, error) {
	out, errs, err := p.Predict(ctx, rec)
	if err != nil {
		return nil, err
	}
	defer out.Release()
	if out.NumRows() != rec.NumRows() {
		return nil, fmt.Errorf("the plugin is faulty: it returned %d predictions for %d rows", out.NumRows(), rec.NumRows())
	}
	if err := fits(want, out); err != nil {
		return nil, fmt.Errorf("the plugin is faulty: %w", err)
	}
	messages, err := answerOf(out, nil, errs)
	if err != nil {
		return nil, fmt.Errorf("the plugin is faulty: %w", err)
	}
	responses := make([]*pluginv1.PredictResponse, len(messages))
	for i, m := range messages {
		responses[i] = &pluginv1.PredictResponse{Rows: m.Rows, Errors: m.Errors, More: m.More}
	}
	return responses, nil
}
