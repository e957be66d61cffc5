package llm

import (
	"fmt"
	"time"
)

// CallError is why a call to a model failed.
type CallError struct {
	// Message is for users. It contains no keys and no complete requests.
	Message string
	// Status is the HTTP status; 0 if there is none, for example because no
	// connection was made.
	Status int
	// Temporary is true if another attempt may succeed.
	Temporary bool
	// RetryAfter is how long the provider asked to wait; nil if it did not say.
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
