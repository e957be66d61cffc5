package rowwise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/pending"
)

// bench is a store and a plugin that upper-cases.
type bench struct {
	t     testing.TB
	blobs *blob.Store
	memo  *memo.Store
	waits *pending.Store
	// tokens are those that the plugin got with the rows of the last run, by text.
	tokens map[string]string
	// seen counts the rows that reached the plugin; calls the Map calls.
	seen, calls atomic.Int64
	// fault decides about a row: nil error: it succeeds.
	fault func(text string) *pluginv1.RowError
	// broken: the plugin breaks the call.
	broken bool
	// respond, if set, answers in place of apply.
	respond func(arrow.RecordBatch) ([]*pluginv1.MapResponse, error)
	stop    chan struct{}
}

func newBench(t testing.TB) *bench {
	dir := t.TempDir()
	for _, d := range []string{"blobs", "temp", "aside", "memo"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	sync := disk.NewSyncer()
	return &bench{
		t: t, stop: make(chan struct{}),
		blobs: blob.New(filepath.Join(dir, "blobs"), filepath.Join(dir, "temp"), filepath.Join(dir, "aside"), sync),
		memo:  memo.New(context.Background(), backend.NewLocal(dir, sync)),
		waits: pending.New(context.Background(), backend.NewLocal(dir, sync)),
	}
}

func (b *bench) services() Services {
	return Services{Blobs: b.blobs, Memo: b.memo, Pending: b.waits, Stop: b.stop, Map: func(ctx context.Context) (pluginv1.PluginService_MapClient, error) {
		b.calls.Add(1)
		f := newFake(ctx, b.apply)
		f.respond, f.received = b.respond, b.received
		return f, nil
	}}
}

// received records the tokens of a request.
func (b *bench) received(req *pluginv1.MapRequest, rec arrow.RecordBatch) {
	text := rec.Column(rec.Schema().FieldIndices("text")[0]).(*array.String)
	for _, t := range req.GetTokens() {
		if b.tokens == nil {
			b.tokens = map[string]string{}
		}
		b.tokens[text.Value(int(t.GetRow()))] = string(t.GetToken())
	}
}

var errCrash = errors.New("plugin fake crashed")

// apply upper-cases the argument "text" into the column made.
func (b *bench) apply(rec arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error) {
	text := rec.Column(rec.Schema().FieldIndices("text")[0]).(*array.String)
	out := array.NewStringBuilder(memory.DefaultAllocator)
	var failures []*pluginv1.RowError
	for i := range text.Len() {
		b.seen.Add(1)
		if b.fault != nil {
			if f := b.fault(text.Value(i)); f != nil {
				f.Row = int64(i)
				failures = append(failures, f)
				out.AppendNull()
				continue
			}
		}
		out.Append(strings.ToUpper(text.Value(i)))
	}
	if b.broken {
		return nil, nil, errCrash
	}
	schema := data.Schema{{Name: "made", Type: "string"}}.Arrow()
	return array.NewRecordBatch(schema, []arrow.Array{out.NewArray()}, rec.NumRows()), failures, nil
}

// fake is a Map call served in this process.
type fake struct {
	grpc.ClientStream
	ctx     context.Context
	mu      sync.Mutex
	answers chan *pluginv1.MapResponse
	err     error
	apply   func(arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error)
	respond func(arrow.RecordBatch) ([]*pluginv1.MapResponse, error)
	// received sees each request, if set.
	received func(*pluginv1.MapRequest, arrow.RecordBatch)
}

func newFake(ctx context.Context, apply func(arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error)) *fake {
	return &fake{ctx: ctx, apply: apply, answers: make(chan *pluginv1.MapResponse, 1)}
}

func (f *fake) Send(req *pluginv1.MapRequest) error {
	if req.GetStart() != nil {
		return nil
	}
	rec, err := data.DecodeBatch(req.GetRows())
	if err != nil {
		return err
	}
	if f.received != nil {
		f.received(req, rec)
	}
	respond := f.respond
	if respond == nil {
		respond = f.once
	}
	answers, err := respond(rec)
	if err != nil {
		f.fail(err)
		return io.EOF
	}
	for _, a := range answers {
		select {
		case f.answers <- a:
		case <-f.ctx.Done():
			return io.EOF
		}
	}
	return nil
}

// once answers with what apply makes.
func (f *fake) once(rec arrow.RecordBatch) ([]*pluginv1.MapResponse, error) {
	out, failures, err := f.apply(rec)
	if err != nil {
		return nil, err
	}
	pieces, err := wire.Cut(out, nil)
	if err != nil {
		return nil, err
	}
	if len(pieces) == 1 { // as a plugin answers that knows nothing of more
		return []*pluginv1.MapResponse{{Rows: pieces[0].Rows, Errors: failures}}, nil
	}
	answers := make([]*pluginv1.MapResponse, len(pieces))
	for i, p := range pieces {
		answers[i] = &pluginv1.MapResponse{Rows: p.Rows, More: i < len(pieces)-1}
		for _, e := range failures {
			if e.Row >= p.From && e.Row < p.To {
				answers[i].Errors = append(answers[i].Errors, &pluginv1.RowError{Row: e.Row - p.From, Message: e.Message, Pending: e.Pending})
			}
		}
	}
	return answers, nil
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	close(f.answers)
}

func (f *fake) CloseSend() error { f.fail(io.EOF); return nil }

func (f *fake) Recv() (*pluginv1.MapResponse, error) {
	select {
	case a, ok := <-f.answers:
		if ok {
			return a, nil
		}
		return nil, f.err
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
}

// dataset stores rows with columns id and text.
func (b *bench) dataset(texts []string) *dataset.Manifest {
	b.t.Helper()
	w := dataset.NewWriter(b.blobs, data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}})
	ids, rows := array.NewInt64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	for i, t := range texts {
		ids.Append(int64(i) % 7)
		rows.Append(t)
	}
	rec := array.NewRecordBatch(data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}.Arrow(),
		[]arrow.Array{ids.NewArray(), rows.NewArray()}, int64(len(texts)))
	if err := w.Write(b.t.Context(), rec); err != nil {
		b.t.Fatal(err)
	}
	m, err := w.Close()
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

