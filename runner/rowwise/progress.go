package rowwise

import (
	"sync"
	"time"
)

// progressPause is how often progress is told at most, but for what the plugin
// tells, which it does not do oftener.
const progressPause = 200 * time.Millisecond

// progress reports how far a job is. Rows count when they are written, and rows
// that the plugin says are finished as soon as it does: they are written in
// order, behind others that may be long in coming.
type progress struct {
	tell func(Progress) // nil: nobody listens

	mu    sync.Mutex
	count Progress // of what is written
	asked int64    // rows of it that the plugin was asked for
	// finished rows of those that it was asked for, by its own account.
	finished int64
	most     int64 // Done that was told
	told     time.Time
}

// start takes what is known before anything is done.
func (p *progress) start(count Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = count
}

// write takes what is written now; asked of the rows that were added the plugin
// was asked for.
func (p *progress) write(count Progress, asked int64, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = count
	p.asked += asked
	if now || time.Since(p.told) >= progressPause {
		p.say()
	}
}

// finish takes how many rows the plugin has finished.
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

// say is called under the lock. What is done never gets less, and no row counts
// twice: of the finished rows those that are written are counted there.
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
