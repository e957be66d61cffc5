package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
)

// The pause before another attempt doubles from the first to the last.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// attempts carries out a node, and again after a failure as often as its
// retries say.
func (r *run) attempts(ctx context.Context, n *plan.Node, res *StageResult) error {
	pause := firstPause
	healed := false
	for attempt := 1; ; attempt++ {
		err := r.attempt(ctx, n, res)
		if err == nil || r.stopping() {
			return err
		}
		// Earlier results that were found damaged when they were read are set
		// aside by now, so the next attempt makes them again. An attempt that
		// did not even begin costs none of those that were asked for.
		if !healed && heals(err) {
			healed = true
			attempt--
			continue
		}
		if attempt > n.Retries || !retriable(err) {
			return err
		}
		r.emit(events.Event{Type: events.StageRetried, Address: n.Address, Retry: &events.Retry{
			Attempt: attempt, Of: n.Retries + 1, Wait: pause.Seconds(), Error: err.Error(),
		}})
		if err := sleep(r.soft, pause); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// heals says whether the error is about earlier results of the stage itself
// that are missing or damaged.
func heals(err error) bool {
	var input *rowwise.InputError
	var upstream *inputError
	return blob.Unavailable(err) && !errors.As(err, &input) && !errors.As(err, &upstream)
}

// retriable says whether another attempt may end otherwise.
func retriable(err error) bool {
	var final *failure
	var many *rowwise.TooManyErrors
	var bug *parallel.Panic
	return !errors.As(err, &final) && !errors.As(err, &many) && !errors.As(err, &bug) && !hopeless(err)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// timedOut is the cause of a context that a stage's timeout ended.
type timedOut struct{ after time.Duration }

func (e *timedOut) Error() string { return fmt.Sprintf("it did not finish within %s", e.after) }

// attempt carries out a node once.
func (r *run) attempt(ctx context.Context, n *plan.Node, res *StageResult) error {
	if n.Mode == plan.ModeRead || n.Mode == plan.ModeRun {
		// A graceful stop ends the call; the plugin leaves a checkpoint.
		// Row-wise stages stop by themselves, deployments go on to their end.
		ctx = r.soft
	}
	if n.Timeout > 0 {
		// No deadline: the plugin would know it, and end the call before its
		// caller knows why.
		limited, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer time.AfterFunc(n.Timeout, func() { cancel(&timedOut{n.Timeout}) }).Stop()
		ctx = limited
	}
	err := r.carryOut(ctx, n, res)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r *run) carryOut(ctx context.Context, n *plan.Node, res *StageResult) error {
	switch {
	case n.Action == plan.Forget:
		res.Action = plan.Forget
		r.saver.set(n.Address, nil)
		return nil
	case n.Action == plan.Refresh:
		return r.takeInto(n, res)
	case n.Action == plan.Delete:
		return r.undeploy(ctx, n, res)
	case n.Action == plan.Keep:
		return r.checkKept(n, res)
	case n.Mode == plan.ModeDeploy:
		return r.deploy(ctx, n, res)
	case n.Mode == "":
		return r.gate(n, res)
	}
	return r.compute(ctx, n, res)
}
