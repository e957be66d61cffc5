package llm

import (
	"fmt"
	"time"
)

// CallError is why an attempt to call a model failed, or why a model gave no
// answer in the end.
type CallError struct {
	// Message is for a person. It holds no keys and no whole requests.
	Message string
	// Status is the HTTP status; 0: no connection came about, which does not count as an
	// attempt if Temporary. Where what was reached went away without a response, 502
	// stands for that, and 408 where it took too long.
	Status int
	// Temporary: another attempt may succeed.
	Temporary bool
	// RetryAfter is what the provider asked to wait; nil: it said nothing.
	RetryAfter *time.Duration
}

func (e *CallError) Error() string {
	if e.Status == 0 {
		return e.Message
	}
	return fmt.Sprintf("status %d: %s", e.Status, e.Message)
}

// Unreachable says whether the provider was not reached at all: what an endpoint
// that is gone, or has not started yet, looks like.
func (e *CallError) Unreachable() bool { return e.Status == 0 && e.Temporary }
