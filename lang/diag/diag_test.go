package diag

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
)

func TestSuggestFindsWhatWasMeant(t *testing.T) {
	names := []string{"transform", "source", "label", "train", "text", "text_2", "id"}
	for given, want := range map[string]string{
		"transfrom": "transform", "sources": "source", "Source": "source", "lable": "label", "tain": "train",
		"txet": "text", "text2": "text_2", "di": "id", "x": "", "": "", "something": "", "evaluate": "",
	} {
		got := Suggest(given, names)
		if want != "" {
			want = ` Did you mean "` + want + `"?`
		}
		if got != want {
			t.Errorf("%q: %q, not %q", given, got, want)
		}
	}
}

func TestListsOfManyNamesAreCut(t *testing.T) {
	names := make([]string, listed+2)
	for i := range names {
		names[i] = "a"
	}
	if got := List(names[:2]); got != "a, a" {
		t.Errorf("two names are %q", got)
	}
	if got := List(names); !strings.HasSuffix(got, ", a and 2 more") || strings.Count(got, "a,") != listed-1 {
		t.Errorf("many names are %q", got)
	}
}

func rangeOf(src, part string) *hcl.Range {
	at := strings.Index(src, part)
	pos := func(at int) hcl.Pos {
		line := strings.Count(src[:at], "\n")
		return hcl.Pos{Line: line + 1, Column: at - strings.LastIndex(src[:at], "\n"), Byte: at}
	}
	return &hcl.Range{Filename: "a.quern.hcl", Start: pos(at), End: pos(at + len(part))}
}

func show(src string, opts PrintOptions, diags ...*hcl.Diagnostic) string {
	var b bytes.Buffer
	Print(&b, diags, map[string][]byte{"a.quern.hcl": []byte(src)}, opts)
	return b.String()
}

const source = `locals {
  ü日 = "a"
	tab = [1,
    2]
}
`

func TestDiagnosticsArePrintedWithTheirLines(t *testing.T) {
	for name, c := range map[string]struct {
		d    *hcl.Diagnostic
		opts PrintOptions
		want string
	}{
		"wide letters before the subject": {Errorf(rangeOf(source, `"a"`), "Bad", "Fix it."), PrintOptions{}, `╷
│ Error: Bad
│
│   on a.quern.hcl line 2, in locals:
│    2:   ü日 = "a"
│               ^^^
│
│ Fix it.
╵
`},
		"a subject over lines": {Errorf(rangeOf(source, "[1,\n    2]"), "Bad", "Fix it."), PrintOptions{}, `╷
│ Error: Bad
│
│   on a.quern.hcl line 3, in locals:
│    3: 	tab = [1,
│       	      ^^^
│    4:     2]
│           ^^
│
│ Fix it.
╵
`},
		"a warning without a place, wrapped": {Warningf(nil, "Odd", "one two three four five six\n  laid out already, whatever its width is"), PrintOptions{Width: 22}, `╷
│ Warning: Odd
│
│ one two three four
│ five six
│   laid out already, whatever its width is
╵
`},
		"a file whose text is not available": {&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: &hcl.Range{Filename: "b", Start: hcl.Pos{Line: 7}}}, PrintOptions{}, `╷
│ Error: Bad
│
│   on b line 7:
│   (the text of this file is not available)
╵
`},
		"in color": {Errorf(rangeOf(source, `"a"`), "Bad", "Fix it."), PrintOptions{Color: true}, "\x1b[31m╷\x1b[0m\n" +
			"\x1b[31m│\x1b[0m \x1b[1m\x1b[31mError: \x1b[0m\x1b[1mBad\x1b[0m\n\x1b[31m│\x1b[0m\n" +
			"\x1b[31m│\x1b[0m   on a.quern.hcl line 2, in locals:\n" +
			"\x1b[31m│\x1b[0m    2:   ü日 = \x1b[4m\"a\"\x1b[0m\n\x1b[31m│\x1b[0m\n\x1b[31m│\x1b[0m Fix it.\n\x1b[31m╵\x1b[0m\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, show(source, c.opts, c.d)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestValuesThatMatteredAreShown(t *testing.T) {
	src := "a = local.n + var.token + local.list[0] + upstream.x + local.missing + local.o + local.n\n"
	e, _ := hclsyntax.ParseExpression([]byte(src[4:len(src)-1]), "a.quern.hcl", hcl.Pos{Line: 1, Column: 5, Byte: 4})
	d := Errorf(e.Range().Ptr(), "Bad", "Fix it.")
	d.Expression = e
	d.EvalContext = &hcl.EvalContext{Variables: map[string]cty.Value{
		"local": cty.ObjectVal(map[string]cty.Value{
			"n": cty.NumberIntVal(3), "list": cty.ListVal([]cty.Value{cty.StringVal("x\ny")}),
			"o": cty.ObjectVal(map[string]cty.Value{"a": cty.True, "b": cty.True}),
		}),
		"var":      cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("s3cret").Mark(value.Sensitive{Variable: "token"})}),
		"upstream": cty.ObjectVal(map[string]cty.Value{"x": cty.UnknownVal(cty.Number)}),
	}}
	got := show(src, PrintOptions{}, d)
	want := `│     ├────────────────
│     │ local.list[0] is "x\ny"
│     │ local.n is 3
│     │ local.o is an object with 2 attributes
│     │ upstream.x is a number, not known yet
│     │ var.token is sensitive
│
`
	if !strings.Contains(got, want) {
		t.Error(got)
	}
}

