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
