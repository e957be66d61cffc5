package prompting

import (
	"context"
	"encoding/json"
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

// Unusable is the error of an answer that is not of the form that was asked
// for, the second time too.
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
	again := *r
	again.Messages = append(slices.Clone(r.Messages),
		llm.Message{Role: llm.Assistant, Content: first.Text},
		llm.Message{Role: llm.User, Content: "This answer can't be used: " + wrong.Error() + ". Answer once more, in the form that was asked for and with nothing else."},
	)
	second, err := host.Chat(ctx, m, &again, draw)
	if err != nil {
		return first, err
	}
	both := together(first, second)
	wrong = accept(second, take)
	if wrong == nil || errors.As(wrong, &declined) {
		return both, wrong
	}
	return both, &Unusable{wrong, second.Text}
}

// together is the second response with what both took.
func together(first, second *llm.Response) *llm.Response {
	both := *second
	both.Usage.Input += first.Usage.Input
	both.Usage.CachedInput += first.Usage.CachedInput
	both.Usage.Output += first.Usage.Output
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
		return errors.New("it was cut off at the greatest number of tokens")
	}
	return take(r.Text)
}

// Unfence takes off the fence of a code block that is all of an answer: models
// put JSON into one even when they are asked not to.
func Unfence(text string) string {
	text = strings.TrimSpace(text)
	inner, ok := strings.CutPrefix(text, "```")
	if !ok {
		return text
	}
	inner, ok = strings.CutSuffix(inner, "```")
	if first, rest, found := strings.Cut(inner, "\n"); ok && found && !strings.ContainsAny(strings.TrimSpace(first), " {[\"") {
		return strings.TrimSpace(rest)
	}
	return text
}

// Decode reads an answer that is JSON of a certain form and nothing else.
func Decode(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(Unfence(text)))
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("it is not the JSON that was asked for: %w", err)
	}
	if d.More() {
		return errors.New("more follows after the JSON")
	}
	return nil
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
