package rowwise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestEveryRowReachesThePluginOnceAndNeverAgain(t *testing.T) {
	b := newBench(t)
	rows := texts(1, 90_000)
	m := b.dataset(rows)
	if len(m.Shards) < 2 {
		t.Fatal("the test needs several shards")
	}
	r := b.run(upper(m))
	b.wantUpper(r.Manifest, rows)
	if n := b.seen.Load(); n != 90_000 || r.New != 90_000 || r.Reused != 0 {
		t.Errorf("%d rows reached the plugin, %d are new, %d reused", n, r.New, r.Reused)
	}
	if got := r.Manifest.Schema.Names(); !slices.Equal(got, []string{"id", "words", "made"}) {
		t.Errorf("the columns are %v", got)
	}
	again := b.run(upper(m))
	if b.calls.Load() != 0 || again.Reused != 90_000 || again.Manifest.Digest() != r.Manifest.Digest() {
		t.Errorf("a second run called the plugin %d times and reused %d rows", b.calls.Load(), again.Reused)
	}
}

func TestInsertedRowsAreTheOnlyOnesThatReachThePlugin(t *testing.T) {
	b := newBench(t)
	rows := texts(1, 120_000)
	b.run(upper(b.dataset(rows)))
	grown := slices.Insert(slices.Clone(rows), 60_123, texts(2, 100)...)
	r := b.run(upper(b.dataset(grown)))
	b.wantUpper(r.Manifest, grown)
	if n := b.seen.Load(); n != 100 || r.New != 100 || r.Reused != 120_000 {
		t.Errorf("%d rows reached the plugin, %d are new, %d reused", n, r.New, r.Reused)
	}
}

func TestReorderedRowsAreFound(t *testing.T) {
	b := newBench(t)
	rows := texts(3, 50_000)
	b.run(upper(b.dataset(rows)))
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	r := b.run(upper(b.dataset(rows)))
	b.wantUpper(r.Manifest, rows)
	if b.calls.Load() != 0 {
		t.Errorf("%d rows reached the plugin", b.seen.Load())
	}
}

func TestAnUnreadColumnCanChange(t *testing.T) {
	b := newBench(t)
	rows := texts(4, 20_000)
	m := b.dataset(rows)
	b.run(upper(m))
	// The same texts, other ids: the rows are shifted against i modulo 7.
	r := b.run(upper(b.dataset(rows[1:])))
	b.wantUpper(r.Manifest, rows[1:])
	if b.calls.Load() != 0 {
		t.Errorf("%d rows reached the plugin", b.seen.Load())
	}
}

func TestEqualRowsAreComputedOnce(t *testing.T) {
	b := newBench(t)
	var rows []string
	for i := range 30_000 {
		rows = append(rows, fmt.Sprint("text ", i%100))
	}
	r := b.run(upper(b.dataset(rows)))
	b.wantUpper(r.Manifest, rows)
	if n := b.seen.Load(); n != 100 || r.New != 100 || r.Reused != 29_900 {
		t.Errorf("%d rows reached the plugin, %d are new, %d reused", n, r.New, r.Reused)
	}
}

func TestAnotherDefinitionSharesNothing(t *testing.T) {
	b := newBench(t)
	s := upper(b.dataset(texts(5, 1000)))
	b.run(s)
	s.Definition = definition(2)
	if r := b.run(s); r.New != 1000 {
		t.Errorf("%d rows are new", r.New)
	}
}

func TestAFreshRunReusesNothingAndReplaces(t *testing.T) {
	b := newBench(t)
	s := upper(b.dataset(texts(5, 1000)))
	b.run(s)
	s.Fresh = true
	if r := b.run(s); r.New != 1000 {
		t.Errorf("%d rows are new", r.New)
	}
}

