package rowwise

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/dataset"
)

// words is the stage that makes a row of each word of a text.
func words(m *dataset.Manifest) Stage {
	return Stage{
		Definition: definition(9), Input: m, Reads: []string{"text"}, ShardReads: []string{"id", "text"}, Expands: true,
		Arguments: []Argument{{Key: "text", Expr: column("text")}},
		Output: []Column{
			{Column: data.Column{Name: "id", Type: "int64"}, Input: "id"},
			{Column: data.Column{Name: "word", Type: "string"}},
			{Column: data.Column{Name: "text", Type: "string"}, Argument: "text"},
		},
		Start: &pluginv1.Instance{},
	}
}

// splits makes the bench's plugin split texts into words, with some rows a
// response.
func (b *bench) splits(rows int) {
	b.respond = func(rec arrow.RecordBatch) ([]*pluginv1.MapResponse, error) {
		if b.broken {
			return nil, errCrash
		}
		text := rec.Column(rec.Schema().FieldIndices("text")[0]).(*array.String)
		var out []*pluginv1.MapResponse
		for from := 0; from < text.Len(); from += rows {
			a, err := b.split(text, from, min(from+rows, text.Len()))
			if err != nil {
				return nil, err
			}
			a.More = from+rows < text.Len()
			out = append(out, a)
		}
		return out, nil
	}
}

func (b *bench) split(text *array.String, from, to int) (*pluginv1.MapResponse, error) {
	made := array.NewStringBuilder(memory.DefaultAllocator)
	a := &pluginv1.MapResponse{}
	for i := from; i < to; i++ {
		b.seen.Add(1)
		fields := strings.Fields(text.Value(i))
		for _, f := range fields {
			made.Append(f)
		}
		a.Counts = append(a.Counts, int64(len(fields)))
		if b.fault != nil {
			if f := b.fault(text.Value(i)); f != nil {
				f.Row = int64(i - from)
				a.Errors = append(a.Errors, f)
			}
		}
	}
	words := made.NewArray()
	rec := array.NewRecordBatch(data.Schema{{Name: "word", Type: "string"}}.Arrow(), []arrow.Array{words}, int64(words.Len()))
	var err error
	a.Rows, err = data.EncodeBatch(rec)
	return a, err
}

// wantWords checks the rows of a result, with the columns that are repeated.
func (b *bench) wantWords(m *dataset.Manifest, texts []string) {
	b.t.Helper()
	var want, of []string
	for _, t := range texts {
		for _, w := range strings.Fields(t) {
			want, of = append(want, w), append(of, t)
		}
	}
	if err := m.Check(); err != nil {
		b.t.Fatal(err)
	}
	if got := b.read(m, "word"); !slices.Equal(got, want) || m.Rows != int64(len(want)) {
		b.t.Fatalf("%d words came out, %d are wanted, or other ones", len(got), len(want))
	}
	if got := b.read(m, "text"); !slices.Equal(got, of) {
		b.t.Fatal("texts are repeated on other rows than their words")
	}
}

// sentences are texts of up to four words.
func sentences(seed uint64, n int) []string {
	rng := rand.New(rand.NewPCG(seed, 4))
	out := make([]string, n)
	for i := range out {
		var w []string
		for range rng.IntN(5) {
			w = append(w, fmt.Sprint("w", rng.Uint64()))
		}
		out[i] = strings.Join(append(w, ""), " ")
	}
	return out
}

func TestOnlyChangedRowsAreExpandedAgain(t *testing.T) {
	for _, pieces := range []int{1 << 20, 7} {
		b := newBench(t)
		b.splits(pieces)
		rows := sentences(1, 60_000)
		first := b.run(words(b.dataset(rows)))
		b.wantWords(first.Manifest, rows)
		if first.New+first.Reused != 60_000 || first.New != b.seen.Load() {
			t.Errorf("%d rows are new, %d reused, %d reached the plugin", first.New, first.Reused, b.seen.Load())
		}
		again := b.run(words(b.dataset(rows)))
		if b.calls.Load() != 0 || again.Manifest.Digest() != first.Manifest.Digest() {
			t.Errorf("a second run called the plugin %d times", b.calls.Load())
		}
		// One row more, one row other, one row less.
		rows = slices.Insert(slices.Clone(rows), 30_000, "an inserted row")
		rows[10] = "a changed row"
		rows = slices.Delete(rows, 50_000, 50_001)
		r := b.run(words(b.dataset(rows)))
		b.wantWords(r.Manifest, rows)
		if b.seen.Load() != 2 || r.New != 2 || r.Reused != 59_998 {
			t.Errorf("%d rows reached the plugin, %d are new, %d reused", b.seen.Load(), r.New, r.Reused)
		}
	}
}

