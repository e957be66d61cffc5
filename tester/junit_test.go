package tester

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestReportsAreWellFormedWhateverTheySay(t *testing.T) {
	failed := hcl.Diagnostics{{Severity: hcl.DiagWarning, Summary: "warning"}, {Severity: hcl.DiagError, Summary: "a < \x00 \"b\" & ]]>\xff"}}
	r := &Result{Files: []*File{
		{Name: "a<b.quern-test.hcl", Seconds: 1.25, Runs: []*Run{
			{Name: "passed", Status: Passed, Seconds: 1},
			{Name: "failed", Status: Failed, Diagnostics: failed},
			{Name: "broken", Status: Broken, Diagnostics: failed},
			{Name: "skipped", Status: Skipped},
		}},
		{Name: "c.quern-test.hcl", Status: Broken, Diagnostics: failed},
	}}
	var b strings.Builder
	err := r.JUnit(&b, func(diags hcl.Diagnostics) string {
		text := ""
		for _, d := range diags {
			text += d.Summary + "\n"
		}
		return text
	})
	if err != nil {
		t.Fatal(err)
	}
	var read junitSuites
	if err := xml.Unmarshal([]byte(b.String()), &read); err != nil {
		t.Fatalf("%s\n%s", err, b.String())
	}
	if read.Tests != 5 || read.Failures != 1 || read.Errors != 2 || read.Time != "1.250" {
		t.Errorf("totals: %+v", read)
	}
	first := read.Suites[0]
	if first.Name != "a<b.quern-test.hcl" || first.Tests != 4 || first.Failures != 1 || first.Errors != 1 || first.Skipped != 1 {
		t.Errorf("suite: %+v", first)
	}
	if p := first.Cases[1].Failure; p == nil || p.Message != "a < \ufffd \"b\" & ]]>\ufffd" || !strings.Contains(p.Text, "warning") {
		t.Errorf("failure: %+v", p)
	}
	if c := first.Cases[3]; c.Skipped == nil || c.Error != nil {
		t.Errorf("skipped: %+v", c)
	}
	if len(read.Suites[1].Cases) != 1 || read.Suites[1].Cases[0].Error == nil {
		t.Errorf("a file that cannot be run has no case: %+v", read.Suites[1])
	}
}
