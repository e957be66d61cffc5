package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/quern-dev/quern/ui/report"
	"github.com/quern-dev/quern/ui/results"
	"github.com/quern-dev/quern/ui/results/resultstest"
)

func page(t *testing.T, address string, o report.Options) string {
	t.Helper()
	s := resultstest.New(t)
	e, err := results.Read(context.Background(), s.Store, s.State.Instances[address])
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := report.Write(&b, e, e.Each(context.Background(), s.Store, s.State), o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// elements returns the elements of a page with a name.
func elements(t *testing.T, text, name string) []*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			out = append(out, n)
		}
	}
	return out
}

type embedded struct {
	Texts []string `json:"texts"`
	Rows  []struct {
		Answers []struct {
			Text *string `json:"x"`
		} `json:"a"`
	} `json:"rows"`
}

func dataOf(t *testing.T, text string) embedded {
	t.Helper()
	scripts := elements(t, text, "script")
	if len(scripts) != 2 {
		t.Fatalf("the page has %d scripts, not its data and its own", len(scripts))
	}
	var d embedded
	if err := json.Unmarshal([]byte(scripts[0].FirstChild.Data), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnAnswerThatClosesTheScriptStaysText(t *testing.T) {
	d := dataOf(t, page(t, "evaluate.prompts", report.Options{}))
	if got := d.Rows[1].Answers[0].Text; got == nil || *got != resultstest.Hostile {
		t.Errorf("the answer is %q", *got)
	}
	if !strings.Contains(strings.Join(d.Texts, "\n"), "It crashes </script>") {
		t.Errorf("the prompts are %q", d.Texts)
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	for _, address := range []string{"evaluate.prompts", "evaluate.labels"} {
		text := page(t, address, report.Options{})
		for _, name := range []string{"link", "img", "iframe", "object", "base"} {
			if got := elements(t, text, name); len(got) > 0 {
				t.Errorf("%s has %d elements %s", address, len(got), name)
			}
		}
		if found := regexp.MustCompile(`(src|href)="[^#][^"]*"|url\(|https?://`).FindString(text); found != "" {
			t.Errorf("%s refers to %s", address, found)
		}
		if !strings.Contains(text, "default-src &#39;none&#39;") || strings.Contains(text, "ZgotmplZ") {
			t.Errorf("%s has no policy, or something that was not safe", address)
		}
	}
}

func TestBigEvaluationsAreTruncatedWithANote(t *testing.T) {
	const cut = "This page contains the first"
	for _, c := range []struct {
		o    report.Options
		rows int
	}{{report.Options{}, 3}, {report.Options{Rows: 2}, 2}, {report.Options{Bytes: 1}, 1}} {
		text := page(t, "evaluate.prompts", c.o)
		if got := len(dataOf(t, text).Rows); got != c.rows {
			t.Errorf("%+v embeds %d rows, not %d", c.o, got, c.rows)
		}
		if strings.Contains(text, cut) != (c.rows < 3) {
			t.Errorf("%+v says the wrong thing of what is missing", c.o)
		}
	}
}

func TestThePageShowsFiguresDifferencesAndClasses(t *testing.T) {
	for address, wants := range map[string][]string{
		"evaluate.prompts": {"33.3%", "[6.1, 79.2]", "&#43;3.5", "-66.7", "&lt; 0.0001", "careful is higher", "not shown", "The answer is polite &amp; short."},
		"evaluate.labels":  {"macro F1", "Confusion matrix of rules", "technical, given (none): 1 of 1", "4 rows; 1 more have no correct label"},
	} {
		text := page(t, address, report.Options{})
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q", address, want)
			}
		}
	}
}

func TestEqualEvaluationsProduceEqualPages(t *testing.T) {
	first, second := page(t, "evaluate.labels", report.Options{}), page(t, "evaluate.labels", report.Options{})
	if first != second {
		t.Error("two pages of one evaluation differ")
	}
}
