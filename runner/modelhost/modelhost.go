// Package modelhost serves to running stages the models that they were given.
//
// Of a trained model, each prediction is made by the plugin that made it; rows
// are passed on as they are. A language model is asked by its plugin, one
// attempt at a time, and the host sees to all else: answers are kept, durably
// before a stage gets them, and given again to equal requests; equal requests
// at the same time are one; the model's limits are kept to, and what it bears
// is found out; attempts that failed are made again when that may help; a
// model that gives no answers any more ends the stage with what it has; what
// the run may cost is not exceeded.
//
// A stage that cannot go on (the budget is spent, the model is gone) is
// stopped by the host: the plugin's call waits until then and gets no error
// that it could take for one of a row. Errors that are a row's matter, such as
// a request that is too long, are returned.
//
// No error, trace or file shows a value that is sensitive in the model's
// block, nor anything that looks like a key.
package modelhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/responses"
)

// Model is a model that a stage was given.
type Model struct {
	// Language is set of a language model, the rest of a trained one.
	Language *Language

	Artifact *pluginv1.Artifact
	// Plugin is the name of the plugin that serves it, for messages; Connect
	// starts it when it does not run yet.
	Plugin  string
	Connect func(context.Context) (pluginv1.PluginServiceClient, error)
}

// Host is the HostService of one run of one stage.
type Host struct {
	pluginv1.UnimplementedHostServiceServer
	hub *Hub
	StageOptions
	programs programs

	// halting ends when no more calls may start; idle is closed when, after
	// that, none is under way.
	halting context.Context
	halt    context.CancelFunc
	idle    chan struct{}

	mu       sync.Mutex
	spend    llm.Spend
	err      error
	underWay int // attempts
	// answered are the requests of this run, where it wants fresh answers.
	answered map[responses.Key]struct{}
}

// StageOptions are what a stage is served, by the keys of its arguments.
type StageOptions struct {
	Models map[string]Model
	Late   map[string]Late
	// Fresh: answers that other runs kept are not given (-replace). What is
	// answered is kept, in their place. Embeddings are: they do not vary.
	Fresh bool
	// End is called with the reason, which Err returns too, when the stage
	// cannot go on.
	End context.CancelCauseFunc
}

// Stage returns the host of one run of a stage.
func (h *Hub) Stage(opts StageOptions) *Host {
	s := &Host{hub: h, StageOptions: opts, idle: make(chan struct{})}
	s.halting, s.halt = context.WithCancel(context.Background())
	return s
}

// errHalted is the error of a call that is not made since the stage stops.
var errHalted = errors.New("the stage can start no more calls")

// Halt sees to it that the stage's plugin starts no more calls: what it still
// asks for gets no answer. Calls that are under way go on. The channel is
// closed when none is any more.
func (h *Host) Halt() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.halting.Err() == nil {
		h.halt()
		if h.underWay == 0 {
			close(h.idle)
		}
	}
	return h.idle
}

// Close halts the stage and waits for calls that are under way, so that Spent
// has them all: those that nobody waits for any more go on for a few seconds.
func (h *Host) Close() {
	t := time.NewTimer(linger + time.Second)
	defer t.Stop()
	select {
	case <-h.Halt():
	case <-t.C:
	case <-h.hub.ctx.Done():
	}
}

// begin notes an attempt; false: no more may start.
func (h *Host) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.halting.Err() != nil {
		return false
	}
	h.underWay++
	return true
}

func (h *Host) ended() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.underWay--; h.underWay == 0 && h.halting.Err() != nil {
		close(h.idle)
	}
}

// unlessHalted makes a call that may have joined that of a stage which was
// halted: then it is made again.
func (h *Host) unlessHalted(call func() error) error {
	for {
		err := call()
		if !errors.Is(err, errHalted) || h.halting.Err() != nil {
			return err
		}
	}
}

// Spent is what the stage's calls have come to so far.
func (h *Host) Spent() llm.Spend {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spend
}

// Err is why the stage cannot go on; nil: it can.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// mayGive says whether what is kept of a request's answers will do.
func (h *Host) mayGive(key responses.Key) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, own := h.answered[key]
	return own || !h.Fresh
}

func (h *Host) hasAnswer(key responses.Key) {
	if !h.Fresh {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answered == nil {
		h.answered = map[responses.Key]struct{}{}
	}
	h.answered[key] = struct{}{}
}

func (h *Host) spent(s llm.Spend) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spend.Add(s)
}

// stop ends the stage, and waits until that has reached the caller.
func (h *Host) stop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	h.mu.Lock()
	first := h.err == nil && !errors.Is(err, errHalted)
	if first {
		h.err = err
	}
	h.mu.Unlock()
	if first {
		h.End(err)
	}
	<-ctx.Done()
	return status.Error(codes.Aborted, err.Error())
}

// model finds a model of the stage.
func (h *Host) model(key string) (Model, error) {
	m, ok := h.Models[key]
	if !ok {
		return m, status.Errorf(codes.NotFound, "the stage has no model at %q; it has %s", key, h.keys())
	}
	return m, nil
}

// language finds a language model that has a capability.
func (h *Host) language(key, capability string) (*endpoint, error) {
	m, err := h.model(key)
	if err != nil {
		return nil, err
	}
	if m.Language == nil || !m.Language.Can(capability) {
		name := fmt.Sprintf("the model at %q", key)
		if m.Language != nil {
			name = m.Language.Address
		}
		return nil, status.Errorf(codes.FailedPrecondition, "%s cannot %s", name, capability)
	}
	return h.hub.endpoint(m.Language), nil
}

func (h *Host) keys() string {
	if len(h.Models) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(h.Models)), ", ")
}