// smallMessages makes messages hold few rows, and returns 2000 texts of which
// one is bad and one too large to be sent.
func smallMessages(t *testing.T, b *bench) []string {
	most := wire.MaxRows
	t.Cleanup(func() { wire.MaxRows = most })
	wire.MaxRows = 4000
	b.fault = func(text string) *pluginv1.RowError {
		if strings.HasPrefix(text, "bad") {
			return &pluginv1.RowError{Message: "it is bad"}
		}
		return nil
	}
	rows := texts(8, 2000)
	rows[700], rows[1000] = "bad text", strings.Repeat("y", 5000)
	return rows
}

func checkTooLarge(t *testing.T, b *bench, r *Result) {
	t.Helper()
	want := Failure{1000, "what the plugin needs of it takes 1 MiB, but a row between quern and a plugin can take at most 0 MiB; keep such content in a file, and its path in the row"}
	if len(r.Failures) != 2 || r.Failures[0] != (Failure{700, "it is bad"}) || r.Failures[1] != want {
		t.Errorf("got the failures %+v", r.Failures)
	}
	if n := b.seen.Load(); n != 1999 {
		t.Errorf("%d rows reached the plugin", n)
	}
}

func TestRowsThatAreTooLargeForOneMessageGoAndComeInSeveral(t *testing.T) {
	b := newBench(t)
	rows := smallMessages(t, b)
	s := upper(b.dataset(rows))
	s.MaxErrors = 2
	r := b.run(s)
	checkTooLarge(t, b, r)
	for i, got := range b.read(r.Manifest, "made") {
		want := strings.ToUpper(rows[i])
		if i == 700 || i == 1000 {
			want = "<null>"
		}
		if got != want {
			t.Fatalf("row %d is %q, not %q", i, got, want)
		}
	}
}

func TestRowsThatAreTooLargeForOneMessageAreExpandedInSeveral(t *testing.T) {
	b := newBench(t)
	b.splits(7)
	rows := smallMessages(t, b)
	s := words(b.dataset(rows))
	s.MaxErrors = 2
	r := b.run(s)
	checkTooLarge(t, b, r)
	rows[700], rows[1000] = "", ""
	b.wantWords(r.Manifest, rows)
}

func TestRowsThatFailedAreKeptWithTheirErrorAndTriedAgain(t *testing.T) {
	b := newBench(t)
	rows := texts(6, 5000)
	rows[4000] = rows[17]
	s := upper(b.dataset(rows))
	s.MaxErrors = 10
	b.fault = func(text string) *pluginv1.RowError {
		if text == rows[17] || text == rows[3000] {
			return &pluginv1.RowError{Message: "no such word"}
		}
		return nil
	}
	r := b.run(s)
	want := []Failure{{17, "no such word"}, {3000, "no such word"}, {4000, "no such word"}}
	if !slices.Equal(r.Failures, want) || r.Failed != 3 || r.New != 4997 {
		t.Errorf("%d new, failures: %v", r.New, r.Failures)
	}
	if got := b.read(r.Manifest, "made"); got[17] != "<null>" || got[4000] != "<null>" || got[16] == "<null>" {
		t.Error("failed rows are not null")
	}
	b.fault = nil
	r = b.run(s)
	b.wantUpper(r.Manifest, rows)
	if n := b.seen.Load(); n != 2 || r.Failed != 0 {
		t.Errorf("%d rows reached the plugin, %d failed", n, r.Failed)
	}
}

func TestTooManyFailuresEndTheStage(t *testing.T) {
	b := newBench(t)
	s := upper(b.dataset(texts(7, 5000)))
	s.MaxErrors = 2
	b.fault = func(string) *pluginv1.RowError { return &pluginv1.RowError{Message: "no"} }
	_, err := Run(t.Context(), s, b.services())
	var many *TooManyErrors
	if !errors.As(err, &many) || len(many.Failures) == 0 || many.Failures[0] != (Failure{0, "no"}) {
		t.Fatalf("got %v", err)
	}
}

