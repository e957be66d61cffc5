// Package modelhost gives running stages access to the models that they use.
//
// Predictions of a trained model come from the plugin that trained it; the host
// passes rows on unchanged. Calls of a language model go to its plugin, one
// attempt at a time, and the host takes care of everything else. Answers are
// cached, durably before a stage receives them, and returned for equal
// requests. Equal requests at the same time are sent once. The host respects
// the model's limits and finds out how many concurrent calls it can take. It
// retries attempts if that may help. If a model no longer answers, the stage
// ends with the results that it has. The run does not exceed its budget.
//
// If a stage cannot go on (the budget is spent, the model is unavailable), the
// host stops it: the plugin's call blocks until then, and returns no error that
// the plugin could take for the error of a row. Errors that concern a single
// row, such as a request that is too long, are returned.
//
// No error, trace, or file contains a value that is sensitive in the model's
// block, or anything that looks like a key.
package modelhost

import (
	"context"
	"errors"
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

// Model is a model that a stage uses.
type Model struct {
	// Language is set for a language model, the other fields for a trained one. A
	// trained language model has all of them.
	Language *Language

	Artifact *pluginv1.Artifact
	// Plugin is the name of the plugin that serves it, for messages. Connect
	// starts the plugin if it is not running yet.
	Plugin  string
	Connect func(context.Context) (pluginv1.PluginServiceClient, error)
}

// Host is the HostService for one run of one stage.
type Host struct {
	pluginv1.UnimplementedHostServiceServer
	hub *Hub
	StageOptions
	programs programs

	// halting ends when no more calls may start. idle is closed when, after
	// that, no call is in flight.
	halting context.Context
	halt    context.CancelFunc
	idle    chan struct{}

	mu       sync.Mutex
	spend    llm.Spend
	err      error
	underWay int // attempts in flight
	// answered are the requests of this run, if it wants fresh answers.
	answered map[responses.Key]struct{}
	// waits are what pending requests wait for, with their numbers.
	waits map[string]int64

	collecting  sync.Mutex
	collections []*collection
}

// StageOptions are what a stage is served, by the keys of its arguments.
type StageOptions struct {
	Models map[string]Model
	Late   map[string]Late
	// Fresh ignores answers that earlier runs cached (-replace), and replaces
	// them with the new ones. Embeddings do not vary, so they still come from
	// the cache.
	Fresh bool
	// End is called with the reason, which Err also returns, when the stage
	// cannot go on.
	End context.CancelCauseFunc
	// Environment is the environment of the run.
	Environment string
	// Budget is the stage's. nil means that of the run.
	Budget Budget
}

// Stage returns the host for one run of a stage.
func (h *Hub) Stage(opts StageOptions) *Host {
	s := &Host{hub: h, StageOptions: opts, idle: make(chan struct{})}
	if s.Budget == nil {
		s.Budget = h.opts.Budget
	}
	s.halting, s.halt = context.WithCancel(context.Background())
	return s
}

// errHalted is the error of a call that is not made because the stage stops.
var errHalted = errors.New("the stage can start no more calls")

// Halt keeps the stage's plugin from starting more calls: later requests get no
// answer. Calls in flight continue. The channel is closed when none remain.
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

// Close halts the stage and waits for calls in flight, so that Spent includes
// them. Calls that nobody waits for continue for a few seconds.
func (h *Host) Close() {
	t := time.NewTimer(linger + time.Second)
	defer t.Stop()
	select {
	case <-h.Halt():
	case <-t.C:
	case <-h.hub.ctx.Done():
	}
}

// begin records an attempt. It returns false if no more may start.
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

// unlessHalted makes a call again if it joined a call of a stage that was
// halted.
func (h *Host) unlessHalted(call func() error) error {
	for {
		err := call()
		if !errors.Is(err, errHalted) || h.halting.Err() != nil {
			return err
		}
	}
}

// Spent returns the total of the stage's calls so far.
func (h *Host) Spent() llm.Spend {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spend
}

// Err returns why the stage cannot go on, or nil if it can.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// mayGive reports whether a cached answer to a request may be used.
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

// stop ends the stage, and blocks until the caller has noticed.
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

// model returns a model of the stage.
func (h *Host) model(key string) (Model, error) {
	m, ok := h.Models[key]
	if !ok {
		return m, status.Errorf(codes.NotFound, "the stage has no model at %q; it has %s", key, h.keys())
	}
	return m, nil
}

// language returns a language model with some capabilities.
func (h *Host) language(key string, capabilities ...string) (*endpoint, error) {
	m, err := h.model(key)
	if err != nil {
		return nil, err
	}
	if m.Language == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the model at %q is not a language model", key)
	}
	for _, c := range capabilities {
		if !m.Language.Can(c) {
			return nil, status.Errorf(codes.FailedPrecondition, "%s cannot %s", m.Language.Address, c)
		}
	}
	return h.hub.endpoint(m.Language), nil
}

func (h *Host) keys() string {
	if len(h.Models) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(h.Models)), ", ")
}
