package results_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/ui/results"
	"github.com/quern-dev/quern/ui/results/resultstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func read(t *testing.T, s *resultstest.Fixture, address string) *results.Evaluation {
	t.Helper()
	e, err := results.Read(context.Background(), s.Store, s.State.Instances[address])
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nand not\n%s", name, got, want)
	}
}

// said returns what a function writes.
func said(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEvaluationsAreShownInEveryFormat(t *testing.T) {
	s := resultstest.New(t)
	for _, name := range []string{"prompts", "labels"} {
		e := read(t, s, "evaluate."+name)
		rows := e.Each(context.Background(), s.Store, s.State)
		failures, err := e.Failures(rows, 0)
		if err != nil {
			t.Fatal(err)
		}
		tables := []*results.Table{e.Matrix(false), e.Matrix(true), e.Changes(), e.Confused(3), failures.Table}
		all := func(write func(*results.Table, io.Writer) error) string {
			return said(t, func(w io.Writer) error {
				for _, table := range tables {
					if table != nil {
						if err := write(table, w); err != nil {
							return err
						}
						io.WriteString(w, "\n")
					}
				}
				return nil
			})
		}
		golden(t, name+".txt", e.Extent()+"\n\n"+all(func(t *results.Table, w io.Writer) error { return t.Text(w, 40) }))
		golden(t, name+".md", all(func(t *results.Table, w io.Writer) error { return t.Markdown(w, 200) }))
		golden(t, name+".csv", said(t, e.Tidy().CSV)+said(t, failures.CSV))
		golden(t, name+".xml", said(t, func(w io.Writer) error { return e.JUnit(w, rows) }))
	}
}

func TestAnswersStayTextInEveryFormat(t *testing.T) {
	s := resultstest.New(t)
	e := read(t, s, "evaluate.prompts")
	rows := e.Each(context.Background(), s.Store, s.State)
	list, err := e.Failures(rows, 0)
	if err != nil {
		t.Fatal(err)
	}
	if text := said(t, func(w io.Writer) error { return list.Text(w, 0) }); strings.Contains(text, "\x1b") || strings.Count(text, "\n") != 3 {
		t.Errorf("the text steers the terminal, or has other than 3 lines: %q", text)
	}
	markdown := said(t, func(w io.Writer) error { return list.Markdown(w, 0) })
	if strings.Contains(markdown, "<script") || strings.Contains(markdown, "--> ]]> |") {
		t.Errorf("the Markdown has HTML or a cell too many: %s", markdown)
	}
	cells, err := csv.NewReader(strings.NewReader(said(t, list.CSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := cells[1][4]; got != resultstest.Hostile {
		t.Errorf("CSV gives %q back", got)
	}
	var suites struct {
		Suites []struct {
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(said(t, func(w io.Writer) error { return e.JUnit(w, rows) })), &suites); err != nil {
		t.Fatal(err)
	}
	if got := suites.Suites[0]; got.Failures != 1 || got.Errors != 1 {
		t.Errorf("the first subject has %d failures and %d errors, not one each", got.Failures, got.Errors)
	}
}

func TestListsAreTruncatedWithANote(t *testing.T) {
	s := resultstest.New(t)
	e := read(t, s, "evaluate.prompts")
	list, err := e.Failures(e.Each(context.Background(), s.Store, s.State), 1)
	if err != nil {
		t.Fatal(err)
	}
	if list.Shown != 1 || list.All != 2 || len(list.Rows) != 1 {
		t.Errorf("%d of %d are shown in %d rows", list.Shown, list.All, len(list.Rows))
	}
}

func TestTwoSubjectsDifferWhereOnlyOnePasses(t *testing.T) {
	s := resultstest.New(t)
	e := read(t, s, "evaluate.labels")
	rows := e.Each(context.Background(), s.Store, s.State)
	p, err := e.Diff(rows, "student", "rules", 0)
	if err != nil {
		t.Fatal(err)
	}
	if p.Both != 2 || p.OnlyA != 1 || p.OnlyB != 0 || p.Neither != 1 {
		t.Errorf("both %d, student %d, rules %d, neither %d", p.Both, p.OnlyA, p.OnlyB, p.Neither)
	}
	golden(t, "diff.txt", said(t, func(w io.Writer) error { return p.Text(w, 40) }))
	for row, err := range results.Parting(rows, "student", "rules") {
		if err != nil || row.Row != 4 || len(row.Answers) != 2 {
			t.Errorf("row %+v, %v", row, err)
		}
	}
}

func TestRowsAreTakenFromTheDatasetThatWasEvaluated(t *testing.T) {
	s := resultstest.New(t)
	e := read(t, s, "evaluate.labels")
	texts := func() (out []string) {
		for row, err := range e.Each(context.Background(), s.Store, s.State) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, row.Summary())
		}
		return out
	}
	if got := strings.Join(texts(), "|"); got != "Where is my parcel?|I was charged twice|It crashes </script>|Reset my password" {
		t.Errorf("the rows hold %q", got)
	}
	// If the source changes, its rows are different.
	ref := s.State.Instances["source.tickets"].Outputs[""]
	ref.Digest = "sha256:" + strings.Repeat("2", 64)
	s.State.Instances["source.tickets"].Outputs[""] = ref
	if got := strings.Join(texts(), "|"); got != "|||" {
		t.Errorf("the rows hold %q of another dataset", got)
	}
}

func TestMissingSubjectsAndMissingRowsAreDistinguished(t *testing.T) {
	s := resultstest.New(t)
	if _, err := results.Read(context.Background(), s.Store, s.Other(t)); !errors.Is(err, results.ErrNoSubjects) {
		t.Errorf("the error is %v", err)
	}
	e := read(t, s, "evaluate.prompts")
	delete(s.State.Instances["evaluate.prompts"].Outputs, "rows")
	for _, err := range e.Each(context.Background(), s.Store, s.State) {
		if !errors.Is(err, results.ErrNoRows) {
			t.Errorf("the error is %v", err)
		}
	}
}
