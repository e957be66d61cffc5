package rowwise

import (
	"fmt"
	"strings"
	"time"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/pending"
)

const (
	// mostToken is the maximum length of a token, and mostReason the length to
	// which reasons are shortened, in bytes.
	mostToken  = 4096
	mostReason = 1024
)

// waits passes tokens between a plugin and the log of what rows wait for.
type waits struct {
	log    *pending.Log // nil if nothing is kept
	redact func(string) string
	guard  func(token []byte) error
}

// tokens returns the tokens of rows.
func (w waits) tokens(keys []rowKey) []*pluginv1.RowToken {
	if w.log == nil || w.log.Empty() {
		return nil
	}
	var out []*pluginv1.RowToken
	for i, key := range keys {
		if row, ok := w.log.Get(key); ok && len(row.Token) > 0 {
			out = append(out, &pluginv1.RowToken{Row: int64(i), Token: row.Token})
		}
	}
	return out
}

// sizes returns how many bytes the tokens of rows take in a message.
func sizes(tokens []*pluginv1.RowToken) map[int64]int {
	out := make(map[int64]int, len(tokens))
	for _, t := range tokens {
		out[t.Row] = wire.NoteBytes + len(t.Token)
	}
	return out
}

// within returns the tokens of rows from from to to-1, numbered from 0.
func within(tokens []*pluginv1.RowToken, from, to int64) []*pluginv1.RowToken {
	var out []*pluginv1.RowToken
	for _, t := range tokens {
		if t.Row >= from && t.Row < to {
			out = append(out, &pluginv1.RowToken{Row: t.Row - from, Token: t.Token})
		}
	}
	return out
}

// take records the pending rows of a message. When it returns, their tokens are
// durable. keys are those of the rows that the message's errors refer to.
func (w waits) take(keys []rowKey, errs []*pluginv1.RowError) error {
	var answers []pending.Answer
	seen := map[int64]bool{}
	for _, e := range errs {
		if e.GetPending() != nil && !seen[e.GetRow()] {
			a, err := w.answer(keys[e.GetRow()], e)
			if err != nil {
				return err
			}
			answers = append(answers, a)
		}
		seen[e.GetRow()] = true
	}
	if len(answers) == 0 || w.log == nil {
		return nil
	}
	return w.log.Wait(answers)
}

func (w waits) answer(key rowKey, e *pluginv1.RowError) (pending.Answer, error) {
	token := e.GetPending().GetToken()
	if len(token) > mostToken {
		return pending.Answer{}, &Faulty{fmt.Sprintf("it answered a row as pending with a token of %d bytes, but at most %d are allowed", len(token), mostToken)}
	}
	if w.guard != nil {
		if err := w.guard(token); err != nil {
			return pending.Answer{}, err
		}
	}
	return pending.Answer{Key: key, Reason: w.reason(e.GetMessage()), Token: token, CheckAfter: Seconds(e.GetPending().CheckAfterSeconds)}, nil
}

// reason returns a reason as it is stored: without secrets, and shortened.
func (w waits) reason(text string) string {
	text = message(text)
	if w.redact != nil {
		text = w.redact(text)
	}
	return ShortReason(text)
}

// ShortReason shortens what a row or a stage waits for.
func ShortReason(text string) string {
	if len(text) <= mostReason {
		return text
	}
	return strings.ToValidUTF8(text[:mostReason-len("…")], "") + "…"
}

// mostSeconds is the longest time after which it can be worth asking again.
const mostSeconds = 100 * 365 * 24 * 3600

// Seconds returns an optional number of seconds as a duration, or 0.
func Seconds(s *float64) time.Duration {
	if s == nil || !(*s > 0) { // not a number is not positive
		return 0
	}
	return time.Duration(min(*s, mostSeconds) * float64(time.Second))
}
