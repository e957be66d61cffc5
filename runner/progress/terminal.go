package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/runner/events"
)

// TerminalOptions describe the terminal.
type TerminalOptions struct {
	Color bool
	// Size returns columns and lines. It is called before each frame.
	Size func() (width, height int)
	// Now is the clock, or nil for time.Now.
	Now func() time.Time
}

// Terminal shows running stages live at the bottom, each with its rows, rate,
// and remaining time, and leaves a line above for each stage that has ended.
func Terminal(w io.Writer, opts TerminalOptions) Display {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	d := &terminal{w: w, opts: opts, tracker: newTracker(), quit: make(chan struct{}), gone: make(chan struct{})}
	go d.refresh()
	return d
}

// visible measures the width of a text on the screen, without escape sequences.
var visible = displaywidth.Options{ControlSequences: true}

const frameTime = 100 * time.Millisecond

type terminal struct {
	mu      sync.Mutex
	w       io.Writer
	opts    TerminalOptions
	tracker *tracker
	above   strings.Builder // lines that stay, not yet written
	drawn   []int           // widths of the lines of the last frame
	over    bool            // nothing runs anymore
	err     error

	quit, gone chan struct{}
}

func (d *terminal) refresh() {
	defer close(d.gone)
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.mu.Lock()
			d.draw()
			d.mu.Unlock()
		case <-d.quit:
			return
		}
	}
}

func (d *terminal) Event(e events.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tracker.event(e)
	switch e.Type {
	case events.Stopping:
		d.keep(d.paint(yellow, "Stopping: running stages are asked to stop, and no more stages start. Interrupt again to stop at once."))
	case events.StageRetried: // shown with the running stage
	case events.RunDone:
		d.over = true
		d.keep("")
		for _, l := range d.tracker.closing(e.Summary) {
			d.keep(d.paint(statusColor(e.Summary.Status), l))
		}
		d.draw()
	default:
		if text := line(e); text != "" {
			d.keep(d.mark(e) + " " + strings.TrimPrefix(d.paint(bold, e.Address)+"  "+text, "  "))
		}
	}
}

// Close stops the refreshing and removes the live part.
func (d *terminal) Close() error {
	close(d.quit)
	<-d.gone
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.draw()
	return d.err
}

func (d *terminal) keep(text string) {
	d.above.WriteString(text)
	d.above.WriteByte('\n')
}

// draw writes the permanent lines and then the live part, in one write, over
// the previous live part.
func (d *terminal) draw() {
	var out strings.Builder
	width, height := d.opts.Size()
	if rows := d.rows(width); rows > 0 {
		// The carriage return is needed because the terminal may have echoed ^C.
		fmt.Fprintf(&out, "\r\x1b[%dA\x1b[J", rows)
	}
	out.WriteString(d.above.String())
	d.above.Reset()
	d.drawn = d.drawn[:0]
	for _, l := range d.frame(width, height) {
		l = visible.TruncateString(l, max(width-1, 20), "…")
		d.drawn = append(d.drawn, visible.String(l))
		out.WriteString(l)
		out.WriteByte('\n')
	}
	if d.err == nil && out.Len() > 0 {
		_, d.err = io.WriteString(d.w, out.String())
	}
}

// rows returns how many rows of the terminal the last frame occupies now: a
// terminal that became narrower has wrapped its lines.
func (d *terminal) rows(width int) int {
	n := 0
	for _, w := range d.drawn {
		n += max(1, (w+width-1)/width)
	}
	return n
}

// frame returns the live part: a head line and a line for each running stage,
// as far as there is room.
func (d *terminal) frame(width, height int) []string {
	if d.over || d.tracker.total == 0 {
		return nil
	}
	now := d.opts.Now()
	stages := d.tracker.oldest()
	lines := []string{d.head(now, len(stages))}
	room := max(height-3, 1)
	for i, s := range stages {
		if i == room-1 && len(stages) > room {
			lines = append(lines, fmt.Sprintf("└─ and %d more", len(stages)-i))
			break
		}
		branch := "├─ "
		if i == len(stages)-1 {
			branch = "└─ "
		}
		head := branch + d.paint(bold, s.address) + "  " + d.paint(dim, duration(now.Sub(s.started).Seconds())) + "  "
		text := s.state(width - 1 - visible.String(head))
		if text == "" {
			text = doing(s.kind, s.action)
		}
		lines = append(lines, head+text)
	}
	return lines
}

func (d *terminal) head(now time.Time, running int) string {
	t := d.tracker
	text := fmt.Sprintf("%s of %s done, %d running, %s", english.Number(t.finished-t.failed), english.Count(t.total, "stage"),
		running, duration(now.Sub(t.started).Seconds()))
	if t.pending > 0 {
		text += ", " + d.paint(yellow, fmt.Sprintf("%d pending", t.pending))
	}
	if t.failed > 0 {
		text += ", " + d.paint(red, fmt.Sprintf("%d failed", t.failed))
	}
	return text
}

type color string

const (
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

func (d *terminal) paint(c color, text string) string {
	if !d.opts.Color || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func (d *terminal) mark(e events.Event) string {
	switch e.Type {
	case events.StageDone:
		return d.paint(green, "✓")
	case events.StageFailed:
		return d.paint(red, "✗")
	}
	return d.paint(yellow, "!")
}

func statusColor(status string) color {
	switch status {
	case "done":
		return green
	case "failed":
		return red
	}
	return yellow
}
