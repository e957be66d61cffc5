package rowwise

import (
	"sync"
	"time"
)

// progressPause is the minimum time between two reports of progress, except for
// reports that the plugin sends, which respect it already.
const progressPause = 200 * time.Millisecond

// progress reports how far a job is. Rows count when they are written. Rows
// that the plugin reports as finished count immediately, because they are
// written in order and may have to wait for others.
type progress struct {
	tell func(Progress) // nil if nobody listens

	mu    sync.Mutex
	count Progress // the written rows
	asked int64    // those among them that were sent to the plugin
	// finished counts the rows sent to the plugin that it reports as finished.
	finished int64
	most     int64 // the highest Done that was reported
	told     time.Time
}

// start sets what is known before any work is done.
func (p *progress) start(count Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = count
}

// write adds written rows. asked is the number of them that were sent to the
// plugin.
func (p *progress) write(count Progress, asked int64, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = count
	p.asked += asked
	if now || time.Since(p.told) >= progressPause {
		p.say()
	}
}

// finish sets the number of rows that the plugin has finished.
func (p *progress) finish(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rows <= p.finished {
		return
	}
	if p.finished = rows; p.finished > p.asked {
		p.say()
	}
}

// say must be called with the lock held. Done never decreases, and no row
// counts twice: finished rows that are written count as written.
func (p *progress) say() {
	if p.tell == nil {
		return
	}
	p.told = time.Now()
	out := p.count
	out.Done = min(max(out.Done+max(p.finished-p.asked, 0), p.most), out.Total)
	p.most = out.Done
	p.tell(out)
}
