package provider

import (
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Reading is the argument that says how answers are read.
type Reading struct {
	StripThinking bool `quern:"strip_thinking" default:"true" doc:"Whether to remove the model's reasoning before the answer, in a block such as <think>…</think>."`
}

// thinking are the tags of blocks that models think aloud in.
var thinking = []string{"think", "thinking", "thought", "reasoning", "reflection"}

// Read takes off an answer what the model thought aloud before it. It is kept
// beside the answer.
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
		out.LogProbs = nil // they were of the whole text
	}
}

// cutThought cuts a leading block off a text. Where the template of the model
// opens the block, the answer holds no more than its end, on a line of its own.
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

// cutFold is strings.Cut at an ASCII text in any case.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if s[i] == sep[0] && strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return "", "", false
}
