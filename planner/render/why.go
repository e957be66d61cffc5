package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/planner/plan"
)

// Why shows how an instance's keys differ from those of its result.
func Why(w io.Writer, e plan.Explanation, o Options) error {
	t := &text{w: bufio.NewWriter(w), options: o}
	t.why(e)
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("show why: %w", err)
	}
	return nil
}

func (t *text) why(e plan.Explanation) {
	n := &plan.Node{Address: e.Address, Action: e.Action, Reasons: e.Reasons}
	t.printf("%s %s.\n", t.paint(bold, e.Address), phrase(n))
	for _, r := range e.Reasons {
		if r.Code == plan.BecauseNew {
			t.printf("    It is new: the state has no instance with this address.\n")
			continue
		}
		t.reason(r)
	}
	if len(e.Fields) > 0 {
		t.printf("\nIts keys are computed from:\n")
	}
	width := 0
	for _, f := range e.Fields {
		width = max(width, printable.Width(fieldTitle(f.Name)))
	}
	for _, f := range e.Fields {
		sign, v := " ", f.After
		switch {
		case f.Changed && f.Before == "":
			sign = "+"
		case f.Changed && f.After == "":
			sign, v = "-", f.Before
		case f.Changed:
			sign = "~"
			v = oneLine(f.Before) + " → " + oneLine(f.After)
		}
		t.printf("  %s %s  %s\n", sign, printable.Pad(fieldTitle(f.Name), width), oneLine(v))
	}
	t.printf("\n")
	t.key("action key of its result", e.Before)
	t.key("action key now", e.After)
}

// fieldTitle is the name of a field for people. Fields of arguments begin with a
// word for the form of the argument, which matters to keys but not to readers.
func fieldTitle(name string) string {
	word, argument, found := strings.Cut(name, " ")
	switch word {
	case "argument", "value", "bool", "number", "expression", "artifact", "row":
		if found {
			return argument
		}
	}
	return name
}

func (t *text) key(name, key string) {
	if key == "" {
		key = "(none, or not known yet)"
	}
	t.printf("%-25s %s\n", name+":", key)
}

// oneLine shortens a value to a line.
func oneLine(s string) string {
	s = printable.Line(s)
	if r := []rune(s); len(r) > 2*shortValue {
		return string(r[:2*shortValue]) + "…"
	}
	return s
}
