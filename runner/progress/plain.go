package progress

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quern-dev/quern/runner/events"
)

// Plain writes a line for each event, for logs and pipes. A stage that runs for
// long gets at most one line every ten seconds.
func Plain(w io.Writer) Display {
	return &plain{w: w, tracker: newTracker(), said: map[string]time.Time{}}
}

const plainPause = 10 * time.Second

type plain struct {
	mu      sync.Mutex
	w       io.Writer
	err     error
	tracker *tracker
	said    map[string]time.Time // when a stage's last line was written
}

func (d *plain) Event(e events.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tracker.event(e)
	switch e.Type {
	case events.StageStarted:
		d.said[e.Address] = e.Time
		d.stage(e.Address, doing(e.Stage.Kind, e.Stage.Action))
	case events.StageProgress:
		if s := d.tracker.running[e.Address]; s != nil && e.Time.Sub(d.said[e.Address]) >= plainPause {
			d.said[e.Address] = e.Time
			d.stage(e.Address, s.state(0))
		}
	case events.Stopping:
		d.print("Stopping: running stages are asked to stop, and no more stages start. Interrupt again to stop at once.\n")
	case events.RunDone:
		for _, l := range d.tracker.closing(e.Summary) {
			d.print("\n" + l + "\n")
		}
	default:
		if text := line(e); text != "" {
			d.stage(e.Address, text)
		}
	}
}

func (d *plain) stage(address, text string) {
	if address == "" {
		d.print(text + "\n")
		return
	}
	d.print(address + ": " + text + "\n")
}

func (d *plain) print(text string) {
	if d.err == nil {
		_, d.err = fmt.Fprint(d.w, text)
	}
}

func (d *plain) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}
