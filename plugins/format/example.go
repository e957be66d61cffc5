package format

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/quern-dev/quern/internal/chattemplate"
)

type message = chattemplate.Message

// example is what a row says: what comes before the answers, and the answers.
// Conversations that nobody answers at the end have none; preferences have two.
type example struct {
	prompt  []message
	answers [][]message
	// good says which answers are good ones. It is nil if that is not known.
	good []bool
	// tools is a JSON list of the functions that the model can call, or nil.
	tools json.RawMessage
}

// conversation returns the prompt with an answer, if there is one.
func (e example) conversation() []message {
	if len(e.answers) == 0 {
		return e.prompt
	}
	return slices.Concat(e.prompt, e.answers[0])
}

// of returns messages with the tools.
func (e example) of(messages []message) chattemplate.Conversation {
	return chattemplate.Conversation{Messages: messages, Tools: e.tools}
}

// split returns the example of a conversation. Its answer is the last message, if
// that is the assistant's.
func split(all []message) example {
	if last := len(all) - 1; last >= 0 && all[last].Role == "assistant" {
		return example{prompt: all[:last], answers: [][]message{all[last:]}}
	}
	return example{prompt: all}
}

// check returns why nothing can be learned from the example, or nil.
func (e example) check() error {
	for _, answer := range e.answers {
		if err := checkConversation(slices.Concat(e.prompt, answer)); err != nil {
			return err
		}
		if answer[0].Role != "assistant" {
			return fmt.Errorf("the answer begins with a message of the role %q, not of the assistant", answer[0].Role)
		}
	}
	if len(e.answers) == 0 {
		return checkConversation(e.prompt)
	}
	if len(e.prompt) == 0 {
		return fmt.Errorf("nothing precedes the answer")
	}
	if len(e.answers) == 2 && slices.EqualFunc(e.answers[0], e.answers[1], message.Equal) {
		return fmt.Errorf("chosen and rejected are equal, so there is nothing to prefer")
	}
	return nil
}

func checkConversation(all []message) error {
	if err := checkCalls(all); err != nil {
		return err
	}
	answered := false
	for i, m := range all {
		switch m.Role {
		case "system":
			if i > 0 {
				return fmt.Errorf("message %d has the role \"system\", which only the first message can have", i+1)
			}
		case "user", "tool":
		case "assistant":
			answered = true
		default:
			return fmt.Errorf("message %d has the role %q; the roles are system, user, assistant, and tool", i+1, m.Role)
		}
	}
	switch {
	case len(all) == 0:
		return fmt.Errorf("the conversation has no messages")
	case !answered:
		return fmt.Errorf("the conversation has no message of the assistant, so there is nothing to learn")
	}
	return nil
}
