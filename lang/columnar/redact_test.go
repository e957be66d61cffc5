package columnar

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Whatever depends on a secret is hidden completely, and the text around it is
// shown.
func TestARedactedProgramHidesWhatDependsOnASecret(t *testing.T) {
	schema := data.Schema{{Name: "text", Type: "string"}}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.Append("cat")
	rec := array.NewRecordBatch(schema.Arrow(), []arrow.Array{b.NewArray()}, 1)
	const hidden = "(sensitive value)"
	for text, want := range map[string]string{
		`"${row.text} and ${var.s}."`: "cat and " + hidden + ".",
		`"${var.s}"`:                  hidden,
		`strrev(var.s)`:               hidden,
		`"${length(var.s)} ${sha256("${var.s}${row.text}")}"`:              hidden + " " + hidden,
		`jsonencode({a = "x${var.s}", b = row.text})`:                      `{"a":"x` + hidden + `","b":"cat"}`,
		`jsonencode(concat([row.text], [var.s, "y"]))`:                     `["cat","` + hidden + `","y"]`,
		`jsonencode([for x in [row.text, "dog"] : "${x}${var.s}"])`:        `["cat` + hidden + `","dog` + hidden + `"]`,
		`jsonencode({a = [for x in var.s : x]})`:                           `{"a":"` + hidden + `"}`,
		`jsonencode({(var.s) = 1})`:                                        `"` + hidden + `"`,
		`row.text == "cat" ? "is ${var.s}" : "none"`:                       "is " + hidden,
		`row.text == var.s ? "yes" : "no"`:                                 hidden,
		`"%{ if row.text == var.s }yes%{ else }no%{ endif }, ${row.text}"`: hidden + ", cat",
		`"%{ for x in [1, 2] }${x}: ${var.s} %{ endfor }"`:                 "1: " + hidden + " 2: " + hidden + " ",
		`upper("${row.text}${var.s}")`:                                     hidden,
		`row.text`:                                                         "cat",
	} {
		c := &expr.Compiled{Text: text, Type: value.Type{Type: cty.String}, ColumnType: "string", Columns: []string{"text"}}
		if strings.Contains(text, "var.s") {
			c.Secrets = []string{"s"}
		}
		p, err := NewRedacted(c, schema)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		values, failed, err := p.Eval(t.Context(), rec)
		if err != nil || len(failed) > 0 {
			t.Errorf("%s: %v, %v", text, failed, err)
			continue
		}
		if got := values.(*array.String).Value(0); got != want {
			t.Errorf("%s is %q, not %q", text, got, want)
		}
	}
}