func TestTemporaryFailuresAreRetriedImmediately(t *testing.T) {
	b := newBench(t)
	rows := texts(8, 2000)
	tries := map[string]int{}
	b.fault = func(text string) *pluginv1.RowError {
		if tries[text]++; text == rows[1500] && tries[text] < 2 {
			return &pluginv1.RowError{Message: "busy", Temporary: true}
		}
		return nil
	}
	r := b.run(upper(b.dataset(rows)))
	b.wantUpper(r.Manifest, rows)
	if n := b.seen.Load(); n != 2001 || r.New != 2000 {
		t.Errorf("%d rows reached the plugin, %d are new", n, r.New)
	}
}

// kept is how many rows of a definition are remembered.
func (b *bench) kept(definition string) int64 {
	b.t.Helper()
	rows := int64(0)
	for p, err := range b.memo.Parts(definition) {
		if err != nil {
			b.t.Fatal(err)
		}
		rows += p.Rows
	}
	return rows
}

// breakOff runs a stage that end ends, when some rows have come back, and
// checks that just those are kept and used that had come back.
func (b *bench) breakOff(seed uint64, want error, end func()) {
	b.t.Helper()
	const n = 100_000
	rows := texts(seed, n)
	s := upper(b.dataset(rows))
	ctx, cancel := context.WithCancelCause(b.t.Context())
	defer cancel(nil)
	back := make(chan struct{})
	var came, ended sync.Once
	svc := b.services()
	svc.Progress = func(Progress) { came.Do(func() { close(back) }) }
	b.fault = func(string) *pluginv1.RowError {
		if b.seen.Load() > n/2 {
			ended.Do(func() {
				<-back
				if end == nil {
					cancel(want)
				} else {
					end()
				}
			})
		}
		return nil
	}
	if _, err := Run(ctx, s, svc); !errors.Is(err, want) {
		b.t.Fatalf("got %v", err)
	}
	kept := b.kept(s.Definition)
	if kept == 0 {
		b.t.Error("nothing is kept")
	}
	b.fault, b.broken = nil, false
	b.run(s)
	if again := b.seen.Load(); again != n-kept {
		b.t.Errorf("%d rows are kept and %d reached the plugin again", kept, again)
	}
	if rows := b.kept(s.Definition); rows != n {
		b.t.Errorf("in the end %d rows are kept: parts are left over", rows)
	}
}

func TestAnswersBeforeACrashAreKept(t *testing.T) {
	b := newBench(t)
	b.breakOff(9, errCrash, func() { b.broken = true })
}

func TestACanceledStageKeepsFinishedResults(t *testing.T) {
	newBench(t).breakOff(12, errors.New("too late"), nil)
}

func TestAStopKeepsFinishedResults(t *testing.T) {
	b := newBench(t)
	rows := texts(10, 100_000)
	s := upper(b.dataset(rows))
	var once sync.Once
	b.fault = func(string) *pluginv1.RowError {
		if b.seen.Load() > 40_000 {
			once.Do(func() { close(b.stop) })
		}
		return nil
	}
	_, err := Run(t.Context(), s, b.services())
	if !errors.Is(err, ErrStopped) {
		t.Fatalf("got %v", err)
	}
	before := b.seen.Load()
	b.fault, b.stop = nil, make(chan struct{})
	r := b.run(s)
	b.wantUpper(r.Manifest, rows)
	if n := b.seen.Load(); n != 100_000-before {
		t.Errorf("%d rows reached the plugin before the stop and %d after it", before, n)
	}
}

func TestAnInputWithOtherColumnsDoesNotDisturb(t *testing.T) {
	b := newBench(t)
	s := upper(b.dataset(texts(13, 500)))
	s.Reads = []string{"id", "text"} // all, at first
	b.run(s)
	s.Reads = []string{"text"}
	if r := b.run(s); r.New != 500 {
		t.Errorf("%d rows are new", r.New)
	}
}

