package columnar

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// The same word in Unicode's two normal forms.
const (
	composed   = "K\u00f6ln"
	decomposed = "Ko\u0308ln"
)

// TestTextKeepsItsBytes fails if cty normalizes text from a row.
func TestTextKeepsItsBytes(t *testing.T) {
	schema := data.Schema{{Name: "a", Type: "string"}, {Name: "l", Type: "list<string>"}, {Name: "m", Type: "string"}, {Name: "n", Type: "int64"},
		{Name: "u\u0308", Type: "string"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(decomposed)
	list := b.Field(1).(*array.ListBuilder)
	list.Append(true)
	list.ValueBuilder().(*array.StringBuilder).AppendValues([]string{"o", "\u0308"}, nil)
	b.Field(2).(*array.StringBuilder).Append("\u0308x")
	b.Field(3).(*array.Int64Builder).Append(7)
	b.Field(4).(*array.StringBuilder).Append("x\u0308")
	rec := b.NewRecordBatch()
	defer rec.Release()
	for src, want := range map[string]string{
		`"${row.a}"`:                                                decomposed,
		`"${row.a}!"`:                                               decomposed + "!",
		`"o${row.m}"`:                                               "o\u0308x",
		`"<${row.n}, ${true}, ${row.a}>"`:                           "<7, true, " + decomposed + ">",
		`lower("${row.a}!")`:                                        "ko\u0308ln!",
		`upper(row.a)`:                                              "KO\u0308LN",
		`title(row.a)`:                                              decomposed,
		`chomp("${row.a}\n")`:                                       decomposed,
		`indent(1, "${row.a}\n${row.a}")`:                           decomposed + "\n " + decomposed,
		`trim(row.a, "n")`:                                          "Ko\u0308l",
		`trimprefix(row.a, "K")`:                                    "o\u0308ln",
		`trimsuffix(row.a, "n")`:                                    "Ko\u0308l",
		`trimspace(" ${row.a} ")`:                                   decomposed,
		`replace(row.a, "n", "N")`:                                  "Ko\u0308lN",
		`replace(row.a, "/l(.)/", "$1")`:                            "Ko\u0308n",
		`substr(row.a, 0, 2)`:                                       "Ko\u0308",
		`substr(row.a, row.n - 5, -1)`:                              "ln",
		`strrev(row.a)`:                                             "nlo\u0308K",
		`length(row.a)`:                                             "4",
		`join("", row.l)`:                                           "o\u0308",
		`format("%s", row.a)`:                                       decomposed,
		`format("%5s|%-5s|%.2s", row.a, row.a, row.a)`:              " " + decomposed + "|" + decomposed + " |Ko\u0308",
		`format("o%s %q %v", row.m, row.a, [row.a])`:                "o\u0308x \"" + decomposed + "\" [\"" + decomposed + "\"]",
		`formatlist("%s!", [row.a])[0]`:                             decomposed + "!",
		`concat(row.l, [row.a])[2]`:                                 decomposed,
		`coalesce(row.a, "x")`:                                      decomposed,
		`try(row.a, "x")`:                                           decomposed,
		`{ a = row.a }["a"]`:                                        decomposed,
		`row.n > 1 ? row.a : "x"`:                                   decomposed,
		`jsonencode(row.a)`:                                         `"` + decomposed + `"`,
		`jsonencode({ content = "<${row.a}>" })`:                    `{"content":"<` + decomposed + `>"}`,
		`jsonencode([for x in row.l : x])`:                          "[\"o\",\"\u0308\"]",
		`jsonencode({ a = local.nfd, b = row.a })`:                  `{"a":"` + decomposed + `","b":"` + decomposed + `"}`,
		`jsondecode(jsonencode({ a = row.a })).a`:                   decomposed,
		`jsondecode("[\"o\\u0308${row.m}\"]")[0]`:                   "o\u0308\u0308x",
		`yamldecode(yamlencode({ a = [row.a] })).a[0]`:              decomposed,
		`yamlencode(row.a)`:                                         `"` + decomposed + "\"\n",
		`csvdecode("a\n${row.a}")[0].a`:                             decomposed,
		`csvencode([{ a = row.a }])`:                                "a\n" + decomposed + "\n",
		`urldecode(urlencode(row.a))`:                               decomposed,
		`base64decode(base64encode(row.a))`:                         decomposed,
		`length(toset([row.a, "` + composed + `"]))`:                "2",
		`regex("K.*n", row.a)`:                                      decomposed,
		`regex("K(.*)n", row.a)[0]`:                                 "o\u0308l",
		`regex("K(?P<x>.*)n", row.a).x`:                             "o\u0308l",
		`regexall("o.", row.a)[0]`:                                  "o\u0308",
		`split("l", row.a)[0]`:                                      "Ko\u0308",
		`[for x in [row.a] : x][0]`:                                 decomposed,
		`"%{for x in row.l}${x}%{endfor}"`:                          "o\u0308",
		`"%{if row.n > 1}${row.a}%{endif}"`:                         decomposed,
		`templatestring("$${x}${"` + "\u0308" + `"}", { x = "o" })`: "o\u0308",
		`templatestring("$${x}!", { x = row.a })`:                   decomposed + "!",
		`row.a == "` + composed + `"`:                               "false",
		`row.a != "` + composed + `"`:                               "true",
		`row.a == local.nfd`:                                        "true",
		`"${row.a}" == "${local.nfd}"`:                              "true",
		`contains([local.nfd], row.a)`:                              "true",
		`contains(["` + composed + `"], row.a)`:                     "false",
		`normalize(row.a) == "` + composed + `"`:                    "true",
		`normalize("` + composed + `", "NFD") == row.a`:             "true",
		`local.nfd`:                                                 decomposed,
		`"${local.nfd}${row.n}"`:                                    decomposed + "7",
		`"${local.angstrom}${row.n}"`:                               "\u212b7",
		// Literals in a configuration, names, and keys are in NFC, as in
		// Terraform.
		`"` + decomposed + `"`:                            composed,
		`"o` + `\u0308"`:                                  "\u00f6",
		`row.a == "` + decomposed + `"`:                   "false",
		`jsonencode({ (row.a) = row.a })`:                 `{"` + composed + `":"` + decomposed + `"}`,
		`jsonencode({ for x in [row.a] : x => x })`:       `{"` + composed + `":"` + decomposed + `"}`,
		`length({ (row.a) = 1, "` + composed + `" = 2 })`: "1",
		`{ (row.a) = 1, "` + composed + `" = 2 }[row.a]`:  "2",
		`"${row["u` + "\u0308" + `"]}!"`:                  "x\u0308!",
		`row["\u00fc"]`:                                   "x\u0308",
		`row["u\u0308"] == row.a`:                         "false",
		`jsonencode(row) == jsonencode({ a = row.a, l = row.l, m = row.m, n = row.n, "\u00fc" = row["\u00fc"] })`: "true",
		`zipmap([row.a, "` + composed + `"], [1, 2])[row.a]`:                                                      "2",
		`lookup({ "` + composed + `" = "x" }, row.a, "y")`:                                                        "x",
		`tomap({ "` + composed + `" = "x" })[row.a]`:                                                              "x",
	} {
		c, diags := expr.Compile(exprtest.Parse(src), &expr.Scope{Row: schema, Eval: &hcl.EvalContext{
			Functions: funcs.Pure(), Variables: map[string]cty.Value{"local": cty.ObjectVal(map[string]cty.Value{
				"nfd": verbatim.Text(decomposed), "angstrom": verbatim.Text("\u212b")})},
		}}, cty.String)
		if diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
			continue
		}
		p, err := New(c, schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range []*node{p.root, nil} {
			arr, failed, err := p.run(context.Background(), rec, root)
			if err != nil || len(failed) > 0 {
				t.Errorf("%s: %v %v", src, failed, err)
				continue
			}
			if got := arr.(*array.String).Value(0); got != want {
				t.Errorf("%s = %+q, not %+q", src, got, want)
			}
			arr.Release()
		}
	}
}

// If the names of two columns differ only in their normal form, a row as a whole
// could contain only one of the columns.
func TestRowsWithNamesThatAreTheSameInNFCAreRefusedAsAWhole(t *testing.T) {
	scope := &expr.Scope{Row: data.Schema{{Name: composed, Type: "string"}, {Name: decomposed, Type: "string"}}, Eval: &hcl.EvalContext{Functions: funcs.Pure()}}
	if _, diags := expr.Compile(exprtest.Parse("jsonencode(row)"), scope, cty.String); !diags.HasErrors() || diags[0].Summary != "Columns with the same name" {
		t.Errorf("the whole row: %v", diags)
	}
	c, diags := expr.Compile(exprtest.Parse(`"${row["`+composed+`"]}!"`), scope, cty.String)
	if diags.HasErrors() || len(c.Columns) != 1 || c.Columns[0] != composed {
		t.Errorf("one column: %v %v", c, diags)
	}
}
