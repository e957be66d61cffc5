package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/llm"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64, e events.Event) events.Event {
	e.Time = start.Add(time.Duration(seconds * float64(time.Second)))
	return e
}

// story is a run with one of everything.
func story() []events.Event {
	return []events.Event{
		at(0, events.Event{Type: events.RunStarted, Run: &events.Run{Format: events.Format, ID: "r1", Environment: "default", Stages: 5}}),
		at(0, events.Event{Type: events.StageStarted, Address: "source.tickets", Stage: &events.Stage{Kind: "source", Type: "csv", Action: "run"}}),
		at(0.2, events.Event{Type: events.StageDone, Address: "source.tickets", Stage: &events.Stage{Kind: "source", Action: "run", Seconds: 0.2, Rows: 10003}}),
		at(0.2, events.Event{Type: events.StageStarted, Address: "label.intent", Stage: &events.Stage{Kind: "label", Action: "run"}}),
		at(1, events.Event{Type: events.StageProgress, Address: "label.intent", Progress: &events.Progress{Done: 1000, Total: 10003, Unit: "rows", ReusedRows: 900}}),
		at(11, events.Event{Type: events.StageProgress, Address: "label.intent", Progress: &events.Progress{Done: 2000, Total: 10003, Unit: "rows", ReusedRows: 900, FailedRows: 2}}),
		at(12, events.Event{Type: events.StageRetried, Address: "label.intent", Retry: &events.Retry{Attempt: 1, Of: 3, Wait: 1, Error: "plugin acme crashed\nstderr"}}),
		at(13, events.Event{Type: events.StageDone, Address: "label.intent", Stage: &events.Stage{Kind: "label", Action: "run", Seconds: 12.8, Rows: 10003, NewRows: 100, ReusedRows: 9900, FailedRows: 3}}),
		at(13, events.Event{Type: events.StageStarted, Address: "gate.ship", Stage: &events.Stage{Kind: "gate", Action: "check"}}),
		at(13, events.Event{Type: events.StageFailed, Address: "gate.ship", Stage: &events.Stage{Kind: "gate", Action: "check"}, Diagnostics: []events.Diagnostic{{Severity: "error", Summary: "Gate failed", Detail: "too low"}}}),
		at(13, events.Event{Type: events.StageSkipped, Address: "deploy.prod", Because: []string{"gate.ship"}}),
		at(13, events.Event{Type: events.RunDone, Summary: &events.Summary{Status: "failed", Seconds: 13, Actions: map[string]int{"run": 2}, Failed: 1, Skipped: 1}}),
	}
}

