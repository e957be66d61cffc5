package plugin

import (
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/sdk/go/wire"
)

// progressEvery is the least time between two progress messages of a stream.
const progressEvery = 100 * time.Millisecond

// sender is a stream of answers that several goroutines may write to.
type sender[T any] struct {
	mu     sync.Mutex
	stream interface{ Send(*T) error }
}

func (s *sender[T]) send(m *T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}

// throttle lets messages out that replace each other, at most so often: of
// those that come too fast the last one goes out when it is time.
type throttle struct {
	mu     sync.Mutex
	last   time.Time
	late   func() // what waits; nil: nothing
	timer  *time.Timer
	closed bool
}

// do calls send, now or later; urgent: now.
func (t *throttle) do(urgent bool, send func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	wait := progressEvery - time.Since(t.last)
	if urgent || wait <= 0 {
		t.out(send)
		return
	}
	t.late = send
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.overdue)
	}
}

func (t *throttle) overdue() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = nil
	if t.late != nil && !t.closed {
		t.out(t.late)
	}
}

// out is called under the lock, so that messages keep their order.
func (t *throttle) out(send func()) {
	t.last, t.late = time.Now(), nil
	send()
}

// close drops what waits. The stream may be gone when it returns.
func (t *throttle) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// fits checks rows against the declared columns.
func fits(schema data.Schema, rec arrow.RecordBatch) error {
	got, err := data.FromArrow(rec.Schema())
	if err != nil {
		return err
	}
	if !got.Equal(schema) {
		return fmt.Errorf("the columns that were written are not those that were declared (declared: %s; written: %s)",
			describeColumns(schema), describeColumns(got))
	}
	return nil
}

// room is what a message holds beside its rows, generously.
const room = 1 << 20

// mostRows is how large the rows of a message may be, in bytes.
var mostRows = wire.MaxMessage - room

// encoded writes rows and sends them: in one message, or, if they are too large
// for one, in as many as it takes. A row alone cannot be split.
func encoded(rec arrow.RecordBatch, send func(rows []byte) error) error {
	rows, err := data.EncodeBatch(rec)
	if err != nil {
		return err
	}
	if len(rows) <= mostRows {
		return send(rows)
	}
	if rec.NumRows() < 2 {
		return fmt.Errorf("a row is too large to be sent\nIt takes %d MiB, and a row between quern and a plugin may take %d MiB. Keep such content in a file, and its path in the row.",
			len(rows)>>20, mostRows>>20)
	}
	half := rec.NumRows() / 2
	for _, span := range [][2]int64{{0, half}, {half, rec.NumRows()}} {
		part := rec.NewSlice(span[0], span[1])
		err := encoded(part, send)
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func describeColumns(s data.Schema) string {
	text := ""
	for i, c := range s {
		if i > 0 {
			text += ", "
		}
		text += c.Name + " " + c.Type
	}
	return text
}

func protoRowErrors(errs []RowError) []*pluginv1.RowError {
	out := make([]*pluginv1.RowError, len(errs))
	for i, e := range errs {
		out[i] = &pluginv1.RowError{Row: int64(e.Row), Message: e.Message, Temporary: e.Temporary}
	}
	return out
}

func rowErrors(errs []*pluginv1.RowError) []RowError {
	out := make([]RowError, len(errs))
	for i, e := range errs {
		out[i] = RowError{Row: int(e.Row), Message: e.Message, Temporary: e.Temporary}
	}
	return out
}
