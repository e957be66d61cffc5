package expr_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/value"
)

func TestTheReferencesOfAnExpressionAreListed(t *testing.T) {
	for src, want := range map[string]expr.Compiled{
		`"${row.text} ${row["my col"]} ${row.text}"`:      {Columns: []string{"my col", "text"}},
		`row.score > local.low && evaluate.many["a"] > 1`: {Columns: []string{"score"}, Refs: []string{"evaluate.many", "evaluate.student"}},
		`"${local.auth}${var.token}${var.name}"`:          {Secrets: []string{"token"}},
		`length(row)`:                                     {Columns: []string{"at", "counts", "day", "id", "intent", "meta", "my col", "n", "ok", "raw", "score", "tags", "text", "turns"}},
		`[for row in row.tags : row.x]`:                   {Columns: []string{"tags"}},
		`var.plain ? row.intent : row.text`:               {Columns: []string{"text"}},
		`{ a = row.n, b = row.id }.a`:                     {Columns: []string{"n"}},
	} {
		if src == `[for row in row.tags : row.x]` {
			src = `[for row in row.turns : row.role]`
			want.Columns = []string{"turns"}
		}
		c, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
			continue
		}
		if !reflect.DeepEqual(c.Columns, want.Columns) || !reflect.DeepEqual(c.Refs, want.Refs) || !reflect.DeepEqual(c.Secrets, want.Secrets) {
			t.Errorf("%s reads columns %q, refs %q, secrets %q", src, c.Columns, c.Refs, c.Secrets)
		}
	}
}

func TestResultsAreConvertedToTheWantedType(t *testing.T) {
	for _, c := range []struct {
		src        string
		want       cty.Type
		text       string
		columnType string
		err        string
	}{
		{src: `row.text`, want: cty.String, text: `row.text`, columnType: "string"},
		{src: `row.id`, want: cty.String, text: `convert(row.id, string)`, columnType: "string"},
		{src: `row.id`, want: cty.Number, text: `row.id`, columnType: "int64"},
		{src: `row.day`, want: cty.String, text: `convert(row.day, string)`, columnType: "string"},
		{src: `row.text`, want: cty.Number, err: "If each of its texts is a number, write tonumber(row.text)."},
		{src: `row["text"]`, want: cty.Bool, err: "If each of its texts is a bool, write tobool(row.text)."},
		{src: `row.day`, want: cty.Number, err: "row.day has type date, but type number is needed."},
		{src: `trimspace(row.text)`, want: cty.Number, err: "write tonumber(trimspace(row.text))"},
		{src: `row.tags`, want: cty.List(cty.Number), err: "write [for x in row.tags : tonumber(x)]"},
		{src: `jsondecode(row.text)`, want: cty.Number, text: `convert(jsondecode(row.text), number)`, columnType: "float64"},
		{src: `5`, want: cty.String, text: `"5"`, columnType: "string"},
		{src: `[row.n, row.id]`, want: cty.List(cty.String), text: `convert([row.n, row.id], list(string))`, columnType: "list<string>"},
		{src: `row.tags`, want: cty.List(cty.String), text: `row.tags`, columnType: "list<string>"},
		{src: `row.tags`, want: cty.String, err: "This expression has type list of string, but type string is needed"},
		{src: `"abc"`, want: cty.Number, err: "a number is required"},
		{src: `jsondecode(row.text)`, want: cty.String, text: `convert(jsondecode(row.text), string)`, columnType: "string"},
		{src: `null`, want: cty.String, text: `convert(null, string)`, columnType: "string"},
	} {
		got, diags := expr.Compile(exprtest.Parse(c.src), exprtest.Scope(), c.want)
		switch {
		case c.err != "":
			if !diags.HasErrors() || !strings.Contains(diags.Error(), c.err) {
				t.Errorf("%s: %v does not say %q", c.src, diags, c.err)
			}
		case diags.HasErrors():
			t.Errorf("%s: %v", c.src, diags)
		case got.Text != c.text || got.ColumnType != c.columnType:
			t.Errorf("%s becomes %s of %s, not %s of %s", c.src, got.Text, got.ColumnType, c.text, c.columnType)
		}
	}
}

func TestADeferredExpressionIsEvaluatedLater(t *testing.T) {
	s := exprtest.Scope()
	s.Row = nil
	c, diags := expr.Compile(exprtest.Parse(`local.low > 0.2 && evaluate.student.ok ? "ship with ${var.token}" : "no"`), s, cty.String)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	vars := exprtest.Values()
	vars["var"] = cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("s3cr3t").Mark(value.Sensitive{Variable: "token"})})
	got, diags := c.Eval(vars)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if plain, _ := got.Unmark(); !value.IsSensitive(got) || plain.AsString() != "ship with s3cr3t" {
		t.Errorf("got %#v", got)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cr3t") {
		t.Errorf("the secret is in %s", text)
	}
	var back expr.Compiled
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if again, _ := back.Eval(vars); !again.RawEquals(got) {
		t.Errorf("after decoding from JSON, the result is %#v", again)
	}
}

func TestAnErrorInADeferredExpressionPointsToItsSource(t *testing.T) {
	s := exprtest.Scope()
	s.Row = nil
	e := exprtest.Parse("\n\n  evaluate.student.ok + 1")
	c, diags := expr.Compile(e, s, cty.DynamicPseudoType)
	if c != nil || !diags.HasErrors() {
		t.Fatal("adding 1 to a bool is not an error")
	}
	c, diags = expr.Compile(exprtest.Parse("\n\n  evaluate.student.accuracy + 1"), s, cty.DynamicPseudoType)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	_, diags = c.Eval(map[string]cty.Value{"evaluate": cty.ObjectVal(map[string]cty.Value{
		"student": cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NullVal(cty.Number)})})})
	if !diags.HasErrors() || diags[0].Subject.Start.Line != 3 || diags[0].Subject.Filename != "main.quern.hcl" {
		t.Errorf("got %v", diags)
	}
}

func TestMentionsRowSeesThroughLoops(t *testing.T) {
	for src, want := range map[string]bool{
		`row.x`:                       true,
		`[for row in local.a : row]`:  false,
		`[for x in local.a : row[x]]`: true,
		`rows.x`:                      false,
	} {
		if got := expr.MentionsRow(exprtest.Parse(src)); got != want {
			t.Errorf("%s: %t", src, got)
		}
	}
}
