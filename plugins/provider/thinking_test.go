package provider

import (
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestLeadingReasoningIsRemovedFromAnswers(t *testing.T) {
	for text, want := range map[string]string{
		"<think>Hm.</think>card":                     "card",
		"\n<think>\nHm <b>\n</think>\n\ncard":        "card",
		"<THINK>Hm.</Think>card":                     "card",
		"<think>a</think><think>b</think>card":       "card",
		"<thinking>a</thinking>\n{\"label\": \"x\"}": `{"label": "x"}`,
		"Okay, so it is a card.\n</think>\n\ncard":   "card",
		"</think>\n\ncard":                           "card",
		"<think>never closed":                        "<think>never closed",
		"card <think>later</think>":                  "card <think>later</think>",
		"Close a block with </think> at its end.":    "Close a block with </think> at its end.",
		"card":                        "card",
		"<think>nothing else</think>": "",
	} {
		r := &llm.Response{Text: text}
		(&Reading{StripThinking: true}).Read(r)
		if r.Text != want {
			t.Errorf("%q: got %q", text, r.Text)
		}
		kept := &llm.Response{Text: text}
		if (&Reading{}).Read(kept); kept.Text != text {
			t.Errorf("%q without it: got %q", text, kept.Text)
		}
	}
}
