// Package walk carries out a graph of tasks: everything after what it needs,
// as many at a time as limits allow, those first that the longest way is
// still behind. A failed task does not stop branches that do not need it.
//
// It knows nothing of stages, plugins or plans. An engine that runs tasks
// elsewhere puts its own function in the place of do: submit is the call,
// heartbeat and cancellation are its context's, the result is its error.
package walk

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// Task is one thing to do.
type Task struct {
	ID string
	// Needs are tasks that must be done before. An ID that is no task counts
	// as done.
	Needs []string
	// Seconds that it is expected to take; 0: unknown, taken as 1.
	Seconds float64
	Demand  Demand
}

// Demand is what a task occupies while it runs.
type Demand struct {
	CPU    float64
	Memory int64 // bytes
	GPU    int
}

// Limits bound what runs at the same time. Zero fields do not limit. A task
// that demands more than there is runs as if it demanded all there is.
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
	Skipped            // something that it needs failed, was interrupted or skipped
	Interrupted        // do returned an error after it was asked to stop
	NotStarted         // the walk was stopped before its turn
)

// Outcome is how one task ended.
type Outcome struct {
	Status Status
	Err    error
	// Because of a skipped task: the needs that are not done, sorted.
	Because []string
}

// Walk calls do for each task and returns when all calls have returned. After
// stop is closed or ctx is done no task is started; do sees ctx itself. The
// result has an outcome for each task. The error tells of a graph that cannot
// be walked: a cycle, or two tasks with one ID.
//
// ended, if not nil, is called from one goroutine for every task when its
// outcome is sure, also for those that are never started.
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

// start starts all ready tasks that fit, in the order of their priority. One
// that does not fit lets pass only tasks that take nothing of what it lacks,
// so that a big task is not kept waiting by small ones for ever.
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
			// One broken task must not take the run's other results with it.
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
	case stopped:
		w.end(r.node, Outcome{Status: Interrupted, Err: r.err})
	default:
		w.end(r.node, Outcome{Status: Failed, Err: r.err})
	}
	w.skip(r.node)
}

// skip marks all that needs n, near and far.
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
