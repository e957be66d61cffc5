package tables

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "tables", Version: "1.0.0", Types: Types()}

func run(t *testing.T, typ string, args map[string]any) (*plugintest.Table, error) {
	t.Helper()
	got, err := plugintest.Run(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: typ, Args: args})
	if err != nil {
		return nil, err
	}
	return got.Datasets[""], nil
}

// table creates a dataset from its columns, "name type, …", and its rows.
func table(columns string, rows ...[]any) plugintest.Dataset {
	d := plugintest.Dataset{Rows: []map[string]any{}}
	for c := range strings.SplitSeq(columns, ", ") {
		name, typ, _ := strings.Cut(c, " ")
		d.Columns = append(d.Columns, data.Column{Name: name, Type: typ})
	}
	for _, values := range rows {
		row := map[string]any{}
		for i, v := range values {
			row[d.Columns[i].Name] = v
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}

// show prints columns and rows, to compare them.
func show(t *plugintest.Table) string {
	var b strings.Builder
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", c.Name, c.Type)
	}
	for _, r := range t.Rows {
		b.WriteString("\n")
		for i, c := range t.Columns {
			if i > 0 {
				b.WriteString(" ")
			}
			if text, ok := r[c.Name].(json.RawMessage); ok {
				r[c.Name] = string(text)
			}
			fmt.Fprint(&b, r[c.Name])
		}
	}
	return b.String()
}

// refused checks that a case fails with all of these texts.
func refused(t *testing.T, typ string, args map[string]any, texts ...string) {
	t.Helper()
	_, err := run(t, typ, args)
	if err == nil {
		t.Fatalf("no error; want %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error is %q; want %q", err, text)
		}
	}
}

func row(names ...string) []any {
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = plugintest.Row(n)
	}
	return out
}

func TestSortOrdersByEachExpressionInTurn(t *testing.T) {
	in := table("n float64, s string", []any{1.0, "b"}, []any{nil, "a"}, []any{math.Inf(1), "c"}, []any{1.0, "a"}, []any{math.Inf(-1), nil}, []any{math.Copysign(0, -1), "x"}, []any{0.0, "w"})
	for _, c := range []struct {
		args map[string]any
		want string
	}{
		{map[string]any{}, "-Inf <nil>\n0 w\n-0 x\n1 a\n1 b\n+Inf c\n<nil> a"},
		{map[string]any{"order": []string{"desc", "asc"}}, "+Inf c\n1 a\n1 b\n0 w\n-0 x\n-Inf <nil>\n<nil> a"},
		{map[string]any{"order": []string{"desc"}, "nulls": "first"}, "<nil> a\n+Inf c\n1 b\n1 a\n-0 x\n0 w\n-Inf <nil>"},
	} {
		for _, memory := range []string{"256MB", "0.001KB"} {
			c.args["input"], c.args["by"], c.args["memory_limit"] = in, row("n", "s"), memory
			got, err := run(t, "sort", c.args)
			if err != nil {
				t.Fatal(err)
			}
			if have := show(got); have != "n float64, s string\n"+c.want {
				t.Errorf("%v:\n%s", c.args, have)
			}
		}
	}
}

func TestSortUsesTheRulesOfALanguage(t *testing.T) {
	in := table("s string", []any{"zebra"}, []any{"Äpfel"}, []any{"apfel"}, []any{"Öl"}, []any{"ol"})
	for collation, want := range map[string]string{
		"":   "apfel ol zebra Äpfel Öl",
		"de": "apfel Äpfel ol Öl zebra",
		"sv": "apfel ol zebra Äpfel Öl",
	} {
		got, err := run(t, "sort", map[string]any{"input": in, "by": row("s"), "collation": collation})
		if err != nil {
			t.Fatal(err)
		}
		if have := strings.Trim(fmt.Sprint(got.Column("s")), "[]"); have != want {
			t.Errorf("%q: %s, want %s", collation, have, want)
		}
	}
	refused(t, "sort", map[string]any{"input": in, "by": row("s"), "collation": "not a language"}, "is not a language")
}

func TestSortRefusesWhatItCannotFollow(t *testing.T) {
	in := table("s string, n int64")
	refused(t, "sort", map[string]any{"input": in, "by": []any{}}, "by is empty")
	refused(t, "sort", map[string]any{"input": in, "by": row("s"), "order": []string{"down"}}, `"down" is not an order`)
	refused(t, "sort", map[string]any{"input": in, "by": row("s"), "order": []string{"asc", "desc"}}, "order has 2 entries, but by has 1")
	refused(t, "sort", map[string]any{"input": in, "by": row("s"), "memory_limit": "much"}, `"much" is not an amount of memory`)
}

func TestConcatMatchesColumnsByName(t *testing.T) {
	a := table("x int64, tags list<string>", []any{1, `["p"]`}, []any{2, nil})
	b := table("tags list<string>, x int64, y string", []any{`["q","r"]`, 3, "u"})
	for columns, want := range map[string]string{
		"all":    "x int64, tags list<string>, y string, from string\n1 [\"p\"] <nil> one\n2 <nil> <nil> one\n3 [\"q\",\"r\"] u two",
		"common": "x int64, tags list<string>, from string\n1 [\"p\"] one\n2 <nil> one\n3 [\"q\",\"r\"] two",
	} {
		got, err := run(t, "concat", map[string]any{"inputs": []any{a, b}, "columns": columns, "origin": "from", "names": []string{"one", "two"}})
		if err != nil {
			t.Fatal(err)
		}
		if have := show(got); have != want {
			t.Errorf("%s:\n%s", columns, have)
		}
	}
	refused(t, "concat", map[string]any{"inputs": []any{a, b}}, `The first dataset has no column "y"`)
	refused(t, "concat", map[string]any{"inputs": []any{b, a}}, `The dataset has no column "y", but the first one does`)
	refused(t, "concat", map[string]any{"inputs": []any{a, table("x string, tags list<string>")}}, `The column "x" has type string here, but int64`)
	refused(t, "concat", map[string]any{"inputs": []any{a, table("z string")}, "columns": "common"}, "no columns in common")
	refused(t, "concat", map[string]any{"inputs": []any{a}, "origin": "x", "names": []string{"a"}}, `already have a column named "x"`)
	refused(t, "concat", map[string]any{"inputs": []any{a, a}, "origin": "o", "names": []string{"a"}}, "names has 1 entries, but inputs has 2")
	refused(t, "concat", map[string]any{"inputs": []any{a, a}, "origin": "o", "names": []string{"a", "a"}}, `Two datasets are named "a"`)
	refused(t, "concat", map[string]any{"inputs": []any{a, a}, "names": []string{"a", "b"}}, "no effect without origin")
}

func TestDatasetsWithoutRowsGiveDatasetsWithoutRows(t *testing.T) {
	none := table("x int64, s string")
	for typ, args := range map[string]map[string]any{
		"sort":   {"input": none, "by": row("x")},
		"concat": {"inputs": []any{none, none}},
	} {
		got, err := run(t, typ, args)
		if err != nil || show(got) != "x int64, s string" {
			t.Errorf("%s: %v, %v", typ, got, err)
		}
	}
}
