package plugin

import (
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
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

// throttle drops what comes too fast.
type throttle struct {
	mu   sync.Mutex
	last time.Time
}

func (t *throttle) pass(done, total int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Sub(t.last) < progressEvery && (total == 0 || done < total) {
		return false
	}
	t.last = now
	return true
}

// encode checks rows against the declared columns and writes them.
func encode(schema data.Schema, rec arrow.RecordBatch) ([]byte, error) {
	got, err := data.FromArrow(rec.Schema())
	if err != nil {
		return nil, err
	}
	if !got.Equal(schema) {
		return nil, fmt.Errorf("the rows' columns are not those that were declared\nDeclared: %s.\nWritten: %s.",
			describeColumns(schema), describeColumns(got))
	}
	return data.EncodeBatch(rec)
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
