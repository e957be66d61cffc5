package plugin

import (
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// progressEvery is the minimum time between two progress messages of a stream.
const progressEvery = 100 * time.Millisecond

// sender is a stream of responses that several goroutines can write to.
type sender[T any] struct {
	mu     sync.Mutex
	stream interface{ Send(*T) error }
}

func (s *sender[T]) send(m *T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}

// sendAll sends all messages of one response.
func sendAll[T any](send func(*T) error) func([]*T) error {
	return func(messages []*T) error {
		for _, m := range messages {
			if err := send(m); err != nil {
				return err
			}
		}
		return nil
	}
}

// throttle limits the rate of messages that replace each other: of those that
// come too fast, it sends the last one.
type throttle struct {
	mu     sync.Mutex
	last   time.Time
	late   func() // what waits; nil: nothing
	timer  *time.Timer
	closed bool
}

// do calls send now or later; now if urgent.
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

// out is called with the lock held, so that messages keep their order.
func (t *throttle) out(send func()) {
	t.last, t.late = time.Now(), nil
	send()
}

// close drops the message that waits. The stream may no longer exist when it
// returns.
func (t *throttle) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// fits compares rows with the declared columns.
func fits(schema data.Schema, rec arrow.RecordBatch) error {
	got, err := data.FromArrow(rec.Schema())
	if err != nil {
		return err
	}
	if !got.Equal(schema) {
		return fmt.Errorf("the columns differ from those that Prepare declared (declared: %s; written: %s)",
			describeColumns(schema), describeColumns(got))
	}
	return nil
}

// encoded encodes rows and sends them, in several messages if they are too
// large for one. A single row cannot be split.
func encoded(rec arrow.RecordBatch, send func(wire.Piece) error) error {
	pieces, err := wire.Cut(rec, nil)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if p.TooLarge() {
			return fmt.Errorf("a row is too large: it takes %s", p.Excess())
		}
		if err := send(p); err != nil {
			return err
		}
	}
	return nil
}

// answerOf returns the messages that answer a batch: the rows that were
// produced and, for a FlatMapper, how many came from each row. A row whose
// result is too large to send fails.
func answerOf(made arrow.RecordBatch, counts []int64, errs []RowError) ([]*pluginv1.MapResponse, error) {
	pieces, err := wire.CutNoted(made, counts, noteSizes(errs))
	if err != nil {
		return nil, err
	}
	rows := pieces[len(pieces)-1].To
	for _, e := range errs {
		if e.Row < 0 || int64(e.Row) >= rows {
			return nil, fmt.Errorf("row %d was marked as failed or pending, but the batch has %d rows", e.Row, rows)
		}
	}
	out := make([]*pluginv1.MapResponse, len(pieces))
	for i, p := range pieces {
		out[i] = &pluginv1.MapResponse{Rows: p.Rows, Counts: p.Counts, Errors: protoRowErrors(within(p, errs)), More: p.To < rows}
	}
	return out, nil
}

// noteSizes returns how many bytes the errors of each row take in a message.
func noteSizes(errs []RowError) map[int64]int {
	sizes := make(map[int64]int, len(errs))
	for _, e := range errs {
		sizes[int64(e.Row)] += wire.NoteBytes + len(e.Message) + len(e.pending.GetToken())
	}
	return sizes
}

// within returns the errors of a piece's rows, numbered from its first row.
func within(p wire.Piece, errs []RowError) []RowError {
	if p.TooLarge() && p.Counts != nil {
		return []RowError{{Message: "the rows that it produces take " + p.Excess()}}
	}
	if p.TooLarge() {
		return []RowError{{Message: "its result takes " + p.Excess()}}
	}
	var out []RowError
	for _, e := range errs {
		if row := int64(e.Row); row >= p.From && row < p.To {
			e.Row -= int(p.From)
			out = append(out, e)
		}
	}
	return out
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
		out[i] = &pluginv1.RowError{Row: int64(e.Row), Message: e.Message, Temporary: e.Temporary, Pending: e.pending}
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
