// Package walk runs a graph of tasks. Each task runs after the tasks that it
// needs, as many run at a time as the limits allow, and tasks with the longest
// path ahead of them run first. A failed task does not stop branches that do
// not need it.
//
// The package knows nothing about stages, plugins, or plans: the caller's
// function does the work of a task.
package walk

import (
	"context"
	"errors"
	"slices"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// Task is a unit of work.
type Task struct {
	ID string
	// Needs are the tasks that must be done first. An ID without a task counts
	// as done.
	Needs []string
	// Seconds is how long it is expected to take. 0 means unknown, and counts
	// as 1.
	Seconds float64
	Demand  Demand
}

// Demand is what a task uses while it runs.
type Demand struct {
	CPU    float64
	Memory int64 // bytes
	GPU    int
}

// Limits bound what runs at the same time. A zero field is not a limit. A task
// that demands more than a limit runs as if it demanded exactly the limit.
type Limits struct {
	Tasks  int
	CPU    float64
	Memory int64
	GPU    int
}

// Status is how a task ended.
type Status int

const (
	Done        Status = iota + 1
	Failed             // do returned an error
	Skipped            // something that it needs is not done
	Interrupted        // do returned an error after it was asked to stop
	NotStarted         // the walk was stopped before its turn
	Pending            // do returned ErrPending
)

// ErrPending is the error of a task that is neither done nor failed: it waits
// for something that the walk does not wait for.
var ErrPending = errors.New("the task is pending")

// Outcome is how one task ended.
type Outcome struct {
	Status Status
	Err    error
	// Because lists, for a skipped task, the needs that are not done, sorted.
	Because []string
}

// Walk calls do for each task and returns when all calls have returned. Once
// stop is closed or ctx is done, it starts no more tasks; do receives ctx
// itself. The result has an outcome for each task. The error describes a graph
// that cannot be walked: a cycle, or two tasks with one ID.
//
// ended, if not nil, is called for every task when its outcome is final,
// including tasks that are never started. All of these calls come from one
// goroutine.
func Walk(ctx context.Context, tasks []Task, limits Limits, stop <-chan struct{},
	do func(context.Context, string) error, ended func(string, Outcome)) (map[string]Outcome, error) {
	g, err := newGraph(tasks)
	if err != nil {
		return nil, err
	}
	w := &walker{graph: g, free: limits, limits: limits, outcomes: make(map[string]Outcome, len(tasks)), ended: ended}
	w.run(ctx, stop, do)
	return w.outcomes, nil
}

type walker struct {
	*graph
	limits, free Limits
	running      int
	ready        queue
	outcomes     map[string]Outcome
	ended        func(string, Outcome)
}

type result struct {
	node *node
	err  error
}

func (w *walker) run(ctx context.Context, stop <-chan struct{}, do func(context.Context, string) error) {
	for _, n := range w.nodes {
		if n.waiting == 0 {
			w.ready.push(n)
		}
	}
	results := make(chan result)
	stopped := ctx.Err() != nil
	done := ctx.Done()
	for {
		if !stopped {
			w.start(ctx, do, results)
		}
		if w.running == 0 && (stopped || w.ready.empty()) {
			break
		}
		select {
		case r := <-results:
			w.finish(r, stopped || ctx.Err() != nil)
		case <-stop:
			stopped, stop = true, nil
		case <-done:
			stopped, done = true, nil
		}
	}
	for _, n := range w.nodes {
		if _, ok := w.outcomes[n.task.ID]; !ok {
			w.end(n, Outcome{Status: NotStarted})
		}
	}
}

// start starts all ready tasks that fit, in the order of their priority. Behind
// a task that does not fit, only tasks that use none of the resources it lacks
// may start, so that small tasks cannot delay a big one forever.
func (w *walker) start(ctx context.Context, do func(context.Context, string) error, results chan<- result) {
	var held lacks
	w.ready.each(func(n *node) (taken, more bool) {
		if w.limits.Tasks > 0 && w.running >= w.limits.Tasks {
			return false, false
		}
		need := w.clamp(n.task.Demand)
		if lack := w.lacking(need); lack.any() || held.touches(need) {
			held = held.or(lack)
			return false, true
		}
		w.take(need, +1)
		go func() {
			// A panic in one task must not cost the run its other results.
			err := parallel.Call(func() error { return do(ctx, n.task.ID) })
			results <- result{n, err}
		}()
		return true, true
	})
}

func (w *walker) take(d Demand, sign int) {
	w.running += sign
	w.free.CPU -= float64(sign) * d.CPU
	w.free.Memory -= int64(sign) * d.Memory
	w.free.GPU -= sign * d.GPU
}

func (w *walker) finish(r result, stopped bool) {
	w.take(w.clamp(r.node.task.Demand), -1)
	switch {
	case r.err == nil:
		w.end(r.node, Outcome{Status: Done})
		for _, n := range r.node.dependents {
			if n.waiting--; n.waiting == 0 && w.outcomes[n.task.ID].Status == 0 {
				w.ready.push(n)
			}
		}
		return
	case errors.Is(r.err, ErrPending):
		w.end(r.node, Outcome{Status: Pending, Err: r.err})
	case stopped:
		w.end(r.node, Outcome{Status: Interrupted, Err: r.err})
	default:
		w.end(r.node, Outcome{Status: Failed, Err: r.err})
	}
	w.skip(r.node)
}

// skip marks everything that needs n, directly or indirectly.
func (w *walker) skip(n *node) {
	for _, d := range n.dependents {
		if _, ok := w.outcomes[d.task.ID]; ok {
			continue
		}
		w.end(d, Outcome{Status: Skipped, Because: w.undone(d)})
		w.skip(d)
	}
}

func (w *walker) undone(n *node) []string {
	var out []string
	for _, need := range n.task.Needs {
		if o, ok := w.outcomes[need]; ok && o.Status != Done {
			out = append(out, need)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (w *walker) end(n *node, o Outcome) {
	w.outcomes[n.task.ID] = o
	if w.ended != nil {
		w.ended(n.task.ID, o)
	}
}
