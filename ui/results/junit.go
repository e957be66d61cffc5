package results

import (
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"strings"
)

// The parts of a JUnit report that tools read.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string      `xml:"classname,attr"`
		Name    string      `xml:"name,attr"`
		Time    string      `xml:"time,attr,omitempty"`
		Failure *junitFault `xml:"failure"`
		Error   *junitFault `xml:"error"`
	}
	junitFault struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the answers as test cases, one suite for each subject. A missing
// answer is an error, and one that does not pass is a failure.
func (e *Evaluation) JUnit(w io.Writer, rows iter.Seq2[*Row, error]) error {
	suites := map[string]*junitSuite{}
	for _, name := range e.Names() {
		suites[name] = &junitSuite{Name: e.Address + " " + name}
	}
	for row, err := range rows {
		if err != nil {
			return err
		}
		for i := range row.Answers {
			a := &row.Answers[i]
			if s := suites[a.Subject]; s != nil {
				s.add(e.testCase(row, a))
			}
		}
	}
	if _, err := fmt.Fprintf(w, "%s<testsuites>\n", xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("  ", "  ")
	for _, name := range e.Names() {
		if err := enc.Encode(suites[name]); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(w, "\n</testsuites>\n")
	return err
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func (e *Evaluation) testCase(row *Row, a *Answer) junitCase {
	c := junitCase{Class: e.Address + "." + a.Subject, Name: fmt.Sprintf("row %d", row.Row)}
	if row.ID != "" {
		c.Name += " (" + row.ID + ")"
	}
	if e.Repeats > 1 {
		c.Name += fmt.Sprintf(", draw %d", a.Draw)
	}
	if a.Latency != nil {
		c.Time = fmt.Sprintf("%.3f", *a.Latency)
	}
	if !a.Failed() {
		return c
	}
	fault := &junitFault{Message: Brief(e.Why(a), 200), Text: e.told(row, a)}
	if a.Error != "" && a.Text == nil {
		c.Error = fault
	} else {
		c.Failure = fault
	}
	return c
}

// told describes what a person needs to know to find out what went wrong.
func (e *Evaluation) told(row *Row, a *Answer) string {
	var b strings.Builder
	for _, f := range row.Given {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Text())
	}
	if row.Target != "" {
		fmt.Fprintf(&b, "right: %s\n", row.Target)
	}
	fmt.Fprintf(&b, "answer: %s\n", Predicted(a.Text))
	if a.Error != "" {
		fmt.Fprintf(&b, "error: %s\n", a.Error)
	}
	for _, m := range e.Metrics {
		if why := a.Explanations[m.Name]; why != "" {
			fmt.Fprintf(&b, "%s: %s\n", m.Name, why)
		}
	}
	return b.String()
}
