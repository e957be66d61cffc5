package prompting

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Declined is the error of a model that refused to answer.
type Declined struct{ Words string }

func (e *Declined) Error() string {
	if e.Words == "" {
		return "the model declined to answer"
	}
	return "the model declined to answer: " + excerpt(e.Words)
}

// Unusable is the error of an answer that was cut off, or that was invalid
// twice. Such answers are not cached.
type Unusable struct {
	Err  error
	Text string
}

func (e *Unusable) Error() string {
	return fmt.Sprintf("the answer can't be used: %s. It was: %s", e.Err, excerpt(e.Text))
}
func (e *Unusable) Unwrap() error { return e.Err }

// OfRow reports whether an error concerns only the row, not the run, so that
// the stage continues without that row.
func OfRow(err error) bool {
	var call *llm.CallError
	var declined *Declined
	var unusable *Unusable
	return errors.As(err, &call) || errors.As(err, &declined) || errors.As(err, &unusable)
}

// Asker sends requests to models, as *plugin.Host does.
type Asker interface {
	Chat(ctx context.Context, m plugin.Model, r *llm.Request, draw int) (*llm.Response, error)
	Reject(ctx context.Context, m plugin.Model, r *llm.Request, draw int) error
}

// Ask requests an answer until take accepts it, at most twice. Before the
// second request, it shows the model what is wrong.
func Ask(ctx context.Context, host Asker, m plugin.Model, r *llm.Request, draw int, take func(text string) error) error {
	_, err := Answer(ctx, host, m, r, draw, take)
	return err
}

// Answer is like Ask, but also returns the last response, with the tokens,
// cost, and latency of all requests. The response is nil if there was none. If
// Answer returns an error, the response is the one that the error is about.
func Answer(ctx context.Context, host Asker, m plugin.Model, r *llm.Request, draw int, take func(text string) error) (*llm.Response, error) {
	first, err := host.Chat(ctx, m, r, draw)
	if err != nil {
		return nil, err
	}
	wrong := accept(first, take)
	var declined *Declined
	if wrong == nil || errors.As(wrong, &declined) {
		return first, wrong
	}
	if first.FinishReason == llm.FinishLength { // the next answer would be cut off, too
		return first, &Unusable{wrong, first.Text}
	}
	again := *r
	again.Messages = append(slices.Clone(r.Messages),
		llm.Message{Role: llm.Assistant, Content: first.Text},
		llm.Message{Role: llm.User, Content: "This answer can't be used: " + wrong.Error() + ". Answer once more, in the form that was asked for and with nothing else."},
	)
	second, err := host.Chat(ctx, m, &again, draw)
	if llm.IsPending(err) { // the first answer is needed to ask again
		return first, err
	}
	if err != nil {
		return first, errors.Join(err, host.Reject(ctx, m, r, draw))
	}
	both := together(first, second)
	wrong = accept(second, take)
	if wrong == nil || errors.As(wrong, &declined) {
		return both, wrong
	}
	// The next time, the model is asked again instead of returning these from
	// the cache.
	for _, rejected := range []*llm.Request{r, &again} {
		if err := host.Reject(ctx, m, rejected, draw); err != nil {
			return both, err
		}
	}
	return both, &Unusable{wrong, second.Text}
}

// MayPass reports whether an error of a row may not occur again the next time:
// a temporary one, or an answer that could not be used.
func MayPass(err error) bool {
	var call *llm.CallError
	var unusable *Unusable
	return errors.As(err, &call) && call.Temporary || errors.As(err, &unusable)
}

// together returns the second response with the usage of both.
func together(first, second *llm.Response) *llm.Response {
	both := *second
	both.Usage.Input += first.Usage.Input
	both.Usage.CachedInput += first.Usage.CachedInput
	both.Usage.Output += first.Usage.Output
	both.Usage.Estimated = first.Usage.Estimated || second.Usage.Estimated
	both.Latency += first.Latency
	both.Cost = nil
	if first.Cost != nil && second.Cost != nil {
		cost := *first.Cost + *second.Cost
		both.Cost = &cost
	}
	return &both
}

func accept(r *llm.Response, take func(string) error) error {
	switch {
	case r.Refused():
		return &Declined{r.Refusal}
	case r.FinishReason == llm.FinishLength:
		return errors.New("it was cut off at the token limit; raise max_tokens")
	}
	return take(r.Text)
}

// Instruct appends text to the instructions of a request, its system message.
func Instruct(r *llm.Request, text string) {
	r.Messages = slices.Clone(r.Messages)
	if len(r.Messages) > 0 && r.Messages[0].Role == llm.System {
		r.Messages[0].Content = strings.TrimRight(r.Messages[0].Content, "\n") + "\n\n" + text
		return
	}
	r.Messages = slices.Insert(r.Messages, 0, llm.Message{Role: llm.System, Content: text})
}

// excerptLength is the maximum length of an answer in an error, in bytes.
const excerptLength = 200

func excerpt(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > excerptLength {
		text = strings.ToValidUTF8(text[:excerptLength], "") + "…"
	}
	return text
}
