package walk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// recorder is a do that notes the order in which tasks begin.
type recorder struct {
	mu    sync.Mutex
	begun []string
	fail  map[string]error
}

func (r *recorder) do(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, id)
	return r.fail[id]
}

func walkAll(t *testing.T, tasks []Task, limits Limits, r *recorder) map[string]Outcome {
	t.Helper()
	outcomes, err := Walk(t.Context(), tasks, limits, nil, r.do, nil)
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func TestEverythingRunsAfterWhatItNeeds(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		tasks := randomGraph(rng, 1+rng.IntN(40))
		r := &recorder{}
		outcomes := walkAll(t, tasks, Limits{Tasks: 1 + rng.IntN(8)}, r)
		at := map[string]int{}
		for i, id := range r.begun {
			at[id] = i
		}
		for _, task := range tasks {
			if outcomes[task.ID].Status != Done {
				t.Fatalf("seed %d: %s ended as %v", seed, task.ID, outcomes[task.ID])
			}
			for _, need := range task.Needs {
				if at[need] > at[task.ID] {
					t.Fatalf("seed %d: %s began before %s, which it needs", seed, task.ID, need)
				}
			}
		}
	}
}

func TestAFailureSkipsOnlyWhatDependsOnIt(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		tasks := randomGraph(rng, 2+rng.IntN(40))
		broken := tasks[rng.IntN(len(tasks))].ID
		r := &recorder{fail: map[string]error{broken: errors.New("broken")}}
		outcomes := walkAll(t, tasks, Limits{Tasks: 4}, r)
		tainted := map[string]bool{broken: true}
		for _, task := range tasks { // in an order in which needs come first
			for _, need := range task.Needs {
				tainted[task.ID] = tainted[task.ID] || tainted[need]
			}
			got, want := outcomes[task.ID].Status, Done
			switch {
			case task.ID == broken:
				want = Failed
			case tainted[task.ID]:
				want = Skipped
			}
			if got != want {
				t.Fatalf("seed %d: %s ended as %v, want %v", seed, task.ID, got, want)
			}
		}
	}
}

func randomGraph(rng *rand.Rand, n int) []Task {
	tasks := make([]Task, n)
	for i := range tasks {
		tasks[i] = Task{ID: fmt.Sprint("t", i), Seconds: float64(rng.IntN(3))}
		for j := range i {
			if rng.IntN(6) == 0 {
				tasks[i].Needs = append(tasks[i].Needs, tasks[j].ID)
			}
		}
	}
	return tasks
}

func TestTheLongestRemainingPathGoesFirst(t *testing.T) {
	tasks := []Task{
		{ID: "short"},
		{ID: "a"}, {ID: "b", Needs: []string{"a"}}, {ID: "c", Needs: []string{"b"}},
		{ID: "slow", Seconds: 100},
	}
	r := &recorder{}
	walkAll(t, tasks, Limits{Tasks: 1}, r)
	if got := strings.Join(r.begun, " "); got != "slow a b short c" {
		t.Errorf("began in the order %q", got)
	}
}

func TestSkippedTasksSayWhy(t *testing.T) {
	tasks := []Task{{ID: "a"}, {ID: "b"}, {ID: "c", Needs: []string{"b", "a"}}, {ID: "d", Needs: []string{"c"}}}
	r := &recorder{fail: map[string]error{"a": errors.New("x")}}
	outcomes := walkAll(t, tasks, Limits{Tasks: 1}, r)
	if got := outcomes["c"].Because; !slices.Contains(got, "a") {
		t.Errorf("c was skipped because of %v", got)
	}
	if got := outcomes["d"].Because; !slices.Equal(got, []string{"c"}) {
		t.Errorf("d was skipped because of %v", got)
	}
}

func TestLimitsAreEnforcedAndABigTaskIsNotStarved(t *testing.T) {
	var tasks []Task
	for i := range 40 {
		tasks = append(tasks, Task{ID: fmt.Sprint("small", i), Demand: Demand{Memory: 1}})
	}
	tasks = append(tasks, Task{ID: "huge", Seconds: 50, Demand: Demand{Memory: 100, GPU: 2}})
	var memory, most atomic.Int64
	demand := map[string]int64{}
	for _, task := range tasks {
		demand[task.ID] = min(task.Demand.Memory, 4)
	}
	do := func(_ context.Context, id string) error {
		now := memory.Add(demand[id])
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		memory.Add(-demand[id])
		return nil
	}
	outcomes, err := Walk(t.Context(), tasks, Limits{Memory: 4}, nil, do, nil)
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() > 4 {
		t.Errorf("%d units were taken of 4", most.Load())
	}
	if outcomes["huge"].Status != Done {
		t.Error("the task that wants more than there is did not run")
	}
}

func TestAStopStartsNoMoreTasksAndWaitsForRunningOnes(t *testing.T) {
	stop := make(chan struct{})
	tasks := []Task{{ID: "a"}, {ID: "b", Needs: []string{"a"}}}
	do := func(context.Context, string) error { close(stop); return nil }
	outcomes, err := Walk(t.Context(), tasks, Limits{}, stop, do, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The walk may see a's end or the stop first; b must not fail either way.
	if outcomes["a"].Status != Done {
		t.Errorf("a ended as %v", outcomes["a"])
	}
}

func TestACanceledContextInterrupts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tasks := []Task{{ID: "a"}, {ID: "b", Needs: []string{"a"}}, {ID: "c"}}
	do := func(ctx context.Context, id string) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	var ended []string
	outcomes, err := Walk(ctx, tasks, Limits{Tasks: 1}, nil, do, func(id string, _ Outcome) { ended = append(ended, id) })
	if err != nil {
		t.Fatal(err)
	}
	if outcomes["a"].Status != Interrupted || outcomes["b"].Status != Skipped || outcomes["c"].Status != NotStarted {
		t.Errorf("ended as %v", outcomes)
	}
	if len(ended) != 3 {
		t.Errorf("ends were told of %v", ended)
	}
}

func TestACycleIsRefused(t *testing.T) {
	_, err := Walk(t.Context(), []Task{{ID: "a", Needs: []string{"b"}}, {ID: "b", Needs: []string{"a"}}}, Limits{}, nil, nil, nil)
	if err == nil {
		t.Fatal("a cycle was walked")
	}
}

func TestAPanicFailsOnlyItsTask(t *testing.T) {
	do := func(_ context.Context, id string) error {
		if id == "a" {
			panic("bug")
		}
		return nil
	}
	outcomes, err := Walk(t.Context(), []Task{{ID: "a"}, {ID: "b"}}, Limits{}, nil, do, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p *parallel.Panic
	if !errors.As(outcomes["a"].Err, &p) || outcomes["b"].Status != Done {
		t.Errorf("ended as %v", outcomes)
	}
}
