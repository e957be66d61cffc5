package tester

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// The elements of JUnit's reports that Jenkins, GitLab, and GitHub's actions read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		Err      string      `xml:"system-err,omitempty"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Skipped *junitSkipped `xml:"skipped"`
		Error   *junitProblem `xml:"error"`
		Failure *junitProblem `xml:"failure"`
		Err     string        `xml:"system-err,omitempty"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes a report in the XML format of JUnit. A file is a suite, and a run is a case.
// print prints diagnostics as text.
func (r *Result) JUnit(w io.Writer, print func(hcl.Diagnostics) string) error {
	all := junitSuites{Name: "quern test"}
	total := 0.0
	for _, f := range r.Files {
		s := f.suite(print)
		all.Suites = append(all.Suites, s)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		total += f.Seconds
	}
	all.Time = seconds(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	out := xml.NewEncoder(w)
	out.Indent("", "  ")
	if err := out.Encode(all); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (f *File) suite(print func(hcl.Diagnostics) string) junitSuite {
	s := junitSuite{Name: f.Name, Time: seconds(f.Seconds), Err: legal(print(f.Diagnostics))}
	if len(f.Diagnostics) > 0 && len(f.Runs) == 0 {
		// Readers show cases, not what a suite says.
		s.Tests, s.Errors = 1, 1
		s.Cases = []junitCase{{Name: f.Name, Class: f.Name, Time: seconds(0), Error: problem(f.Diagnostics, print)}}
	}
	for _, run := range f.Runs {
		c := junitCase{Name: run.Name, Class: f.Name, Time: seconds(run.Seconds)}
		s.Tests++
		switch run.Status {
		case Failed:
			s.Failures++
			c.Failure = problem(run.Diagnostics, print)
		case Broken:
			s.Errors++
			c.Error = problem(run.Diagnostics, print)
		case Skipped:
			s.Skipped++
			c.Skipped = &junitSkipped{run.Why}
		case Passed:
			c.Err = legal(print(run.Diagnostics))
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

func problem(diags hcl.Diagnostics, print func(hcl.Diagnostics) string) *junitProblem {
	p := &junitProblem{Type: "error", Text: legal(print(diags))}
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			p.Message = legal(d.Summary)
			break
		}
	}
	return p
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// legal replaces what XML cannot contain.
func legal(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= utf8.MaxRune {
			return r
		}
		return utf8.RuneError
	}, s)
}
