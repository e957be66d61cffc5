package modelhost

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// burstShare is the share of a minute's allowance that may be used at once. The
// rest comes evenly, and so slowly that in no minute more is used than allowed.
const burstShare = 1.0 / 30

// perMinute is a limiter that lets n events through in a minute; nil: any
// number.
func perMinute(n float64) *rate.Limiter {
	if n <= 0 {
		return nil
	}
	burst := max(1, int(n*burstShare))
	return rate.NewLimiter(rate.Limit((n-float64(burst-1))/60), burst)
}

// allowance is how many tokens a model may be asked for in a minute. A call
// takes what it is expected to come to, and settles when it is known.
type allowance struct {
	perSecond, burst float64
	// turn is held by the one who waits for tokens; the others wait in line.
	turn chan struct{}

	mu      sync.Mutex
	left    float64 // below 0: more was used than there was
	at      time.Time
	settled chan struct{} // closed, and replaced, when something was given back
}

// newAllowance returns the allowance of n tokens a minute; nil: any number.
func newAllowance(n float64, now time.Time) *allowance {
	if n <= 0 {
		return nil
	}
	burst := n * burstShare
	return &allowance{
		perSecond: (n - burst) / 60, burst: burst, left: burst, at: now,
		turn: make(chan struct{}, 1), settled: make(chan struct{}),
	}
}

// take waits until so many tokens may be used as are expected then, and returns
// how many that is. More than may be used at once are let through when nothing
// else was used, and make the next ones wait.
func (a *allowance) take(ctx context.Context, expected func() int64) (int64, error) {
	if a == nil {
		return 0, nil
	}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	defer func() { <-a.turn }()
	for {
		n := expected() // more is known after each call
		delay, settled := a.try(n)
		if delay <= 0 {
			return n, nil
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-settled:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return 0, context.Cause(ctx)
		}
	}
}

// try takes n tokens if there are as many; else it says how long that will be,
// unless something is given back before.
func (a *allowance) try(n int64) (time.Duration, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.left = min(a.burst, a.left+now.Sub(a.at).Seconds()*a.perSecond)
	a.at = now
	need := min(float64(n), a.burst)
	if a.left >= need {
		a.left -= float64(n)
		return 0, nil
	}
	// Rounded up, so that the tokens are there when the time has passed.
	return time.Duration((need-a.left)/a.perSecond*float64(time.Second)) + time.Microsecond, a.settled
}

// settle replaces what was taken by what it came to.
func (a *allowance) settle(taken, came int64) {
	if a == nil || taken == came {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left += float64(taken - came)
	close(a.settled)
	a.settled = make(chan struct{})
}
