package llm

import (
	"errors"
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
	// Pending is true if the call has not failed, but has no answer yet because
	// the request is part of a batch. Message says what it waits for. Only a
	// stage gets such an error, from its host.
	Pending bool
	// CheckAfter is when it is worth asking again if the call is pending, from
	// now on; 0 means unknown.
	CheckAfter time.Duration
}

func (e *CallError) Error() string {
	if e.Status == 0 {
		return e.Message
	}
	return fmt.Sprintf("status %d: %s", e.Status, e.Message)
}

// IsPending says whether an error is a call to a model that is pending.
func IsPending(err error) bool {
	var call *CallError
	return errors.As(err, &call) && call.Pending
}

// Unreachable says whether the provider was not reached at all: what an endpoint
// that is gone, or has not started yet, looks like.
func (e *CallError) Unreachable() bool { return e.Status == 0 && e.Temporary }
