package runner

import (
	"maps"
	"sync"
	"time"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// saver owns the state during a run. It writes changes about once a second, and
// a large state less often, because a thousand stages must not write a thousand
// states, and a stage whose action entry is in the store is not computed again if
// a crash comes before the next write. Deployments, which the store cannot find
// again, are written immediately.
type saver struct {
	mu    sync.Mutex
	state *state.State
	dirty bool
	err   error

	writing sync.Mutex // held while save runs, so that writes stay in order
	save    func(*state.State) error
	failed  func(error)

	quit, gone chan struct{}
	once       sync.Once
}

// A pause between two writes is at least savePause, and pausePerWrite times as
// long as the last write, so that the time for all writes grows with the number of
// stages and not with its square.
const (
	savePause     = time.Second
	pausePerWrite = 10
)

// newSaver starts the writer. failed is called once if a state could not be
// written, because later changes would be lost, too.
func newSaver(s *state.State, save func(*state.State) error, failed func(error)) *saver {
	v := &saver{state: s, save: save, failed: failed, quit: make(chan struct{}), gone: make(chan struct{})}
	go v.loop()
	return v
}

func (v *saver) loop() {
	defer close(v.gone)
	for pause := savePause; ; {
		select {
		case <-time.After(pause):
		case <-v.quit:
			return
		}
		began := time.Now()
		_ = v.write() // if it could not be written, failed was called
		pause = max(savePause, pausePerWrite*time.Since(began))
	}
}

// write writes the state if it has changed. It copies the state first, so that
// stages can continue.
func (v *saver) write() error {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	if !v.dirty || v.err != nil {
		defer v.mu.Unlock()
		return v.err
	}
	v.dirty = false
	snapshot := *v.state
	snapshot.Instances = maps.Clone(v.state.Instances)
	snapshot.Outputs = maps.Clone(v.state.Outputs)
	snapshot.Pending = maps.Clone(v.state.Pending)
	snapshot.Rejected = maps.Clone(v.state.Rejected)
	v.mu.Unlock()

	err := v.save(&snapshot)

	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.Saved(&snapshot)
	if err != nil {
		v.err = err
		v.failed(err)
	}
	return v.err
}

// change writes a state that was changed before the run.
func (v *saver) change() error {
	v.mu.Lock()
	v.dirty = true
	v.mu.Unlock()
	return v.write()
}

func (v *saver) instance(address string) (*state.Instance, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	inst, ok := v.state.Instances[address]
	return inst, ok
}

// set sets an instance in the state, or removes it if inst is nil. Instances
// must not change after that.
func (v *saver) set(address string, inst *state.Instance) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dirty = true
	if inst == nil {
		delete(v.state.Instances, address)
		return
	}
	if v.state.Instances == nil {
		v.state.Instances = map[string]*state.Instance{}
	}
	v.state.Instances[address] = inst
}

func (v *saver) pending(address string) *state.Pending {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state.Pending[address]
}

// setPending sets what a stage waits for in the state, or removes it if p is
// nil.
func (v *saver) setPending(address string, p *state.Pending) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p == nil {
		v.dirty = v.dirty || v.state.Pending[address] != nil
		delete(v.state.Pending, address)
		return
	}
	if v.state.Pending == nil {
		v.state.Pending = map[string]*state.Pending{}
	}
	v.state.Pending[address], v.dirty = p, true
}

// setRejected sets the result of a stage that violated a contract in the state, or
// removes it if rejected is nil.
func (v *saver) setRejected(address string, rejected *state.Rejected) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if rejected == nil {
		v.dirty = v.dirty || v.state.Rejected[address] != nil
		delete(v.state.Rejected, address)
		return
	}
	if v.state.Rejected == nil {
		v.state.Rejected = map[string]*state.Rejected{}
	}
	v.state.Rejected[address], v.dirty = rejected, true
}

// forgetRejected removes the rejected results of stages that are no longer
// configured.
func (v *saver) forgetRejected(configured map[string]*plan.Node) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for address := range v.state.Rejected {
		if configured[address] == nil {
			delete(v.state.Rejected, address)
			v.dirty = true
		}
	}
}

// setNow is set for changes that must be on disk before the run continues.
func (v *saver) setNow(address string, inst *state.Instance) error {
	v.set(address, inst)
	return v.write()
}

func (v *saver) setOutputs(outputs map[string]*state.Output) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.Outputs = outputs
	v.dirty = true
}

func (v *saver) allOutputs() map[string]*state.Output {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.state.Outputs)
}

// finish writes the remaining changes and ends the writer.
func (v *saver) finish() error {
	v.close()
	return v.write()
}

func (v *saver) close() {
	v.once.Do(func() {
		close(v.quit)
		<-v.gone
	})
}
