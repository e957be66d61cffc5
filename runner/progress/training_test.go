package progress

import (
	"testing"

	"github.com/quern-dev/quern/runner/events"
)

// training returns the state of a trainer after some progress.
func training(t *testing.T, kind string, expected float64, all ...events.Event) *stage {
	t.Helper()
	tracker := newTracker()
	tracker.event(at(0, events.Event{Type: events.RunStarted, Run: &events.Run{Stages: 1}}))
	tracker.event(at(0, events.Event{Type: events.StageStarted, Address: "train.x", Stage: &events.Stage{Kind: kind, Action: "run", EstimatedSeconds: expected}}))
	for _, e := range all {
		e.Type, e.Address = events.StageProgress, "train.x"
		tracker.event(e)
	}
	return tracker.running["train.x"]
}

const message = "epoch 1.2/3 · loss 1.234 · lr 2.0e-5 · 512 tokens/s · 1.2 GB"

func TestATrainersMessageMattersMoreThanItsSteps(t *testing.T) {
	s := training(t, "train", 0,
		at(1, events.Event{Progress: &events.Progress{Done: 100, Total: 300, Unit: "steps"}}),
		at(11, events.Event{Progress: &events.Progress{Done: 120, Total: 300, Unit: "steps", Message: message}}))
	for width, want := range map[int]string{
		0:  message + " · about 1 min 30 s left · 120 of 300 steps",
		85: message + " · about 1 min 30 s left",
		50: "epoch 1.2/3 · loss 1.234 · about 1 min 30 s left",
		30: "epoch 1.2/3 · loss 1.234",
		5:  "epoch 1.2/3",
	} {
		if got := s.state(width); got != want {
			t.Errorf("width %d: got %q, want %q", width, got, want)
		}
	}
}

func TestOtherStagesShowTheirMessageLast(t *testing.T) {
	s := training(t, "label", 0, at(1, events.Event{Progress: &events.Progress{Done: 100, Total: 300, Unit: "rows", Message: "asking · waiting"}}))
	if got, want := s.state(0), "100 of 300 rows, asking · waiting"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The plan knows from earlier runs how long a stage takes.
func TestTheTimeLeftComesFromThePlanUntilTheRateIsKnown(t *testing.T) {
	first := at(5, events.Event{Progress: &events.Progress{Done: 1, Total: 300, Unit: "steps", Message: "loss 2"}})
	if got, want := training(t, "train", 65, first).state(0), "loss 2 · about 1 min 0 s left · 1 of 300 steps"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	second := at(15, events.Event{Progress: &events.Progress{Done: 11, Total: 300, Unit: "steps", Message: "loss 1"}})
	if got, want := training(t, "train", 65, first, second).state(0), "loss 1 · about 4 min 49 s left · 11 of 300 steps"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := training(t, "train", 3, first).state(0), "loss 2 · 1 of 300 steps"; got != want {
		t.Errorf("late: got %q, want %q", got, want)
	}
}
