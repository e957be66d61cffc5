package chattemplate

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
)

// rendered is what testdata/oracle.py has written.
type rendered struct {
	Name, Template string
	Messages       []Message
	Reply          bool
	Text, Error    string
}

func expected(t testing.TB) (all []rendered) {
	t.Helper()
	f, err := os.Open("testdata/rendered.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTextsAreThoseOfJinja(t *testing.T) {
	for _, want := range expected(t) {
		template, err := Parse(want.Template, Settings{BOS: "<s>", EOS: "</s>"})
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		got, err := template.Render(Conversation{Messages: want.Messages}, want.Reply)
		switch {
		case want.Error != "":
			if err == nil || !strings.HasSuffix(err.Error(), want.Error) {
				t.Errorf("%s of %+v: got %q, %v, want the error %s", want.Name, want.Messages, got, err, want.Error)
			}
		case err != nil && strings.Contains(err.Error(), "leaves out the content of message 3") && want.Messages[2].Role == "tool": // the text lacks it
		case want.Name == "json" && err != nil: // it does not write texts as they are
			if !strings.Contains(err.Error(), "leaves out the content") {
				t.Errorf("%s of %+v: %v", want.Name, want.Messages, err)
			}
		case err != nil || got != want.Text:
			t.Errorf("%s of %+v: got\n %q, %v, want\n %q", want.Name, want.Messages, got, err, want.Text)
		}
	}
}

func TestGoroutinesCanShareATemplate(t *testing.T) {
	want := expected(t)[3]
	template, err := Parse(want.Template, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if got, err := template.Render(Conversation{Messages: want.Messages}, want.Reply); err != nil || got != want.Text {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

func TestTemplatesThatCannotBeRenderedAreExplained(t *testing.T) {
	for source, want := range map[string]string{
		"{% if %}":      "cannot be read",
		"{% unknown %}": "cannot be read",
		"{{ raise_exception('no system messages') }}": "the template refuses the conversation: no system messages",
		"{{ messages[0].text }}":                      "leaves out the content of message 1",
		"{{ messages | tojson(sort_keys=true) }}":     "tojson does not support sort_keys",
		"{{ messages | tojson(2) }}":                  "name the arguments of tojson",
		"{{ strftime_now('%Y') }}":                    "the template",
		"{{ missing.attribute.of }}":                  "the template",
	} {
		template, err := Parse(source, Settings{})
		if err == nil {
			_, err = template.Render(Conversation{Messages: []Message{{Role: "user", Content: "Hi"}}}, false)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", source, err, want)
		}
	}
}

func FuzzEveryTemplateIsRenderedOrRefused(f *testing.F) {
	for _, r := range expected(f) {
		f.Add(r.Template, "Hi")
	}
	f.Fuzz(func(t *testing.T, source, content string) {
		if strings.Contains(source, "range") || strings.Contains(source, "*") {
			return // can take any amount of time and memory
		}
		template, err := Parse(source, Settings{BOS: "<s>", EOS: "</s>"})
		if err != nil {
			return
		}
		text, err := template.Render(Conversation{Messages: []Message{{Role: "user", Content: content}}}, true)
		if err == nil && !strings.Contains(text, strings.TrimSpace(content)) {
			t.Errorf("%q renders %q as %q", source, content, text)
		}
	})
}
