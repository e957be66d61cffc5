package diag_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
)

func TestAnErrorBecomesTheDiagnosticThatItSays(t *testing.T) {
	failed := diag.Failed("the plan cannot be read", "try again: %w", io.ErrUnexpectedEOF)
	at := hcl.Range{Filename: "a"}
	for name, c := range map[string]struct {
		err             error
		summary, detail string
		subject         *hcl.Range
	}{
		"plain":          {io.EOF, "EOF", "", nil},
		"several lines":  {errors.New("a text of\ntwo lines"), "A text of\ntwo lines", "", nil},
		"itself":         {failed, "The plan cannot be read", "Try again: unexpected EOF", nil},
		"wrapped":        {fmt.Errorf("invalid -out: %w", failed), "Invalid -out: the plan cannot be read", "Try again: unexpected EOF", nil},
		"as a detail":    {diag.Failed("no apply", "%w", failed), "No apply", "The plan cannot be read. Try again: unexpected EOF", nil},
		"no detail":      {&diag.Error{Summary: "no", Subject: &at}, "No", "", &at},
		"of diagnostics": {diag.Failed("no import", "%w", hcl.Diagnostics{diag.Errorf(nil, "S", "D")}), "No import", "<nil>: S; D", nil},
		"diagnostics":    {fmt.Errorf("x: %w", hcl.Diagnostics{diag.Errorf(&at, "S", "D")}), "S", "D", &at},
	} {
		d := diag.Of(c.err)
		if len(d) != 1 || d[0].Summary != c.summary || d[0].Detail != c.detail || d[0].Severity != hcl.DiagError || (d[0].Subject == nil) != (c.subject == nil) {
			t.Errorf("%s: %q", name, d)
		}
	}
	if !errors.Is(failed, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}

func TestAnErrorWithinADetailIsASentence(t *testing.T) {
	inner := &diag.Error{Summary: `"x" is not an address`, Detail: "Write KIND.NAME."}
	outer := diag.Failed("invalid -target", "%w", fmt.Errorf("parse: %w", inner))
	if want := "parse: \"x\" is not an address. Write KIND.NAME."; outer.Detail != want || !errors.Is(outer, inner) {
		t.Errorf("got %q, want %q", outer.Detail, want)
	}
}

// described is an error of a package that does not import diag.
type described struct{}

func (described) Error() string                { return "disk full: free some space" }
func (described) Diagnostic() (string, string) { return "disk full", "free some space" }

func TestErrorsOfOtherPackagesAreDiagnosticsToo(t *testing.T) {
	d := diag.Of(fmt.Errorf("save the state: %w", described{}))
	if len(d) != 1 || d[0].Summary != "Save the state: disk full" || d[0].Detail != "Free some space" {
		t.Errorf("got %v", d)
	}
}

func TestJoinedErrorsAreDiagnosticsOfTheirOwn(t *testing.T) {
	d := diag.Of(errors.Join(io.EOF, nil, diag.Failed("no plan", "try again")))
	if len(d) != 2 || d[0].Summary != "EOF" || d[1].Summary != "No plan" || d[1].Detail != "Try again" {
		t.Errorf("got %v", d)
	}
	if d := diag.Of(fmt.Errorf("%w and %w", io.EOF, io.ErrClosedPipe)); len(d) != 1 || d[0].Summary != "EOF and io: read/write on closed pipe" {
		t.Errorf("one text with two causes: %v", d)
	}
}

func TestAnErrorNamesItsStage(t *testing.T) {
	err := fmt.Errorf("apply: %w", &diag.Error{Summary: "no", Address: `label.x["a"]`})
	if got := diag.Address(diag.Of(err)[0]); got != `label.x["a"]` {
		t.Errorf("got %q", got)
	}
	if got := diag.Address(diag.Of(io.EOF)[0]); got != "" {
		t.Errorf("an error about no stage: %q", got)
	}
}