func TestComputedColumnsNeedNoPlugin(t *testing.T) {
	b := newBench(t)
	rows := []string{"a", "b", "c"}
	s := upper(b.dataset(rows))
	both := &expr.Compiled{Text: `"${row.text}-${row.id}"`, Type: value.Type{Type: cty.String}, ColumnType: "string", Columns: []string{"id", "text"}}
	s.Reads = []string{"id", "text"}
	s.Arguments = []Argument{{Key: "columns.both", Expr: both}, {Key: "columns.text", Expr: column("text")}}
	s.Output = []Column{
		{Column: data.Column{Name: "both", Type: "string"}, Argument: "columns.both"},
		{Column: data.Column{Name: "bare", Type: "string"}, Argument: "columns.text"},
	}
	r := b.run(s)
	if got := b.read(r.Manifest, "both"); !slices.Equal(got, []string{"a-0", "b-1", "c-2"}) {
		t.Errorf("both is %v", got)
	}
	if got := b.read(r.Manifest, "bare"); !slices.Equal(got, rows) {
		t.Errorf("bare is %v", got)
	}
	if b.calls.Load() != 0 {
		t.Error("the plugin was called")
	}
}

// number is an expression that fails for texts which are no numbers.
func number() *expr.Compiled {
	return &expr.Compiled{Text: `"n${tonumber(row.text)}"`, Type: value.Type{Type: cty.String}, ColumnType: "string", Columns: []string{"text"}}
}

func TestRowsWhoseExpressionFailsDoNotReachThePlugin(t *testing.T) {
	b := newBench(t)
	rows := make([]string, 2000)
	for i := range rows {
		rows[i] = fmt.Sprint(i)
	}
	rows[3], rows[5], rows[1500], rows[1501] = "three", "three", "three", "7"
	s := upper(b.dataset(rows))
	s.Arguments[0].Expr, s.MaxErrors, s.BatchRows = number(), 3, 8
	r := b.run(s)
	if n := b.seen.Load(); n != 1996 || r.New != 1996 || r.Reused != 1 || r.Failed != 3 {
		t.Errorf("%d rows reached the plugin, %d are new, %d reused, %d failed", n, r.New, r.Reused, r.Failed)
	}
	var failed []int64
	for _, f := range r.Failures {
		failed = append(failed, f.Row)
	}
	if !slices.Equal(failed, []int64{3, 5, 1500}) {
		t.Errorf("rows %v failed", failed)
	}
	got := b.read(r.Manifest, "made")
	for i, text := range rows {
		want := "N" + text
		if text == "three" {
			want = "<null>"
		}
		if got[i] != want {
			t.Fatalf("row %d is %q, not %q", i, got[i], want)
		}
	}
}

func TestExpressionsOfKnownRowsAreNotEvaluated(t *testing.T) {
	b := newBench(t)
	rows := texts(1, 3000)
	b.run(upper(b.dataset(rows)))
	s := upper(b.dataset(slices.Insert(slices.Clone(rows), 1700, "12")))
	s.Arguments[0].Expr = number() // which fails for all the others
	r := b.run(s)
	if n := b.seen.Load(); n != 1 || r.New != 1 || r.Reused != 3000 || r.Failed != 0 {
		t.Errorf("%d rows reached the plugin, %d are new, %d reused, %d failed", n, r.New, r.Reused, r.Failed)
	}
}

func TestAsManyRowsAreInFlightAsRequested(t *testing.T) {
	const all, most = 3000, 256
	b := newBench(t)
	s := upper(b.dataset(texts(1, all)))
	s.BatchRows, s.OpenRows = 8, most
	call := &reluctant{all: all, most: most}
	call.changed.L = &call.mu
	services := b.services()
	services.Map = func(ctx context.Context) (pluginv1.PluginService_MapClient, error) {
		call.fake = newFake(ctx, b.apply)
		call.answers = make(chan *pluginv1.MapResponse, all)
		return call, nil
	}
	if _, err := Run(t.Context(), s, services); err != nil {
		t.Fatal(err)
	}
	if call.peak != most {
		t.Errorf("%d rows were under way, not %d", call.peak, most)
	}
}

