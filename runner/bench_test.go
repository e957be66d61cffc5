package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/dataset"

	"github.com/zclconf/go-cty/cty"
)

// short is a labeler that costs nothing: it says whether a text is short.
type short struct{}

func (short) Prepare(_ context.Context, p *plugin.Prepare[upperArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (short) Map(_ context.Context, a *upperArgs, b *plugin.Batch) error {
	text := b.Strings(a.Text)
	for i := range b.N {
		if v, _ := text.At(i); len(v) > 0 && v[0] < 'h' {
			b.SetString("size", i, "short")
		} else {
			b.SetString("size", i, "long")
		}
	}
	return nil
}

var benchSchema = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}

// benchRows makes rows of 200 bytes that do not compress to nothing.
func benchRows(seed uint64, n int) arrow.RecordBatch {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := array.NewRecordBuilder(memory.DefaultAllocator, benchSchema.Arrow())
	text := make([]byte, 192)
	for i := range n {
		for k := range text {
			text[k] = 'a' + byte(rng.Uint32()%26)
		}
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).BinaryBuilder.Append(text)
	}
	return b.NewRecordBatch()
}

// rowwiseBench is a store with a dataset and a plugin in a process of its own.
type rowwiseBench struct {
	b      *testing.B
	store  *store.Store
	plugin *client.Plugin
}

func newRowwiseBench(b *testing.B) *rowwiseBench {
	s, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	c, err := client.Start(b.Context(), client.Command{Path: os.Args[0], Args: []string{serveArgument}, Name: "test"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	describe(b, c)
	return &rowwiseBench{b: b, store: s, plugin: c}
}

// dataset writes n rows, and extra ones in the middle.
func (r *rowwiseBench) dataset(n, extra int) *dataset.Manifest {
	const batch = 20_000
	w := dataset.NewWriter(r.store.Blobs, benchSchema)
	write := func(rec arrow.RecordBatch) {
		if err := w.Write(r.b.Context(), rec); err != nil {
			r.b.Fatal(err)
		}
	}
	for i := 0; i < n; i += batch {
		if extra > 0 && i == n/2 {
			write(benchRows(1<<32, extra))
		}
		write(benchRows(uint64(i), min(batch, n-i)))
	}
	m, err := w.Close()
	if err != nil {
		r.b.Fatal(err)
	}
	return m
}

func (r *rowwiseBench) run(m *dataset.Manifest, definition int) *rowwise.Result {
	row := &expr.Compiled{Text: "row.text", Type: value.Type{Type: cty.String}, ColumnType: "string", Columns: []string{"text"}}
	config, err := client.EncodeValue(cty.ObjectVal(map[string]cty.Value{
		"input": cty.StringVal("input"), "text": cty.StringVal("text"), "mark": cty.NullVal(cty.String),
	}))
	if err != nil {
		r.b.Fatal(err)
	}
	res, err := rowwise.Run(r.b.Context(), rowwise.Stage{
		Definition: fmt.Sprintf("sha256:%064d", definition), Input: m, Reads: []string{"text"},
		Arguments: []rowwise.Argument{{Key: "text", Expr: row}},
		Output: []rowwise.Column{
			{Column: benchSchema[0], Input: "id"}, {Column: benchSchema[1], Input: "text"},
			{Column: data.Column{Name: "size", Type: "string"}},
		},
		Start: &pluginv1.Instance{
			Kind: "label", Type: "short", Address: "label.size", Config: config,
			Inputs:       map[string]*pluginv1.Input{"input": {Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: benchSchema.Proto()}},
			RowArguments: map[string]*pluginv1.RowArgument{"text": {Type: "string", RowsOf: "input", Column: "text"}},
		},
	}, rowwise.Services{
		Blobs: r.store.Blobs, Memo: r.store.Memo,
		Map: func(ctx context.Context) (pluginv1.PluginService_MapClient, error) {
			return r.plugin.Service().Map(ctx)
		},
	})
	if err != nil {
		r.b.Fatal(err)
	}
	return res
}

// BenchmarkARowwiseStageOverAMillionRows: nothing known; then 100 rows
// inserted in the middle.
func BenchmarkARowwiseStageOverAMillionRows(b *testing.B) {
	const rows = 1_000_000
	r := newRowwiseBench(b)
	m, grown := r.dataset(rows, 0), r.dataset(rows, 100)
	b.Run("nothing known", func(b *testing.B) {
		definition := 1
		for b.Loop() {
			definition++
			started := time.Now()
			res := r.run(m, definition)
			if res.New != rows {
				b.Fatalf("%d rows are new", res.New)
			}
			b.ReportMetric(rows/time.Since(started).Seconds(), "rows/s")
			b.ReportMetric(100*float64(res.Manifest.Bytes()-m.Bytes())/float64(m.Bytes()), "%added")
		}
	})
	b.Run("100 inserted", func(b *testing.B) {
		definition := 1000
		for b.Loop() {
			b.StopTimer()
			definition++
			r.run(m, definition)
			b.StartTimer()
			if res := r.run(grown, definition); res.New != 100 {
				b.Fatalf("%d rows are new", res.New)
			}
		}
	})
}

// BenchmarkAThousandTrivialStages applies a thousand map stages, in chains of
// ten, from nothing.
func BenchmarkAThousandTrivialStages(b *testing.B) {
	const chains, length = 100, 10
	var src strings.Builder
	src.WriteString("source \"lines\" \"raw\" {\n  path = \"raw.txt\"\n}\n")
	for c := range chains {
		input := "source.raw"
		for i := range length {
			name := fmt.Sprintf("c%d_%d", c, i)
			fmt.Fprintf(&src, "transform \"map\" %q {\n  input   = %s\n  columns = { %s = \"${row.text} %s\" }\n}\n", name, input, name, name)
			input = "transform." + name
		}
	}
	for b.Loop() {
		b.StopTimer()
		p := newPipeline(b)
		p.world.set("raw.txt", "alpha", "beta", "gamma")
		made := p.plan(src.String())
		b.StartTimer()
		if res := p.carryOut(b.Context(), made); res.Status != "done" {
			b.Fatal(told(res))
		}
	}
}
