package rowwise

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// The pipeline is fetch → prepare → ask → (plugin) → merge → write, each in its
// own goroutine, so that reading, keying, transport, and writing overlap.
// Blocks stay in order. Slots bound the work in flight.
const (
	// slotBytes bounds the rows between ask and write.
	slotBytes = 64 << 20
	// leastSlot and leastSlotRow bound the number of small blocks and of short
	// rows in flight, because a crash loses whatever is in flight.
	leastSlot    = 1 << 20
	leastSlotRow = 512
	// smallSlot replaces leastSlot if a plugin wants few rows per request: it
	// waits for something for each row, has many requests open, and must not
	// run out of rows while results are synced.
	smallSlot = 1 << 18
	// stopGrace is how long a stopped stage waits for outstanding answers.
	stopGrace = 5 * time.Second
	// settleTime is how long it takes to write results after the last call of a
	// model was answered. The remaining rows wait for calls that are not made.
	settleTime = 500 * time.Millisecond
)

// compute computes the shards whose results are not known.
func (j *job) compute(ctx context.Context) error {
	missing := j.missing()
	if len(missing) == 0 {
		return nil
	}
	if err := j.remember(ctx, missing); err != nil {
		return err
	}
	if j.calls() {
		var err error
		if j.log, err = j.Pending.Open(j.Definition, j.Owner, j.Fresh); err != nil {
			return err
		}
	}
	p := &pipeline{job: j, slots: semaphore.NewWeighted(slotBytes), tooMany: make(chan *TooManyErrors, 1)}
	err := p.run(ctx, missing)
	if failed := p.endLog(err); failed != nil {
		return errors.Join(err, failed)
	}
	if err == nil && p.stopped {
		return ErrStopped
	}
	return err
}

// endLog ends the log of a run that ended with an error, or with nil.
func (p *pipeline) endLog(err error) error {
	switch {
	case p.log == nil:
		return nil
	case err != nil:
		return p.log.Abandon()
	}
	return p.log.Close(!p.stopped)
}

type pipeline struct {
	*job
	slots   *semaphore.Weighted
	stream  *stream // nil if the plugin is not called
	stopped bool    // fetch has seen the stop; read only after run
	// tooMany receives an error as soon as the plugin reports that more rows
	// have failed than allowed.
	tooMany chan *TooManyErrors
}

func (p *pipeline) run(ctx context.Context, shards []int) error {
	ended := make(chan struct{})
	defer close(ended)
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go p.enforceStop(cancel, ended)

	g, work := parallel.WithContext(limited)
	batches := make(chan fetched)
	blocks := make(chan *block, 2)
	asked := make(chan *block, slotBytes/smallSlot)
	merged := make(chan *block, 2)
	g.Go(func() error { defer close(batches); return p.fetch(work, shards, batches) })
	g.Go(func() error { defer close(blocks); return p.prepareAll(work, batches, blocks) })
	g.Go(func() error { defer close(asked); return p.ask(work, blocks, asked) })
	g.Go(func() error { defer close(merged); return p.merge(work, asked, merged) })
	// Answers that came back are written even if something else has failed or
	// the time is up: the writer ends with its channel, not with a context.
	g.Go(func() error { return p.write(context.WithoutCancel(ctx), merged) })
	err := g.Wait()
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}

// enforceStop ends the work after a stop, or after more rows have failed than
// allowed: when outstanding calls of models are answered, or after a grace
// period.
func (p *pipeline) enforceStop(cancel context.CancelCauseFunc, ended <-chan struct{}) {
	cause := ErrStopped
	var grace <-chan time.Time
	select {
	case <-p.Stop:
		grace = time.After(stopGrace)
	case many := <-p.tooMany:
		cause = many
	case <-ended:
		return
	}
	var idle <-chan struct{}
	if p.Halt != nil {
		idle = p.Halt()
	}
	for {
		select {
		case <-idle:
			idle, grace = nil, time.After(settleTime)
		case <-grace:
			cancel(cause)
			return
		case <-ended:
			return
		}
	}
}

// failing receives the number of rows that the plugin reports as failed, before
// it has answered their batches.
func (p *pipeline) failing(rows int64, message string) {
	if rows <= p.MaxErrors {
		return
	}
	select {
	case p.tooMany <- &TooManyErrors{Failed: rows, Allowed: p.MaxErrors, Failures: []Failure{{Row: -1, Message: message}}}:
	default: // it is known
	}
}

func (p *pipeline) fetch(ctx context.Context, shards []int, out chan<- fetched) error {
	for _, i := range shards {
		first := int64(0)
		for rec, err := range p.readShard(ctx, i) {
			if err != nil {
				return err
			}
			rec.Retain()
			select {
			case out <- fetched{i, first, rec}:
			case <-p.Stop:
				p.stopped = true
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
			first += rec.NumRows()
		}
	}
	return nil
}

func (p *pipeline) prepareAll(ctx context.Context, in <-chan fetched, out chan<- *block) error {
	recent := newWindow()
	for f := range in {
		err := p.prepare(ctx, f, recent, func(b *block) error { return send(ctx, out, b) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pipeline) ask(ctx context.Context, in <-chan *block, out chan<- *block) error {
	for b := range in {
		if err := p.slots.Acquire(ctx, b.weight); err != nil {
			return err
		}
		if p.calls() {
			if err := p.askFor(ctx, b); err != nil {
				return err
			}
		}
		if err := send(ctx, out, b); err != nil {
			return err
		}
	}
	return nil
}

// askFor sends the rows of a block that need the plugin. The first such block
// starts the call, so a stage whose rows are all known needs no plugin.
func (p *pipeline) askFor(ctx context.Context, b *block) error {
	if b.request == nil {
		return nil
	}
	if p.stream == nil {
		client, err := p.Map(ctx)
		if err != nil {
			return err
		}
		s := &stream{client: client, made: p.made.Arrow(), expands: p.Expands, pace: p.pace, finished: p.progress.finish, failing: p.failing, waits: waits{p.log, p.Redact, p.GuardToken}}
		if err := s.start(p.Start); err != nil {
			return err
		}
		p.stream = s
	}
	var err error
	b.question, err = p.stream.ask(b.request, b.askedKeys())
	return err
}

func (p *pipeline) merge(ctx context.Context, in <-chan *block, out chan<- *block) error {
	for b := range in {
		if p.calls() {
			if err := p.answer(ctx, b); err != nil {
				return err
			}
		}
		if err := send(ctx, out, b); err != nil {
			return err
		}
	}
	// The channel is closed early if something fails.
	if p.stream == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return p.stream.close()
}

func send(ctx context.Context, out chan<- *block, b *block) error {
	select {
	case out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