// reluctant is a Map call that answers only when as many rows as can be are
// under way.
type reluctant struct {
	*fake
	all, most int64

	mu                   sync.Mutex
	changed              sync.Cond
	sent, answered, peak int64
}

func (r *reluctant) Send(req *pluginv1.MapRequest) error {
	if rows := req.GetRows(); rows != nil {
		rec, err := data.DecodeBatch(rows)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.sent += rec.NumRows()
		r.peak = max(r.peak, r.sent-r.answered)
		r.changed.Signal()
		r.mu.Unlock()
	}
	return r.fake.Send(req)
}

func (r *reluctant) Recv() (*pluginv1.MapResponse, error) {
	r.mu.Lock()
	for r.sent < r.all && r.sent-r.answered < r.most {
		r.changed.Wait()
	}
	r.mu.Unlock()
	resp, err := r.fake.Recv()
	if err != nil {
		return nil, err
	}
	rec, err := data.DecodeBatch(resp.GetRows())
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.answered += rec.NumRows()
	r.mu.Unlock()
	return resp, nil
}

func TestDamagedResultsAreRecomputed(t *testing.T) {
	b := newBench(t)
	rows := texts(11, 3000)
	s := upper(b.dataset(rows))
	r := b.run(s)
	c, _ := r.Manifest.Shards[0].Column("made")
	if err := b.blobs.Remove(r.Manifest.Shards[0].Groups[c.Group].Blob); err != nil {
		t.Fatal(err)
	}
	r = b.run(s)
	b.wantUpper(r.Manifest, rows)
	if r.New != 3000 {
		t.Errorf("%d rows are new", r.New)
	}
}

func TestAPluginThatAnswersWronglyIsReported(t *testing.T) {
	b := newBench(t)
	s := upper(b.dataset([]string{"a", "b"}))
	svc := b.services()
	for name, apply := range map[string]func(arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error){
		"declared": func(rec arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error) {
			c := array.NewInt64Builder(memory.DefaultAllocator)
			c.AppendValues([]int64{1, 2}, nil)
			return array.NewRecordBatch(data.Schema{{Name: "made", Type: "int64"}}.Arrow(), []arrow.Array{c.NewArray()}, 2), nil, nil
		},
		"answered 1 rows, but the batch has 2": func(rec arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error) {
			return b.apply(rec.NewSlice(0, 1))
		},
		"row 7 of 2": func(rec arrow.RecordBatch) (arrow.RecordBatch, []*pluginv1.RowError, error) {
			out, _, err := b.apply(rec)
			return out, []*pluginv1.RowError{{Row: 7}}, err
		},
	} {
		svc.Map = func(ctx context.Context) (pluginv1.PluginService_MapClient, error) { return newFake(ctx, apply), nil }
		_, err := Run(t.Context(), s, svc)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error about %q, got %v", name, err)
		}
	}
}

func TestCoverageAndCountsDescribeLabels(t *testing.T) {
	b := newBench(t)
	rows := []string{"a", "b", "a", "c"}
	s := upper(b.dataset(rows))
	s.MaxErrors = 1
	b.fault = func(text string) *pluginv1.RowError {
		if text == "c" {
			return &pluginv1.RowError{Message: "no"}
		}
		return nil
	}
	m := b.run(s).Manifest
	if got := Coverage(m, []string{"made"}); got["made"] != 0.75 {
		t.Errorf("coverage is %v", got)
	}
	counts, err := Counts(t.Context(), b.blobs, m, []string{"made"})
	if err != nil || counts["made"]["A"] != 2 || counts["made"]["B"] != 1 || len(counts["made"]) != 2 {
		t.Errorf("counts are %v, %v", counts, err)
	}
}
