package docs

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/quern-dev/quern/lang/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestAModuleIsDescribed(t *testing.T) {
	const golden = "testdata/README.md"
	m, diags := config.Load("testdata")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	was, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	got, err := Insert(was, Markdown(m))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(got) != string(was) {
		t.Errorf("got\n%s", got)
	}
}

func TestOnlyTheDescriptionOfAReadmeChanges(t *testing.T) {
	const text = "## Inputs\n"
	section := Begin + "\n\n" + text + "\n" + End
	for readme, want := range map[string]string{
		"":                                  section + "\n",
		"# Clean":                           "# Clean\n\n" + section + "\n",
		"# Clean\n\n\n":                     "# Clean\n\n" + section + "\n",
		"a\n" + Begin + "old" + End + "\nb": "a\n" + section + "\nb",
		"a\n" + section + "\nb\n":           "a\n" + section + "\nb\n",
		"a\r\n" + Begin + End + "\r\nb\r\n": "a\r\n" + section + "\r\nb\r\n",
	} {
		got, err := Insert([]byte(readme), text)
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q %v, want %q", readme, got, err, want)
		}
		if again, err := Insert(got, text); err != nil || string(again) != want {
			t.Errorf("%q: again %q %v", readme, again, err)
		}
	}
	for readme, want := range map[string]string{
		"a " + Begin:              "without",
		"a " + End:                "without",
		End + Begin:               "without",
		Begin + End + Begin + End: "twice",
	} {
		if _, err := Insert([]byte(readme), text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", readme, err)
		}
	}
}

func TestAnEmptyModuleIsDescribed(t *testing.T) {
	m, _ := config.Parse("a.quern.hcl", nil)
	if got := Markdown(m); got != "## Inputs\n\nThis module has no inputs.\n\n## Outputs\n\nThis module has no outputs.\n" {
		t.Errorf("%q", got)
	}
}
