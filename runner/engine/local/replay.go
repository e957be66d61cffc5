package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Replay asks the plugin of a row-wise stage for one row of its input again, and drops
// what it answers. The engine must have been opened with Options.Replay.
func (e *Engine) Replay(ctx context.Context, t *engine.Task, row int64) error {
	s, err := e.bind(t)
	if err != nil {
		return err
	}
	own := *t
	own.Environment = fmt.Sprint("replay-", os.Getpid()) // its folder is not that of a run
	a := &attempt{Engine: e, Stage: s, task: &own, res: &engine.Result{}, end: ctx, guard: &guard{Stage: s, redactor: e.redactor, blobs: e.Store.Blobs}}
	port, in, err := a.rowsInput()
	if err != nil {
		return err
	}
	others, discard, err := a.otherInputs(ctx, port.RowsOf)
	if err != nil {
		return err
	}
	return errors.Join(a.replay(ctx, a.rowwiseStage(port, in), others, row), discard())
}

func (a *attempt) replay(ctx context.Context, of rowwise.Stage, others map[string]*pluginv1.Artifact, row int64) error {
	served := a.serve(ctx, others)
	defer served.close()
	stop := func() {}
	defer func() { stop() }()
	return served.outcome(rowwise.Replay(served.ctx, of, rowwise.Services{
		Blobs: a.Store.Blobs,
		Map: func(ctx context.Context) (call pluginv1.PluginService_MapClient, err error) {
			call, stop, err = a.openMap(ctx, served, others)
			return call, err
		},
	}, row))
}