func TestResultsFromExpandedRowsAreReused(t *testing.T) {
	b := newBench(t)
	b.splits(1 << 20)
	rows := sentences(2, 40_000)
	expanded := b.run(words(b.dataset(rows))).Manifest
	down := func(m *dataset.Manifest) *Result {
		b.respond = nil
		s := upper(m)
		s.Reads, s.Arguments[0].Expr = []string{"word"}, column("word")
		s.Output = []Column{{Column: data.Column{Name: "made", Type: "string"}}}
		defer b.splits(1 << 20)
		return b.run(s)
	}
	down(expanded)
	rows = slices.Insert(rows, 20_000, "three inserted words")
	if r := down(b.run(words(b.dataset(rows))).Manifest); r.New != 3 {
		t.Errorf("%d rows downstream are new", r.New)
	}
}

func TestARepeatedColumnCanChangeWithoutThePlugin(t *testing.T) {
	b := newBench(t)
	b.splits(1 << 20)
	rows := sentences(3, 5000)
	b.run(words(b.dataset(rows)))
	r := b.run(words(b.dataset(rows[1:]))) // every id is another
	b.wantWords(r.Manifest, rows[1:])
	if b.calls.Load() != 0 {
		t.Errorf("%d rows reached the plugin", b.seen.Load())
	}
	fresh := newBench(t)
	fresh.splits(1 << 20)
	if want := fresh.run(words(fresh.dataset(rows[1:]))).Manifest; r.Manifest.Digest() != want.Digest() {
		t.Error("the repeated column has values of the former run")
	}
}

func TestRowsThatFailGiveNoRowsAndAreTriedAgain(t *testing.T) {
	b := newBench(t)
	b.splits(100)
	rows := sentences(4, 3000)
	rows[1234] = "a bad row"
	rows[2345] = "a bad row"
	b.fault = func(text string) *pluginv1.RowError {
		if strings.Contains(text, "bad") {
			return &pluginv1.RowError{Message: "bad"}
		}
		return nil
	}
	s := words(b.dataset(rows))
	s.MaxErrors = 2
	r := b.run(s)
	without := slices.Clone(rows)
	without[1234], without[2345] = "", ""
	b.wantWords(r.Manifest, without)
	if r.Failed != 2 || r.Failures[0].Row != 1234 || r.Failures[1].Row != 2345 {
		t.Errorf("%d rows failed: %v", r.Failed, r.Failures)
	}
	b.fault = nil
	r = b.run(s)
	b.wantWords(r.Manifest, rows)
	if b.seen.Load() != 1 || r.Failed != 0 {
		t.Errorf("%d rows reached the plugin, %d failed", b.seen.Load(), r.Failed)
	}
}

func TestARowWithATemporaryFailureIsExpandedAfterAPause(t *testing.T) {
	b := newBench(t)
	b.splits(3)
	rows := sentences(5, 50)
	tried := 0
	b.fault = func(text string) *pluginv1.RowError {
		if text != rows[20] {
			return nil
		}
		if tried++; tried > 1 {
			return nil
		}
		return &pluginv1.RowError{Message: "later", Temporary: true}
	}
	r := b.run(words(b.dataset(rows)))
	b.wantWords(r.Manifest, rows)
	if tried != 2 || r.Failed != 0 {
		t.Errorf("it was tried %d times, and %d rows failed", tried, r.Failed)
	}
}

func TestExpandedRowsBeforeAStopAreKept(t *testing.T) {
	b := newBench(t)
	b.splits(1 << 20)
	rows := sentences(6, 80_000)
	for i := range rows {
		rows[i] += fmt.Sprint("of row ", i)
	}
	m := b.dataset(rows)
	var once sync.Once
	var stopped time.Time
	b.fault = func(string) *pluginv1.RowError {
		if b.seen.Load() > 20_000 {
			once.Do(func() {
				stopped = time.Now()
				close(b.stop)
			})
		}
		return nil
	}
	if _, err := Run(t.Context(), words(m), b.services()); !errors.Is(err, ErrStopped) {
		t.Fatalf("got %v", err)
	}
	if time.Since(stopped) >= stopGrace {
		t.Skip("the answers under way took longer than a stopped stage waits for them")
	}
	before := b.seen.Load()
	b.fault, b.stop = nil, make(chan struct{})
	r := b.run(words(m))
	b.wantWords(r.Manifest, rows)
	if n := b.seen.Load(); n != 80_000-before {
		t.Errorf("%d rows were expanded before the stop and %d after it", before, n)
	}
}