func definition(n byte) string { return "sha256:" + strings.Repeat(fmt.Sprintf("%02x", n), 32) }

func column(name string) *expr.Compiled {
	return &expr.Compiled{Text: "row." + name, Type: value.Type{Type: cty.String}, ColumnType: "string", Columns: []string{name}}
}

// upper is the stage that has texts upper-cased.
func upper(m *dataset.Manifest) Stage {
	return Stage{
		Definition: definition(1), Input: m, Reads: []string{"text"},
		Arguments: []Argument{{Key: "text", Expr: column("text")}},
		Output: []Column{
			{Column: data.Column{Name: "id", Type: "int64"}, Input: "id"},
			{Column: data.Column{Name: "words", Type: "string"}, Input: "text"},
			{Column: data.Column{Name: "made", Type: "string"}},
		},
		Start: &pluginv1.Instance{},
	}
}

func (b *bench) run(s Stage) *Result {
	b.t.Helper()
	b.seen.Store(0)
	b.calls.Store(0)
	r, err := Run(b.t.Context(), s, b.services())
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) read(m *dataset.Manifest, name string) []string {
	b.t.Helper()
	files, err := m.Files(b.blobs, []string{name})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for rec, err := range data.Read(b.t.Context(), files, []string{name}, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		c := rec.Column(0).(*array.String)
		for i := range c.Len() {
			if c.IsNull(i) {
				out = append(out, "<null>")
				continue
			}
			out = append(out, strings.Clone(c.Value(i)))
		}
	}
	return out
}

func (b *bench) wantUpper(m *dataset.Manifest, texts []string) {
	b.t.Helper()
	got := b.read(m, "made")
	want := make([]string, len(texts))
	for i, t := range texts {
		want[i] = strings.ToUpper(t)
	}
	if !slices.Equal(got, want) {
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				b.t.Fatalf("row %d is wrong: want %q (%d rows, want %d)", i, want[i], len(got), len(want))
			}
		}
		b.t.Fatalf("%d rows, want %d", len(got), len(want))
	}
}

func texts(seed uint64, n int) []string {
	rng := rand.New(rand.NewPCG(seed, 9))
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("text %d of %d", rng.Uint64(), seed)
	}
	return out
}
