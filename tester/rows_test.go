package tester

import (
	"strings"
	"testing"

	"github.com/quern-dev/quern/lang/testfile"
)

func TestDifferencesOfRows(t *testing.T) {
	row := func(cells ...string) []string { return cells }
	for name, c := range map[string]struct {
		want, got       [][]string
		ordered, subset bool
		signs           string // of the lines; empty if nothing differs
	}{
		"equal":                        {want: [][]string{row("1", "a"), row("2", "b")}, got: [][]string{row("2", "b"), row("1", "a")}},
		"ordered":                      {want: [][]string{row("1", "a"), row("2", "b")}, got: [][]string{row("2", "b"), row("1", "a")}, ordered: true, signs: "- +"},
		"a missing row":                {want: [][]string{row("1", "a"), row("2", "b")}, got: [][]string{row("1", "a")}, signs: " -"},
		"an unexpected row":            {want: [][]string{row("1", "a")}, got: [][]string{row("1", "a"), row("2", "b")}, signs: " +"},
		"equal rows are counted":       {want: [][]string{row("1", "a"), row("1", "a")}, got: [][]string{row("1", "a")}, signs: " -"},
		"a changed cell":               {want: [][]string{row("1", "a"), row("2", "b")}, got: [][]string{row("2", "c"), row("1", "a")}, signs: " -+"},
		"a subset":                     {want: [][]string{row("2", "b")}, got: [][]string{row("1", "a"), row("2", "b")}, subset: true},
		"not a subset":                 {want: [][]string{row("3", "c")}, got: [][]string{row("1", "a"), row("2", "b")}, subset: true, signs: "-"},
		"a subset with a similar row":  {want: [][]string{row("1", "b")}, got: [][]string{row("1", "a"), row("2", "x")}, subset: true, signs: "-+"},
		"no rows":                      {},
		"cells are not joined":         {want: [][]string{row("a", "b c")}, got: [][]string{row("a b", "c")}, signs: "-+"},
		"insertions keep later rows":   {want: [][]string{row("1"), row("2"), row("3")}, got: [][]string{row("1"), row("x"), row("2"), row("3")}, ordered: true, signs: " +  "},
		"rows at both ends are missed": {want: [][]string{row("0"), row("1"), row("2")}, got: [][]string{row("1")}, ordered: true, signs: "- -"},
	} {
		t.Run(name, func(t *testing.T) {
			columns := []string{"id", "text"}
			if all := append(c.want, c.got...); len(all) > 0 {
				columns = columns[:len(all[0])]
			}
			text := (&comparison{columns: columns}).difference(c.want, c.got, &testfile.Expect{Ordered: c.ordered, Subset: c.subset})
			signs := ""
			if _, table, ok := strings.Cut(text, "\n\n"); ok {
				for _, line := range strings.Split(table, "\n")[1:] {
					signs += line[2:3]
				}
			}
			if signs != c.signs {
				t.Errorf("the lines have the signs %q, not %q:\n%s", signs, c.signs, text)
			}
		})
	}
}

func TestLongDifferencesAreCut(t *testing.T) {
	var want, got [][]string
	for i := range 100 {
		want = append(want, []string{strings.Repeat("x", i)})
	}
	text := (&comparison{columns: []string{"a"}}).difference(want, got, &testfile.Expect{})
	if lines := strings.Count(text, "\n"); lines > mostLines+10 || !strings.Contains(text, "… and 70 more rows") {
		t.Errorf("%d lines:\n%s", lines, text)
	}
}

func TestValuesAreWrittenOnOneLine(t *testing.T) {
	got := oneLine("[{\n  a = 1\n  b = {\n    c = [\n      1,\n      2,\n    ]\n  }\n  }, {\n  a = 2\n}]")
	if got != "[{ a = 1, b = { c = [ 1, 2, ] } }, { a = 2 }]" {
		t.Error(got)
	}
}

func TestTheBlockOfAnInstance(t *testing.T) {
	for address, block := range map[string]string{
		"transform.clean":                           "transform.clean",
		"transform.clean[0]":                        "transform.clean",
		`module.a["x[y]"].module.b[1].label.c["]"]`: "module.a.module.b.label.c",
		`label.c["say \"]\""]`:                      "label.c",
	} {
		if got := blockOf(address); got != block {
			t.Errorf("%s: %s", address, got)
		}
	}
}

func TestTheWorstStatusCounts(t *testing.T) {
	for _, c := range []struct{ a, b, worse Status }{{Passed, Failed, Failed}, {Failed, Passed, Failed}, {Failed, Broken, Broken}, {Broken, Skipped, Broken}, {Passed, Skipped, Skipped}} {
		if got := worse(c.a, c.b); got != c.worse {
			t.Errorf("worse(%s, %s) = %s", c.a, c.b, got)
		}
	}
}