func TestExpandedRowsBeforeACrashAreReused(t *testing.T) {
	b := newBench(t)
	b.splits(1 << 20)
	rows := sentences(6, 80_000)
	m := b.dataset(rows)
	answered, respond := 0, b.respond
	b.respond = func(rec arrow.RecordBatch) ([]*pluginv1.MapResponse, error) {
		if answered++; answered > 8 {
			return nil, errCrash
		}
		return respond(rec)
	}
	if _, err := Run(t.Context(), words(m), b.services()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	b.splits(1 << 20)
	r := b.run(words(m))
	b.wantWords(r.Manifest, rows)
	if r.New+1000 > 64_039 { // so many are distinct
		t.Errorf("%d rows are new after the crash", r.New)
	}
}

func TestOneRowCanGiveManyRows(t *testing.T) {
	b := newBench(t)
	b.splits(1 << 20)
	long := make([]string, 300_000)
	for i := range long {
		long[i] = fmt.Sprint("word", i)
	}
	rows := []string{"a b", strings.Join(long, " "), "", "c"}
	s := words(b.dataset(rows))
	s.Output = s.Output[:2] // the text is not repeated
	r := b.run(s)
	if got := b.read(r.Manifest, "word"); len(got) != 300_003 || got[2] != "word0" || got[300_002] != "c" {
		t.Fatalf("%d words came out", len(got))
	}
	if len(r.Manifest.Shards) < 2 {
		t.Fatal("the test needs several shards")
	}
	// The row is found again, though what came of it is in several files.
	s.Input = b.dataset(append([]string{"new"}, rows...))
	again := b.run(s)
	if got := b.read(again.Manifest, "word"); b.seen.Load() != 1 || len(got) != 300_004 || got[3] != "word0" || got[300_002] != "word299999" {
		t.Errorf("%d rows reached the plugin, %d words came out", b.seen.Load(), len(got))
	}
}

func TestRowsThatAllGiveNothingLeaveAnEmptyDataset(t *testing.T) {
	b := newBench(t)
	b.splits(1 << 20)
	rows := make([]string, 100)
	r := b.run(words(b.dataset(rows)))
	b.wantWords(r.Manifest, rows)
	if r := b.run(words(b.dataset(rows))); b.calls.Load() != 0 || r.Manifest.Rows != 0 || r.Reused != 100 {
		t.Errorf("%d rows are reused, and the plugin was called %d times", r.Reused, b.calls.Load())
	}
}

func TestInvalidCountsAreThePluginsFault(t *testing.T) {
	for name, wrong := range map[string]func(*pluginv1.MapResponse){
		"too many":    func(a *pluginv1.MapResponse) { a.Counts[0]++ },
		"too few":     func(a *pluginv1.MapResponse) { a.Counts[1]-- },
		"negative":    func(a *pluginv1.MapResponse) { a.Counts[0], a.Counts[1] = -1, a.Counts[1]+1 },
		"other rows":  func(a *pluginv1.MapResponse) { a.Counts = append(a.Counts, 0) },
		"no counts":   func(a *pluginv1.MapResponse) { a.Counts = nil },
		"far failure": func(a *pluginv1.MapResponse) { a.Errors = []*pluginv1.RowError{{Row: 2}} },
	} {
		b := newBench(t)
		b.splits(1 << 20)
		respond := b.respond
		b.respond = func(rec arrow.RecordBatch) ([]*pluginv1.MapResponse, error) {
			out, err := respond(rec)
			wrong(out[0])
			return out, err
		}
		_, err := Run(t.Context(), words(b.dataset([]string{"a b", "c"})), b.services())
		var faulty *Faulty
		if err == nil || !errors.As(err, &faulty) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// However rows come and go, the result is that of a run that knows nothing, and
// each row reaches the plugin once.
func TestExpansionsAgreeWithThoseOfAnEmptyStore(t *testing.T) {
	b := newBench(t)
	b.splits(50)
	rng := rand.New(rand.NewPCG(7, 7))
	rows := sentences(8, 12_000)
	known := map[string]bool{}
	for round := range 6 {
		fresh := map[string]bool{}
		for _, r := range rows {
			if !known[r] {
				fresh[r], known[r] = true, true
			}
		}
		r := b.run(words(b.dataset(rows)))
		b.wantWords(r.Manifest, rows)
		if n := b.seen.Load(); n != int64(len(fresh)) {
			t.Errorf("round %d: %d rows reached the plugin, %d are new", round, n, len(fresh))
		}
		for range 20 {
			at := rng.IntN(len(rows))
			switch rng.IntN(4) {
			case 0:
				rows = slices.Delete(rows, at, min(at+rng.IntN(50), len(rows)))
			case 1:
				rows = slices.Insert(rows, at, sentences(rng.Uint64(), rng.IntN(50))...)
			case 2:
				rows[at] = sentences(rng.Uint64(), 1)[0]
			case 3:
				rows[at] = rows[rng.IntN(len(rows))]
			}
		}
	}
}
