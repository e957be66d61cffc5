package tester

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/reference"
)

// report writes a report of runs with each status, whose texts XML cannot contain.
func report(t *testing.T) string {
	t.Helper()
	failed := hcl.Diagnostics{{Severity: hcl.DiagWarning, Summary: "warning"}, {Severity: hcl.DiagError, Summary: "a < \x00 \"b\" & ]]>\xff"}}
	r := &Result{Files: []*File{
		{Name: "a<b.quern-test.hcl", Seconds: 1.25, Runs: []*Run{
			{Name: "passed", Status: Passed, Seconds: 1, Diagnostics: failed[:1]},
			{Name: "failed", Status: Failed, Diagnostics: failed},
			{Name: "broken", Status: Broken, Diagnostics: failed},
			{Name: "skipped", Status: Skipped, Why: `run "broken" could not be carried out`},
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
	return b.String()
}

func TestReportsAreWellFormedWhateverTheySay(t *testing.T) {
	text := report(t)
	var read junitSuites
	if err := xml.Unmarshal([]byte(text), &read); err != nil {
		t.Fatalf("%s\n%s", err, text)
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
	if c := first.Cases[3]; c.Skipped == nil || c.Skipped.Message != `run "broken" could not be carried out` || c.Error != nil {
		t.Errorf("skipped: %+v", c)
	}
	if len(read.Suites[1].Cases) != 1 || read.Suites[1].Cases[0].Error == nil {
		t.Errorf("a file that cannot be run has no case: %+v", read.Suites[1])
	}
}

// junitSchema validates a report with the schema of Jenkins' xUnit plugin (MIT License).
const junitSchema = `
import sys
from lxml import etree
schema = etree.XMLSchema(etree.parse(sys.prefix + "/share/junit-10.xsd"))
if not schema.validate(etree.parse(sys.argv[1])):
    sys.exit(str(schema.error_log))
`

func TestReportsFollowTheSchemaOfJenkins(t *testing.T) {
	name := filepath.Join(t.TempDir(), "report.xml")
	for what, text := range map[string]string{"all statuses": report(t), "nothing": emptyReport(t)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(what)
		reference.Python(t, junitSchema, name)
	}
}

func emptyReport(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	if err := (&Result{}).JUnit(&b, func(hcl.Diagnostics) string { return "" }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
