package jinja

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// rendered is what testdata/oracle.py has written.
type rendered struct{ Template, Text, Error string }

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

// render renders a template with a lower limit than usual.
func render(source string, variables map[string]any) (string, error) {
	template, err := Parse(source, nil)
	if err != nil {
		return "", err
	}
	return template.render(variables, 200_000)
}

// A text is that of jinja2, byte by byte, or the template is refused.
func TestTextsAreThoseOfJinja(t *testing.T) {
	all := expected(t)
	refused := 0
	for _, want := range all {
		got, err := render(want.Template, nil)
		switch {
		case err != nil && want.Error == "":
			refused++
			t.Logf("%q is refused: %v", want.Template, err)
		case err != nil:
		case want.Error != "":
			t.Errorf("%q: got %q, want the error %s", want.Template, got, want.Error)
		case got != want.Text:
			t.Errorf("%q: got %q, want %q", want.Template, got, want.Text)
		}
	}
	if t.Logf("%d of %d are refused, but not by jinja2", refused, len(all)); refused > len(all)/20 {
		t.Error("too many templates are refused")
	}
}

func TestTemplatesAreLimited(t *testing.T) {
	for source, want := range map[string]string{
		"{{ " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000) + " }}": "nested too deeply",
		strings.Repeat("{% if true %}", 100_000):                                          "nested too deeply",
		"{{ " + strings.Repeat("-", 100_000) + "1 }}":                                     "nested too deeply",
		"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}":                                 "maximum recursion depth exceeded",
		"{{ 'abc' * 1000000000 }}":                                                        "a text is too long",
		"{{ [1] * 1000000000 }}":                                                          "a list is too long",
		"{{ range(1000000) }}":                                                            "longer than",
		"{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}":    "does too much",
		"{% set ns = namespace(s='a') %}{% for a in range(9999) %}{% set ns.s = (ns.s ~ ns.s)[:9999999] %}{% endfor %}": "does too much",
		"{% set ns = namespace(s='a') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}":               "does too much",
		"{% set ns = namespace(s='a' * 9999999) %}{% for a in range(9999) %}{{ ns.s|upper|length }}{% endfor %}":        "does too much",
		"{% for a in range(9999) %}{% for b in range(9999) %}" + strings.Repeat("x", 9999) + "{% endfor %}{% endfor %}": "too long",
	} {
		if _, err := render(source, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %s", source, err, want)
		}
	}
}

func FuzzEveryTemplateIsRenderedOrRefused(f *testing.F) {
	for i, r := range expected(f) {
		if i%50 == 0 || i > 6500 {
			f.Add(r.Template)
		}
	}
	f.Fuzz(func(t *testing.T, source string) {
		first, err := render(source, nil)
		again, errAgain := render(source, nil)
		if first != again || (err == nil) != (errAgain == nil) {
			t.Errorf("%q renders %q and then %q", source, first, again)
		}
	})
}
