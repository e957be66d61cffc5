// Package progress displays a run while it is in progress: JSON lines for
// programs, plain lines for logs, and a live view for terminals. All displays
// read the same stream of events and know nothing else. They show failures in
// one line; whoever started the run prints its diagnostics in full.
package progress

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/runner/events"
)

// Display shows events as they come. Event is called from many goroutines, and
// Close after the last one. Close restores the terminal.
type Display interface {
	Event(events.Event)
	// Close returns the first write error.
	Close() error
}

// JSON writes each event as a line of JSON, as docs/events.md specifies it.
func JSON(w io.Writer) Display { return &jsonLines{enc: json.NewEncoder(printable.JSONWriter(w))} }

type jsonLines struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error
}

func (d *jsonLines) Event(e events.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = d.enc.Encode(e)
	}
}

func (d *jsonLines) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}
