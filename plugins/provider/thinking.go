package provider

import (
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Reading contains the argument that says how to read answers.
type Reading struct {
	StripThinking bool `quern:"strip_thinking" default:"true" doc:"Whether to remove the model's reasoning before the answer, in a block such as <think>…</think>."`
}

// thinking contains the tags of blocks in which models write their reasoning.
var thinking = []string{"think", "thinking", "thought", "reasoning", "reflection"}

// Read removes the reasoning that precedes an answer, and stores it separately.
func (r *Reading) Read(out *llm.Response) {
	if !r.StripThinking {
		return
	}
	for {
		thought, rest, ok := cutThought(out.Text)
		if !ok {
			return
		}
		if out.Thinking != "" {
			out.Thinking += "\n"
		}
		out.Thinking, out.Text = out.Thinking+thought, rest
		out.LogProbs = nil // they are those of the whole text
	}
}

// cutThought removes a leading block from a text. If the model's template opens
// the block, the answer contains only its end tag, on a separate line.
func cutThought(text string) (thought, rest string, ok bool) {
	trimmed := strings.TrimSpace(text)
	for _, tag := range thinking {
		if inner, opened := cutPrefixFold(trimmed, "<"+tag+">"); opened {
			thought, rest, ok = cutFold(inner, "</"+tag+">")
			return strings.TrimSpace(thought), strings.TrimSpace(rest), ok
		}
	}
	before, after, found := strings.Cut(trimmed, "\n</think>\n")
	if !found {
		if after, found = strings.CutPrefix(trimmed, "</think>\n"); found {
			before = ""
		}
	}
	if !found || strings.Contains(before, "<think>") {
		return "", "", false
	}
	return strings.TrimSpace(before), strings.TrimSpace(after), true
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// cutFold is like strings.Cut, but ignores the case of sep, which must be
// ASCII.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if s[i] == sep[0] && strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return "", "", false
}
