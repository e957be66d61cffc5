package wire

import (
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// CallErrorFromProto converts an error from the protocol.
func CallErrorFromProto(e *pluginv1.CallError) *llm.CallError {
	out := &llm.CallError{Message: e.Message, Status: int(e.Status), Temporary: e.Temporary, Pending: e.Pending}
	if e.Pending {
		out.CheckAfter = time.Duration(e.GetCheckAfterSeconds() * float64(time.Second))
	}
	if e.RetryAfterSeconds != nil {
		d := time.Duration(*e.RetryAfterSeconds * float64(time.Second))
		out.RetryAfter = &d
	}
	return out
}

// CallErrorToProto converts an error to the protocol.
func CallErrorToProto(e *llm.CallError) *pluginv1.CallError {
	out := &pluginv1.CallError{Message: e.Message, Status: int32(e.Status), Temporary: e.Temporary, Pending: e.Pending}
	if e.Pending && e.CheckAfter > 0 {
		seconds := e.CheckAfter.Seconds()
		out.CheckAfterSeconds = &seconds
	}
	if e.RetryAfter != nil {
		seconds := e.RetryAfter.Seconds()
		out.RetryAfterSeconds = &seconds
	}
	return out
}
