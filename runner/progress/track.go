package progress

import (
	"cmp"
	"slices"
	"time"

	"github.com/quern-dev/quern/runner/events"
)

// tracker follows the events and keeps what displays show: how many stages are
// done and what each running one is doing.
type tracker struct {
	total, finished, failed, pending int

	started time.Time
	command string
	running map[string]*stage
}

// stage is a running stage.
type stage struct {
	address  string
	action   string
	kind     string
	started  time.Time
	progress events.Progress
	note     string // of the last retry
	rate     rate
	// at is when the last progress was reported, and expected how long the stage
	// will take according to the plan, or 0.
	at       time.Time
	expected time.Duration
}

func newTracker() *tracker { return &tracker{running: map[string]*stage{}} }

func (t *tracker) event(e events.Event) {
	switch e.Type {
	case events.RunStarted:
		t.total, t.started, t.command = e.Run.Stages, e.Time, command(e.Run)
	case events.RunExtended:
		t.total += e.Run.Stages
	case events.StageStarted:
		t.running[e.Address] = &stage{address: e.Address, action: e.Stage.Action, kind: e.Stage.Kind, started: e.Time, expected: seconds(e.Stage.EstimatedSeconds)}
	case events.StageProgress:
		if s := t.running[e.Address]; s != nil {
			s.progress, s.note, s.at = *e.Progress, "", e.Time
			s.rate.add(e.Time, e.Progress.Done-e.Progress.ReusedRows)
		}
	case events.StageRetried:
		if s := t.running[e.Address]; s != nil {
			s.note = retryText(e.Retry)
		}
	case events.StagePending:
		delete(t.running, e.Address)
		t.pending++
	case events.StageDone, events.StageFailed, events.StageInterrupted:
		delete(t.running, e.Address)
		t.finished++
		if e.Type == events.StageFailed {
			t.failed++
		}
	}
}

// oldest returns the running stages, those that started first at the beginning.
func (t *tracker) oldest() []*stage {
	out := make([]*stage, 0, len(t.running))
	for _, s := range t.running {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *stage) int {
		return cmp.Or(a.started.Compare(b.started), cmp.Compare(a.address, b.address))
	})
	return out
}

// rate is the work per second over the last samples: a mean over about ten
// seconds, so that it follows changes without flickering.
type rate struct{ samples []sample }

type sample struct {
	at   time.Time
	done int64
}

const window = 10 * time.Second

func (r *rate) add(at time.Time, done int64) {
	for len(r.samples) > 2 && at.Sub(r.samples[1].at) > window {
		r.samples = r.samples[1:]
	}
	r.samples = append(r.samples, sample{at, done})
}

// perSecond is 0 until it is known.
func (r *rate) perSecond() float64 {
	if len(r.samples) < 2 {
		return 0
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds < 0.2 || last.done <= first.done {
		return 0
	}
	return float64(last.done-first.done) / seconds
}

// left is the remaining time at the present rate or, until that is known, of the
// time that the plan expects. It is 0 if it is not known.
func (s *stage) left() time.Duration {
	if s.progress.Total > 0 && s.progress.Total <= s.progress.Done {
		return 0
	}
	perSecond := s.rate.perSecond()
	if perSecond == 0 || s.progress.Total == 0 {
		return max(0, s.expected-s.at.Sub(s.started))
	}
	return seconds(float64(s.progress.Total-s.progress.Done) / perSecond)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
