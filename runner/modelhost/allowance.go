package modelhost

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// burstShare is the share of a minute's allowance that may be used at once. The
// rest is spread evenly, so that no minute exceeds the limit.
const burstShare = 1.0 / 30

// perMinute returns a limiter for n events per minute, or nil if there is no
// limit.
func perMinute(n float64) *rate.Limiter {
	if n <= 0 {
		return nil
	}
	burst := max(1, int(n*burstShare))
	return rate.NewLimiter(rate.Limit((n-float64(burst-1))/60), burst)
}

// allowance limits the tokens of a model per minute. A call takes its expected
// number of tokens, and settles when the actual number is known.
type allowance struct {
	perSecond, burst float64
	// turn is held by the caller that waits for tokens. The others queue for
	// it.
	turn chan struct{}

	mu      sync.Mutex
	left    float64 // negative if more was used than available
	at      time.Time
	settled chan struct{} // closed and replaced when tokens are given back
}

// newAllowance returns an allowance of n tokens per minute, or nil if there is
// no limit.
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

// take waits until the expected number of tokens is available, and returns that
// number. A number larger than can ever be available at once passes when
// nothing else is in use, and makes later calls wait.
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
		n := expected() // changes after each call
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

// try takes n tokens if they are available. Otherwise it returns how long that
// will take, unless tokens are given back earlier.
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
	// Round up, so that the tokens are available when the time has passed.
	return time.Duration((need-a.left)/a.perSecond*float64(time.Second)) + time.Microsecond, a.settled
}

// settle replaces the tokens that were taken with the actual number.
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
