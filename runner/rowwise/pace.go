package rowwise

import (
	"sync/atomic"
	"time"
)

// Batches start small and grow until one takes about batchTime. So a plugin
// that calls a model answers often enough to commit its work, and a fast one
// rarely pays the fixed cost of a batch.
const (
	firstRows = 256
	leastRows = 16
	mostRows  = 1 << 14
	batchTime = 250 * time.Millisecond
)

// answerBytes is the intended size of the answer to a batch, if rows produce
// any number of rows.
const answerBytes = 16 << 20

// pace determines the number of rows in the next batch.
type pace struct {
	rows atomic.Int64
	last time.Time // when the last answer arrived
	most int64     // bound by the size of answers; 0 means mostRows
}

// made records the size of the results of that many rows.
func (p *pace) made(rows int, bytes int64) {
	p.most = min(max(answerBytes*int64(rows)/max(bytes, 1), 1), mostRows)
}

func newPace() *pace {
	p := &pace{}
	p.rows.Store(firstRows)
	return p
}

// answered records an answer for a number of rows, when they were sent, and
// when it arrived.
func (p *pace) answered(rows int, sent, now time.Time) {
	since := now.Sub(sent)
	if p.last.After(sent) {
		since = now.Sub(p.last)
	}
	p.last = now
	have := p.rows.Load()
	want := have * 2
	if since > 0 {
		want = int64(float64(rows) * float64(batchTime) / float64(since))
	}
	want = min(max(want, have/2, leastRows), have*2, mostRows)
	if p.most > 0 {
		want = min(want, p.most)
	}
	p.rows.Store(want)
}
