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

// Declined is the error of a model that declined to answer.
type Declined struct{ Words string }

func (e *Declined) Error() string {
	if e.Words == "" {
		return "the model declined to answer"
	}
	return "the model declined to answer: " + excerpt(e.Words)
}

// Unusable is the error of an answer that was cut off, or that is not of the
// form that was asked for the second time too. Neither is kept.
type Unusable struct {
	Err  error
	Text string
}

func (e *Unusable) Error() string {
	return fmt.Sprintf("the answer can't be used: %s. It was: %s", e.Err, excerpt(e.Text))
}
func (e *Unusable) Unwrap() error { return e.Err }

// OfRow says whether an error is about the one row, as against the run: the
// stage goes on without that row.
func OfRow(err error) bool {
	var call *llm.CallError
	var declined *Declined
	var unusable *Unusable
	return errors.As(err, &call) || errors.As(err, &declined) || errors.As(err, &unusable)
}

// Ask asks for an answer that take accepts. Where it does not, the model is
// shown what is wrong and asked once more.
func Ask(ctx context.Context, host *plugin.Host, m plugin.Model, r *llm.Request, draw int, take func(text string) error) error {
	_, err := Answer(ctx, host, m, r, draw, take)
	return err
}

// Answer is Ask that returns the last response too, with the tokens, the cost
// and the seconds of both where there were two. It is nil where there was none;
// beside an error it is the one that the error is about.
func Answer(ctx context.Context, host *plugin.Host, m plugin.Model, r *llm.Request, draw int, take func(text string) error) (*llm.Response, error) {
	first, err := host.Chat(ctx, m, r, draw)
	if err != nil {
		return nil, err
	}
	wrong := accept(first, take)
	var declined *Declined
	if wrong == nil || errors.As(wrong, &declined) {
		return first, wrong
	}
	if first.FinishReason == llm.FinishLength { // and with the same limit the next one would be
		return first, &Unusable{wrong, first.Text}
	}
	again := *r
	again.Messages = append(slices.Clone(r.Messages),
		llm.Message{Role: llm.Assistant, Content: first.Text},
		llm.Message{Role: llm.User, Content: "This answer can't be used: " + wrong.Error() + ". Answer once more, in the form that was asked for and with nothing else."},
	)
	second, err := host.Chat(ctx, m, &again, draw)
	if err != nil {
		return first, errors.Join(err, host.Reject(ctx, m, r, draw))
	}
	both := together(first, second)
	wrong = accept(second, take)
	if wrong == nil || errors.As(wrong, &declined) {
		return both, wrong
	}
	// The next time the model is asked again, rather than given these.
	for _, rejected := range []*llm.Request{r, &again} {
		if err := host.Reject(ctx, m, rejected, draw); err != nil {
			return both, err
		}
	}
	return both, &Unusable{wrong, second.Text}
}

// MayPass says whether an error of a row may be gone the next time the model is
// asked: one that passes by itself, or an answer that could not be used.
func MayPass(err error) bool {
	var call *llm.CallError
	var unusable *Unusable
	return errors.As(err, &call) && call.Temporary || errors.As(err, &unusable)
}

// together is the second response with what both took.
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

// Instruct adds text to the instructions of a request, its system message.
func Instruct(r *llm.Request, text string) {
	r.Messages = slices.Clone(r.Messages)
	if len(r.Messages) > 0 && r.Messages[0].Role == llm.System {
		r.Messages[0].Content = strings.TrimRight(r.Messages[0].Content, "\n") + "\n\n" + text
		return
	}
	r.Messages = slices.Insert(r.Messages, 0, llm.Message{Role: llm.System, Content: text})
}

// excerptLength is how much of an answer an error shows, in bytes.
const excerptLength = 200

func excerpt(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > excerptLength {
		text = strings.ToValidUTF8(text[:excerptLength], "") + "…"
	}
	return text
}
