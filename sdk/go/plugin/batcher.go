package plugin

import (
	"context"
	"iter"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Batcher is an optional interface of a Provider whose API answers many requests
// later, for less money. quern uses it for a model whose ModelInfo has Batch set:
// instead of calling Chat, it collects the requests of a stage, submits them, and
// asks for the answers in the next apply.
type Batcher[A any] interface {
	// SubmitBatch submits a batch and returns a token, with which ReadBatch finds
	// the batch again: up to [TokenBytes] bytes, which quern stores unencrypted. If
	// b.Again is set and the provider has a batch of that name, SubmitBatch returns
	// its token and submits nothing. Errors are as for Chat; quern retries temporary
	// ones.
	SubmitBatch(ctx context.Context, args *A, b *BatchSubmission) (token []byte, err error)
	// ReadBatch returns how far a batch is. Of a batch that no longer exists, it
	// returns that it is done, without answers. Errors are as for Chat.
	ReadBatch(ctx context.Context, args *A, token []byte) (*BatchStatus, error)
}

// BatchSubmission is a batch to be submitted.
type BatchSubmission struct {
	// Name names the batch, with up to 24 letters, digits, and dashes.
	Name string
	// Again says that quern has submitted the batch before, at Begun, and does not
	// know whether the provider accepted it, for example because of a crash. If
	// SubmitBatch cannot tell yet either, it returns a temporary error.
	Again bool
	Begun time.Time
	// Requests can be read once.
	Requests iter.Seq2[BatchRequest, error]
}

// BatchRequest is one request of a batch.
type BatchRequest struct {
	// ID identifies the request within the batch: at most 32 letters and digits.
	ID      string
	Request *llm.Request
}

// BatchStatus is how far a batch is.
type BatchStatus struct {
	// Done says that the batch has ended, whether or not all requests were
	// answered. quern submits those again that have neither an answer nor a
	// permanent error.
	Done bool
	// Answered and Total count requests.
	Answered, Total int64
	// Message says in one line how far the batch is, or why it ended without
	// answers: "batch_abc: 40 of 100 requests are done".
	Message string
	// CheckAfter is when it is worth asking again, from now on; 0 means unknown.
	CheckAfter time.Duration
	// Answers are those of a batch that is done, in any order. They are read once,
	// before the context of ReadBatch ends. An error ends them; it concerns the
	// whole batch.
	Answers iter.Seq2[BatchAnswer, error]
}

// BatchAnswer is the answer to one request of a batch.
type BatchAnswer struct {
	ID string
	// Response is the answer, unless Err is set: why there is none, as for Chat.
	Response *llm.Response
	Err      error
}

// BatchLimits are the limits of one batch; 0 means no known limit.
type BatchLimits struct {
	Requests int64
	// Bytes is the size of the requests in the form in which quern caches them,
	// which is about the size in which they are sent.
	Bytes int64
}