func TestStatementsSayWhatAValueIs(t *testing.T) {
	for want, v := range map[string]cty.Value{
		"is null":                              cty.NullVal(cty.String),
		"is not known yet":                     cty.DynamicVal,
		"is an empty list of string":           cty.ListValEmpty(cty.String),
		"is a tuple with 1 element":            cty.TupleVal([]cty.Value{cty.True}),
		"is an object with 0 attributes":       cty.EmptyObjectVal,
		"is a map of bool with 2 elements":     cty.MapVal(map[string]cty.Value{"a": cty.True, "b": cty.True}),
		`is "` + strings.Repeat("x", 99) + "…": cty.StringVal(strings.Repeat("x", 200)),
	} {
		if got := statement(v); got != want {
			t.Errorf("%#v %s, not %s", v, got, want)
		}
	}
}

func TestLongSubjectsAreCut(t *testing.T) {
	src := "a = [\n" + strings.Repeat("  1,\n", 50) + "]\n"
	got := show(src, PrintOptions{}, Errorf(rangeOf(src, src[4:len(src)-1]), "Bad", "Fix it."))
	if n := strings.Count(got, "1,"); n != maxLines-1 {
		t.Errorf("%d lines are shown:\n%s", n, got)
	}
}

func TestRangesOutsideTheTextAreHarmless(t *testing.T) {
	for _, r := range []hcl.Range{
		{Filename: "a.quern.hcl", Start: hcl.Pos{Byte: -5}, End: hcl.Pos{Byte: 1000}},
		{Filename: "a.quern.hcl", Start: hcl.Pos{Byte: 1000}, End: hcl.Pos{Byte: 2}},
		{Filename: "a.quern.hcl", Start: hcl.Pos{Line: 6, Byte: len(source)}, End: hcl.Pos{Line: 6, Byte: len(source)}},
	} {
		show(source, PrintOptions{}, &hcl.Diagnostic{Summary: "x", Subject: &r, Context: &r})
	}
}

func TestJSONContainsEverythingThatIsPrinted(t *testing.T) {
	src := map[string][]byte{"a.quern.hcl": []byte(source)}
	diags := hcl.Diagnostics{Errorf(rangeOf(source, `"a"`), "Bad", "Fix it."), Warningf(nil, "Odd", "")}
	got, err := json.MarshalIndent(JSON(diags, src, PrintOptions{}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
  {
    "severity": "error",
    "summary": "Bad",
    "detail": "Fix it.",
    "range": {
      "file": "a.quern.hcl",
      "start": {
        "line": 2,
        "column": 11,
        "byte": 19
      },
      "end": {
        "line": 2,
        "column": 14,
        "byte": 22
      }
    },
    "snippet": {
      "context": "locals",
      "code": "  ü日 = \"a\"",
      "start_line": 2,
      "highlight_start": 10,
      "highlight_end": 13
    }
  },
  {
    "severity": "warning",
    "summary": "Odd"
  }
]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	if none, _ := json.Marshal(JSON(nil, nil, PrintOptions{})); string(none) != "[]" {
		t.Errorf("without diagnostics, the result is %s", none)
	}
}

func TestMergeLeavesOutKnownErrors(t *testing.T) {
	first := hcl.Diagnostics{Errorf(rangeOf(source, `ü日 = "a"`), "Undeclared", "x")}
	later := hcl.Diagnostics{
		Errorf(rangeOf(source, `"a"`), "Unknown variable", "x"),
		Errorf(rangeOf(source, "locals"), "Other", "x"),
		Errorf(nil, "Nowhere", "x"),
	}
	var got []string
	for _, d := range Merge(first, later) {
		got = append(got, d.Summary)
	}
	if d := cmp.Diff([]string{"Nowhere", "Other", "Undeclared"}, got); d != "" {
		t.Error(d)
	}
}

func TestUniqueKeepsTheFirstOfEqualDiagnostics(t *testing.T) {
	r := rangeOf(source, `"a"`)
	diags := Unique(hcl.Diagnostics{Errorf(r, "A", "x"), Errorf(r, "A", "x"), Errorf(r, "A", "y"), Errorf(nil, "A", "x")})
	if len(diags) != 3 {
		t.Errorf("%d are left", len(diags))
	}
}

func TestLongLinesAreCutAroundTheSubject(t *testing.T) {
	src := []byte("a = 1\nb = [" + strings.Repeat("é, ", 50_000) + "here, " + strings.Repeat("é, ", 50_000) + "]\n")
	at := bytes.Index(src, []byte("here"))
	d := Errorf(&hcl.Range{Filename: "a.hcl", Start: hcl.Pos{Line: 2, Column: at - 5, Byte: at}, End: hcl.Pos{Line: 2, Column: at - 1, Byte: at + 4}}, "Wrong", "x")
	s := (&printer{src: map[string][]byte{"a.hcl": src}, parsed: map[string]*hcl.File{}}).snippet(d)
	if len(s.Code) > 1000 || s.StartLine != 2 || s.Code[s.HighlightStart:s.HighlightEnd] != "here" || !utf8.ValidString(s.Code) {
		t.Errorf("got %+v", s)
	}
}

func TestAddressesAreKeptWithWhatIsHidden(t *testing.T) {
	d := Errorf(rangeOf(source, `"a"`), "Bad", "Fix it.")
	d.Extra = Secret{}
	About("label.x", d)
	About("label.other", d)
	got := JSON(hcl.Diagnostics{d}, map[string][]byte{"a.quern.hcl": []byte(source)}, PrintOptions{})[0]
	if got.Address != "label.x" || strings.Contains(got.Snippet.Code, `"a"`) {
		t.Errorf("got %+v, %+v", got, got.Snippet)
	}
}
