package expr

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/data"
)

// The same word in Unicode's two normal forms.
const (
	composed   = "K\u00f6ln"
	decomposed = "Ko\u0308ln"
)

// TestTextKeepsItsBytes fails where go-cty normalizes text again.
func TestTextKeepsItsBytes(t *testing.T) {
	schema := data.Schema{{Name: "a", Type: "string"}, {Name: "l", Type: "list<string>"}, {Name: "o\u0308", Type: "string"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(decomposed)
	list := b.Field(1).(*array.ListBuilder)
	list.Append(true)
	list.ValueBuilder().(*array.StringBuilder).AppendValues([]string{"o", "\u0308"}, nil)
	b.Field(2).(*array.StringBuilder).Append("\u0308x")
	rec := b.NewRecordBatch()
	defer rec.Release()
	for src, want := range map[string]string{
		`"${row.a}"`:                                                decomposed,
		`"o${row["o` + "\u0308" + `"]}"`:                            "o\u0308x",
		`"` + decomposed + `"`:                                      decomposed,
		`"` + composed + `"`:                                        composed,
		`"o` + `\u0308"`:                                            "o\u0308",
		`lower("${row.a}!")`:                                        "ko\u0308ln!",
		`upper(row.a)`:                                              "KO\u0308LN",
		`title(row.a)`:                                              decomposed,
		`trimspace(" ${row.a} ")`:                                   decomposed,
		`replace(row.a, "n", "N")`:                                  "Ko\u0308lN",
		`substr(row.a, 0, 2)`:                                       "Ko\u0308",
		`join("", row.l)`:                                           "o\u0308",
		`format("%s", row.a)`:                                       decomposed,
		`coalesce(row.a, "x")`:                                      decomposed,
		`try(row.a, "x")`:                                           decomposed,
		`jsonencode(row.a)`:                                         `"` + decomposed + `"`,
		`jsonencode({ (row.a) = row.a })`:                           `{"` + decomposed + `":"` + decomposed + `"}`,
		`jsondecode(jsonencode({ a = row.a })).a`:                   decomposed,
		`yamldecode(yamlencode({ a = row.a })).a`:                   decomposed,
		`keys({ (row.a) = 1, "` + composed + `" = 2 })[0]`:          decomposed,
		`length(toset([row.a, "` + composed + `"]))`:                "2",
		`regex("K.*n", row.a)`:                                      decomposed,
		`split("l", row.a)[0]`:                                      "Ko\u0308",
		`[for x in [row.a] : x][0]`:                                 decomposed,
		`"%{for x in row.l}${x}%{endfor}"`:                          "o\u0308",
		`row.a == "` + composed + `"`:                               "false",
		`row.a == "` + decomposed + `"`:                             "true",
		`normalize(row.a) == "` + composed + `"`:                    "true",
		`normalize("` + composed + `", "NFD") == row.a`:             "true",
		`local.nfd`:                                                 decomposed,
		`"${local.nfd}" == row.a`:                                   "true",
		`templatestring("$${x}${"` + "\u0308" + `"}", { x = "o" })`: "o\u0308",
	} {
		c, diags := Compile(parse(src), &Scope{Row: schema, Eval: &hcl.EvalContext{
			Functions: funcs.Pure(), Variables: map[string]cty.Value{"local": cty.ObjectVal(map[string]cty.Value{"nfd": cty.StringVal(decomposed)})},
		}}, cty.String)
		if diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
			continue
		}
		p, err := c.Program(schema, nil)
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
