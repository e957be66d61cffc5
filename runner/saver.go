package runner

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/state"
)

// saver owns the state while a run goes on. Changes are written about once a
// second: a thousand stages must not write a thousand states, and a stage
// whose action entry is in the store is not computed again if a crash comes
// before the next write. What cannot be found again, a deployment, is written
// at once.
type saver struct {
	mu    sync.Mutex
	state *state.State
	dirty bool
	err   error

	writing sync.Mutex // held while save runs, so that writes do not overtake each other
	save    func(*state.State) error
	failed  func(error)

	quit, gone chan struct{}
	once       sync.Once
}

const savePause = time.Second

// newSaver starts the writing. failed is called once when a state could not
// be written: what comes after would not be kept.
func newSaver(s *state.State, save func(*state.State) error, failed func(error)) *saver {
	v := &saver{state: s, save: save, failed: failed, quit: make(chan struct{}), gone: make(chan struct{})}
	go v.loop()
	return v
}

func (v *saver) loop() {
	defer close(v.gone)
	tick := time.NewTicker(savePause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = v.write() // failed was called if it could not be written
		case <-v.quit:
			return
		}
	}
}

// write writes the state when it has changed. The state is copied first, so
// that stages go on meanwhile.
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
	v.mu.Unlock()

	err := v.save(&snapshot)

	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.Serial, v.state.Lineage = snapshot.Serial, snapshot.Lineage
	if err != nil {
		v.err = fmt.Errorf("write the state: %w", err)
		v.failed(v.err)
	}
	return v.err
}

func (v *saver) instance(address string) (*state.Instance, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	inst, ok := v.state.Instances[address]
	return inst, ok
}

// set puts an instance into the state; nil takes it out. Instances are not
// changed once they are in.
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

// setNow is set for what has to be on disk before the run goes on.
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

// finish writes what is left and ends the writing.
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
