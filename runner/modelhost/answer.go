package modelhost

import (
	"net/http"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// unanswered returns why a response is not an answer, although it came with
// status 200, or nil if it is one. A refusal is an answer, and so is a
// truncated answer that is not empty.
func unanswered(r *llm.Response) *pluginv1.CallError {
	if r.FinishReason == llm.FinishError {
		message := "the provider reported an error in its response"
		if text := strings.TrimSpace(r.Text); text != "" {
			message += ": " + text
		}
		return &pluginv1.CallError{Message: message, Status: http.StatusOK, Temporary: true}
	}
	if strings.TrimSpace(r.Text) != "" || len(r.ToolCalls) > 0 || len(r.PromptLogProbs) > 0 || r.Refused() {
		return nil
	}
	if r.FinishReason == llm.FinishLength {
		message := "the answer was cut off at the token limit before it contained any text; raise max_tokens"
		if r.Thinking != "" {
			message = "the answer was cut off at the token limit while the model was still thinking; raise max_tokens"
		}
		// With the same limit, the next answer would be truncated, too.
		return &pluginv1.CallError{Message: message, Status: http.StatusOK}
	}
	message := "the response is empty"
	if r.Thinking != "" {
		message = "the response is empty except for the model's reasoning"
	}
	return &pluginv1.CallError{Message: message, Status: http.StatusOK, Temporary: true}
}

// usage returns the tokens of a response: the provider's count, or an estimate
// if the provider reported none or an impossible one.
func (q *question[T]) usage(u llm.Usage, text string) llm.Usage {
	if u.Input <= 0 {
		u.Input, u.CachedInput, u.Estimated = q.estimated, 0, true
	}
	if u.Output < 0 || u.Output == 0 && text != "" {
		u.Output, u.Estimated = textTokens([]string{text}), true
	}
	u.CachedInput = min(max(u.CachedInput, 0), u.Input)
	return u
}

// said returns the whole text of a response, for estimates.
func said(r *llm.Response) string {
	text := r.Thinking + r.Text + r.Refusal
	for _, c := range r.ToolCalls {
		text += c.Name + c.Arguments
	}
	return text
}
