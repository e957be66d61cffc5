package rowwise

import (
	"sync/atomic"
	"time"
)

// Batches start small and grow until one takes about batchTime: a plugin that
// calls a model answers often enough to commit what it did, a fast one pays
// the fixed costs of a batch seldom.
const (
	firstRows = 256
	leastRows = 16
	mostRows  = 1 << 14
	batchTime = 250 * time.Millisecond
)

// answerBytes is how large the answer to a batch should be, where rows give any
// number of rows.
const answerBytes = 16 << 20

// pace is how many rows the next batch should have.
type pace struct {
	rows atomic.Int64
	last time.Time // when the last answer came
	most int64     // rows, by the size of answers; 0: mostRows
}

// made notes the size of the results of that many rows.
func (p *pace) made(rows int, bytes int64) {
	p.most = min(max(answerBytes*int64(rows)/max(bytes, 1), 1), mostRows)
}

func newPace() *pace {
	p := &pace{}
	p.rows.Store(firstRows)
	return p
}

// answered notes that an answer to so many rows, sent at a time, came now.
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
