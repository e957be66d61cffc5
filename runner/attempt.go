package runner

import (
	"context"
	"time"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
)

// The pause before the next attempt doubles from the first value to the last.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// attempts runs a node and, after failures, again, up to its number of retries.
func (r *run) attempts(ctx context.Context, n *plan.Node, res *StageResult) error {
	pause := firstPause
	healed := false
	for attempt := 1; ; attempt++ {
		err := r.attempt(ctx, n, res)
		if err == nil || isPending(err) || r.stopping() {
			return err
		}
		// Earlier results that were found damaged have been set aside by now,
		// so the next attempt computes them again. This attempt does not count
		// toward the retries.
		if !healed && failure.Heals(err) {
			healed = true
			attempt--
			continue
		}
		if attempt > n.Retries || failure.Final(err) {
			return err
		}
		r.reporter.Emit(events.Event{Type: events.StageRetried, Address: n.Address, Retry: &events.Retry{
			Attempt: attempt, Of: n.Retries + 1, Wait: pause.Seconds(), Error: err.Error(),
		}})
		if err := sleep(r.soft, pause); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
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

// attempt runs a node once.
func (r *run) attempt(ctx context.Context, n *plan.Node, res *StageResult) error {
	if n.Mode == plan.ModeDeploy {
		// A graceful stop lets it finish. The engine limits tasks.
		limited, end := failure.WithTimeout(ctx, n.Timeout)
		defer end()
		ctx = limited
	}
	err := r.carryOut(ctx, n, res)
	if err != nil && !isPending(err) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r *run) carryOut(ctx context.Context, n *plan.Node, res *StageResult) error {
	switch {
	case n.Action == plan.Forget:
		res.Action = plan.Forget
		r.saver.set(n.Address, nil)
		r.saver.setPending(n.Address, nil)
		r.saver.setRejected(n.Address, nil)
		return nil
	case n.Action == plan.Refresh:
		return r.deployer.takeInto(n, res)
	case n.Action == plan.Delete:
		return r.deployer.undeploy(ctx, n, res)
	case n.Action == plan.Keep:
		return r.checker.checkKept(n, res)
	case n.Action == plan.Check && n.Mode != "":
		return r.computer.recheck(ctx, n, res)
	case n.Mode == plan.ModeDeploy:
		return r.deployer.deploy(ctx, n, res)
	case n.Mode == "":
		return r.gates.gate(n, res)
	}
	return r.computer.compute(ctx, n, res)
}
