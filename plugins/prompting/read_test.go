package prompting

import (
	"strings"
	"testing"
)

func TestObjectFindsTheOnlyObjectInAnAnswer(t *testing.T) {
	const label = `{"label": "card"}`
	for name, c := range map[string]struct{ text, want string }{
		"alone":                              {label, label},
		"fenced":                             {"```json\n" + label + "\n```", label},
		"in prose":                           {"Sure! Here it is:\n" + label + "\nAnything else?", label},
		"fenced in prose":                    {"Sure:\n```json\n" + label + "\n```\nDone.", label},
		"twice the same":                     {label + "\n" + `{ "label":"card" }`, label},
		"braces in prose":                    {"The set {a, b}: " + label, label},
		"nested":                             {`{"a": {"label": "card"}}`, `{"a": {"label": "card"}}`},
		"brace in a string":                  {`x {"label": "}{"} y`, `{"label": "}{"}`},
		"two fenced objects":                 {"```\n" + label + "\n```\n```\n" + `{"label":"rate"}` + "\n```", ""},
		"two objects":                        {label + ` {"label": "rate"}`, ""},
		"cut off":                            {`{"label": "ca`, ""},
		"none":                               {"card", ""},
		"empty":                              {"", ""},
		"braces alone":                       {strings.Repeat("{", 100_000), ""},
		"braces and an end":                  {strings.Repeat(`{"a":`, 5000) + "}", ""},
		"numbers that differ beyond float64": {`{"n": 9007199254740993} {"n": 9007199254740992}`, ""},
	} {
		got, err := Object(c.text)
		if c.want == "" && err == nil || c.want != "" && string(got) != c.want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestBareRemovesWhatIsAroundAWord(t *testing.T) {
	for _, text := range []string{"card", " card\n", `"card"`, "card.", "**card**", "`card`", "```\ncard\n```", "```text\ncard.\n```", "'card'."} {
		if got := Bare(text); got != "card" {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
