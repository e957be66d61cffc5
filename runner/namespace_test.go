package runner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/annotation"
	"github.com/quern-dev/quern/plugins/evaluation"
	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/plugins/rules"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/store/artifact"
)

// given is a source of one batch of rows.
type given struct{ rec arrow.RecordBatch }

type givenArgs struct{}

func (g *given) Prepare(_ context.Context, p *plugin.Prepare[givenArgs]) error {
	schema, err := data.FromArrow(g.rec.Schema())
	p.AddDataset("", schema)
	return err
}

func (g *given) Fingerprint(context.Context, *givenArgs, []byte) (plugin.Fingerprint, error) {
	return plugin.Fingerprint{Value: "the rows"}, nil
}

func (g *given) Read(_ context.Context, _ *givenArgs, w *plugin.RowWriter) error {
	return w.Write(g.rec)
}

// trickyNames are those of arguments, keys, and marks, and what looks like them.
var trickyNames = []string{
	"by", "stratify", "where", "text", "target", "when", "label", "id", "cluster", "rule.r.when", "columns.made", "subjects.s",
	"votes.a", "output", "(output)", "a.b", "a", "row", "argument0", "quern.argument", "Text", "é", " ", "${x}", "value", "input",
}

// trickyRows are rows whose columns have such names: two of strings, one of
// bool, and some of any type. The last column counts the rows.
func trickyRows(r *rand.Rand, n int) arrow.RecordBatch {
	names := slices.Clone(trickyNames)
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	schema := data.Schema{{Name: names[0], Type: "string"}, {Name: names[1], Type: "string"}, {Name: names[2], Type: "bool"}}
	for i, c := range datatest.Schema(r) {
		schema = append(schema, data.Column{Name: names[3+i], Type: c.Type})
	}
	places := make([][]any, n)
	for i := range places {
		places[i] = []any{i}
	}
	counter := data.Schema{{Name: "n", Type: "int64"}}
	columns := append(datatest.Batch(r, schema, n).Columns(), datatest.Rows(counter, places...).Column(0))
	return array.NewRecordBatch(append(schema, counter...).Arrow(), columns, int64(n))
}

// rowDot is row.NAME for any name.
func rowDot(name string) string {
	return `row["` + strings.ReplaceAll(name, "${", "$${") + `"]`
}

func TestColumnsThatAStagePassesOnAreItsInputs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 8))
	for range reference.Rounds(6, 500) {
		rec := trickyRows(r, 60)
		names := rec.Schema()
		a, b, c := rowDot(names.Field(0).Name), rowDot(names.Field(1).Name), rowDot(names.Field(2).Name)
		p := newPipeline(t, slices.Concat(rows.Types(), rules.Types(), annotation.Types(), evaluation.Types(), []plugin.Type{
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "given", BehaviorVersion: 1}, &given{rec}),
		})...)
		p.mustApply(fmt.Sprintf(`
source "given" "rows" {}
transform "split" "parts" {
  input    = source.rows
  by       = (%[1]s == null ? null : lower(%[1]s))
  stratify = %[2]s == null
  shares   = { left = 0.5, right = 0.5 }
}
transform "filter" "some" {
  input = source.rows
  where = %[3]s != true
}
transform "sample" "few" {
  input = source.rows
  rows  = 20
}
transform "map" "more" {
  input   = source.rows
  keep    = true
  columns = { "new one" = (%[1]s == null ? null : lower(%[1]s)), "new two" = %[2]s }
}
label "rules" "made" {
  input = source.rows
  rule "r" {
    when  = %[3]s == null || coalesce(%[1]s, "?") == "a"
    label = "x"
  }
}
label "vote" "voted" {
  input = source.rows
  votes = { a = (%[1]s == null ? null : lower(%[1]s)), b = %[2]s }
}
evaluate "prompt" "subjects" {
  dataset  = source.rows
  subjects = { s = "said ${%[1]s == null ? "" : lower(%[1]s)}" }
  id       = (%[2]s == null ? null : lower(%[2]s))
  cluster  = "x${%[3]s == null}"
  metrics  = { m = %[1]s == null ? null : output.text == "said ${%[1]s}" && %[2]s != "?" && try(output.text, "") != "" }
}
`, a, b, c))
		if t.Failed() {
			t.Fatal(names)
		}
		for _, out := range []struct{ address, port string }{
			{"transform.parts", "left"}, {"transform.parts", "right"}, {"transform.some", ""}, {"transform.few", ""},
			{"transform.more", ""}, {"label.made", ""}, {"label.voted", ""},
		} {
			sameRows(t, out.address, rec, p.rows(out.address, out.port))
		}
		checkGiven(t, rec, p.rows("evaluate.subjects", "rows"))
	}
}

// rows are all rows of a dataset.
func (p *pipeline) rows(address, port string) arrow.RecordBatch {
	p.t.Helper()
	a, err := artifact.Get(p.store.Blobs, p.state.Instances[address].Outputs[port])
	if err != nil {
		p.t.Fatal(err)
	}
	files, err := a.Dataset.Files(p.store.Blobs, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	var parts []arrow.RecordBatch
	for rec, err := range data.Read(p.t.Context(), files, a.Dataset.Schema.Names(), 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		rec.Retain()
		parts = append(parts, rec)
	}
	all, err := data.Concat(a.Dataset.Schema.Arrow(), parts)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// sameRows compares the columns that a dataset has of another one, whose rows
// are counted by the column n.
func sameRows(t *testing.T, what string, in, out arrow.RecordBatch) {
	t.Helper()
	places := data.Columns.Find(out, "n").(*array.Int64)
	for k := range in.NumCols() {
		name := in.ColumnName(int(k))
		have := data.Columns.Find(out, name)
		if have == nil {
			t.Fatalf("%s has lost %q", what, name)
		}
		for i := range places.Len() {
			at := places.Value(i)
			want := in.NewSlice(at, at+1).Column(int(k))
			if !array.ApproxEqual(array.NewSlice(have, int64(i), int64(i+1)), want, array.WithNaNsEqual(true), array.WithAbsTolerance(0)) {
				t.Fatalf("%s: row %d of %q is %s, not %s", what, at, name, have.ValueStr(i), want.ValueStr(0))
			}
		}
	}
}

// checkGiven holds the rows of an evaluation against its dataset.
func checkGiven(t *testing.T, in, out arrow.RecordBatch) {
	t.Helper()
	row, text := data.Columns.Find(out, "row").(*array.Int64), data.Columns.Find(out, "given").(*array.String)
	ids := data.Columns.Find(out, "id").(*array.String)
	for i := range row.Len() {
		var given map[string]any
		if err := json.Unmarshal([]byte(text.Value(i)), &given); err != nil {
			t.Fatal(err)
		}
		for k := range 2 {
			name := in.ColumnName(k)
			if have := given[name]; have != in.Column(k).GetOneForMarshal(int(row.Value(i))) {
				t.Fatalf("row %d has %q = %v, not %v", i, name, have, in.Column(k).GetOneForMarshal(int(row.Value(i))))
			}
		}
		second := in.Column(1).(*array.String)
		at := int(row.Value(i))
		if second.IsNull(at) != ids.IsNull(i) || second.IsValid(at) && ids.Value(i) != strings.ToLower(second.Value(at)) {
			t.Fatalf("row %d has the id %q, not %q", at, ids.ValueStr(i), strings.ToLower(second.ValueStr(at)))
		}
	}
}