func TestPlainLinesDescribeARun(t *testing.T) {
	var out strings.Builder
	d := Plain(&out)
	for _, e := range story() {
		d.Event(e)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want := `source.tickets: reading
source.tickets: done in 0.2 s (10,003 rows)
label.intent: running
label.intent: 2,000 of 10,003 rows, 100/s, 2 failed, about 1 min 20 s left
label.intent: attempt 1 of 3 failed, retrying in 1.0 s: plugin acme crashed
label.intent: done in 13 s (100 rows new, 9,900 reused, 3 failed)
gate.ship: checking
gate.ship: failed: Gate failed
deploy.prod: not reached because gate.ship is not done

Apply failed after 13 s: 2 run, 1 failed, 1 not reached.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCountsAgreeWithTheirNouns(t *testing.T) {
	for want, stage := range map[string]*events.Stage{
		"done in 0.0 s (1 row new, 66 reused)":          {Action: "run", Rows: 67, NewRows: 1, ReusedRows: 66},
		"done in 0.0 s (1 row recomputed, 1 reused)":    {Action: "run", Rows: 2, ComputedRows: 1, ReusedRows: 1},
		"done in 0.0 s (1 row from 1: 1 new, 0 reused)": {Action: "run", Rows: 1, RowsIn: 1, NewRows: 1},
		"done in 0.0 s (1 row; 1 call, 1 token, 1 cached response, price unknown)": {
			Action: "run", Rows: 1, Spend: llm.Spend{Calls: 1, InputTokens: 1, CachedCalls: 1, UnpricedCalls: 1},
		},
		"done in 0.0 s (2 rows; 1,000 calls, 2 tokens, 2 cached responses, price unknown)": {
			Action: "run", Rows: 2, Spend: llm.Spend{Calls: 1000, InputTokens: 2, CachedCalls: 2, UnpricedCalls: 1000},
		},
	} {
		if got := doneText(stage); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestJSONLinesCanBeReadBack(t *testing.T) {
	var out bytes.Buffer
	d := JSON(&out)
	for _, e := range story() {
		d.Event(e)
	}
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	for i, want := range story() {
		var got events.Event
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("event %d: %s", i, diff)
		}
	}
}

func TestTheLivePartShowsRunningStagesAndDisappears(t *testing.T) {
	var out strings.Builder
	d := &terminal{w: &out, tracker: newTracker(), opts: TerminalOptions{
		Size: func() (int, int) { return 100, 24 },
		Now:  func() time.Time { return start.Add(11 * time.Second) },
	}}
	for _, e := range story()[:6] {
		d.Event(e)
	}
	d.draw()
	want := "✓ source.tickets  done in 0.2 s (10,003 rows)\n" +
		"1 of 5 stages done, 1 running, 11 s\n" +
		"└─ label.intent  11 s  2,000 of 10,003 rows, 100/s, 2 failed, about 1 min 20 s left\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	for _, e := range story()[6:] {
		d.Event(e)
	}
	if got := out.String(); !strings.HasPrefix(got, "\r\x1b[2A\x1b[J") || strings.Contains(got, "running") {
		t.Errorf("at the end the live part is still there: %q", got)
	}
}

func TestTheLivePartFitsTheTerminal(t *testing.T) {
	d := &terminal{tracker: newTracker(), opts: TerminalOptions{Now: func() time.Time { return start }}}
	d.tracker.event(story()[0])
	for _, name := range strings.Fields("a b c d e f g h i j") {
		d.tracker.event(at(0, events.Event{Type: events.StageStarted, Address: "map." + name, Stage: &events.Stage{}}))
	}
	if lines := d.frame(80, 8); len(lines) != 6 || lines[5] != "└─ and 6 more" {
		t.Errorf("the frame is %q", lines)
	}
}

func TestCostsAreShownOnANarrowTerminal(t *testing.T) {
	s := &stage{progress: events.Progress{Done: 1000, Total: 10003, Unit: "rows", FailedRows: 2,
		Spend: llm.Spend{Calls: 1032, CachedCalls: 5, InputTokens: 300000, OutputTokens: 45000, Cost: 1.25}}}
	s.rate.samples = []sample{{start, 0}, {start.Add(10 * time.Second), 1000}}
	for width, want := range map[int]string{
		0:  "1,000 of 10,003 rows, 100/s, 2 failed, about 1 min 30 s left, 1,032 calls, 345,000 tokens, 5 cached responses, cost 1.25",
		76: "1,000 of 10,003 rows, 2 failed, about 1 min 30 s left, 345,000 tokens, cost 1.25",
		60: "1,000 of 10,003 rows, 2 failed, 345,000 tokens, cost 1.25",
		10: "1,000 of 10,003 rows",
	} {
		if width == 76 {
			width = len(want)
		}
		if got := s.state(width); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
}

func TestANarrowerTerminalIsClearedIncludingWrappedLines(t *testing.T) {
	var out strings.Builder
	width := 100
	d := &terminal{w: &out, tracker: newTracker(), opts: TerminalOptions{
		Size: func() (int, int) { return width, 24 },
		Now:  func() time.Time { return start.Add(11 * time.Second) },
	}}
	for _, e := range story()[:6] {
		d.Event(e)
	}
	d.draw()
	out.Reset()
	width = 40
	d.draw()
	if got := out.String(); !strings.HasPrefix(got, "\r\x1b[4A\x1b[J") {
		t.Errorf("got %q", got)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAWriteErrorIsReturnedAtTheEnd(t *testing.T) {
	for _, d := range []Display{Plain(full{}), JSON(full{})} {
		for _, e := range story() {
			d.Event(e)
		}
		if d.Close() == nil {
			t.Errorf("%T hides that it could not write", d)
		}
	}
}
