package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/store/artifact"
)

// chapters is a source of parts. A part is a line, "WORD COUNT", of which COUNT
// rows are made; of "!WORD COUNT" one more is quarantined.
type chapters struct{ w *world }

type chaptersArgs struct {
	Path  string `quern:"path,required,operational" doc:"Where the lines are."`
	Upper bool   `quern:"upper" doc:"Whether rows are in upper case."`
}

func (s *chapters) Prepare(_ context.Context, p *plugin.Prepare[chaptersArgs]) error {
	columns := slices.Clone(linesSchema)
	if slices.Contains(s.w.source(p.Args.Path), "wide") {
		columns = append(columns, data.Column{Name: "more", Type: "bool"})
	}
	p.AddDataset("", columns)
	return nil
}

func (s *chapters) Fingerprint(_ context.Context, a *chaptersArgs, _ []byte) (plugin.Fingerprint, error) {
	return plugin.Fingerprint{Value: strings.Join(s.w.source(a.Path), "\n") + ".", Memo: []byte("memo")}, nil
}

func (s *chapters) Read(_ context.Context, a *chaptersArgs, w *plugin.RowWriter) error {
	if string(w.Memo()) != "memo" {
		return errors.New("there is no memo")
	}
	for _, line := range s.w.source(a.Path) {
		if err := w.Part(line, func() error { return s.part(a, line, w) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *chapters) part(a *chaptersArgs, line string, w *plugin.RowWriter) error {
	s.w.called("part")
	word, count := line, 0
	// A line without a count has no rows.
	_, _ = fmt.Sscanf(line, "%s %d", &word, &count)
	if strings.HasPrefix(word, "!") {
		if err := w.Quarantine(a.Path, line, errors.New("malformed")); err != nil {
			return err
		}
	}
	if a.Upper {
		word = strings.ToUpper(word)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())
	defer b.Release()
	for i := range count {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(word)
		if len(w.Schema()) > 2 {
			b.Field(2).(*array.BooleanBuilder).Append(true)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.Write(rec)
}

func newChapters(t *testing.T) *pipeline {
	t.Helper()
	w := newWorld()
	p := newPipeline(t, plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "chapters", BehaviorVersion: 1}, &chapters{w}))
	p.world = w
	return p
}

// digests are those of a source's outputs, with what of a dataset counts.
func (p *pipeline) digests(address string) string {
	p.t.Helper()
	var out []string
	for port, ref := range p.state.Instances[address].Outputs {
		a, err := artifact.Get(p.store.Blobs, ref)
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, fmt.Sprint(port, ref.Digest, a.Dataset.Rows, a.Dataset.Columns))
		for _, s := range a.Dataset.Shards {
			for _, c := range s.Columns {
				out = append(out, fmt.Sprint(port, s.Rows, c.Name, c.Digest, c.Nulls))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

const chaptersSource = `source "chapters" "a" { path = "book" }`

func TestOnlyPartsOfASourceThatChangedAreReadAgain(t *testing.T) {
	p := newChapters(t)
	for _, step := range []struct {
		lines []string
		read  int // parts
		what  string
	}{
		{[]string{"a 3", "b 2", "c 0", "d 1"}, 4, "at first"},
		{[]string{"a 3", "x 5", "c 0", "d 1"}, 1, "one changed"},
		{[]string{"d 1", "a 3", "x 5", "a 3", "a 3"}, 0, "moved, removed, and copied"},
		{[]string{"!q 2", "a 3", "a 3"}, 1, "with a row set aside"},
		{[]string{"!q 2", "a 3", "b 3"}, 2, "a part with rows set aside is read again"},
		{[]string{"a 3", "b 3", "wide"}, 3, "with other columns"},
		{[]string{"a 3"}, 1, "without them"},
		{[]string{"a 3", "b 3"}, 1, "from one part to two"},
		{[]string{"b 3"}, 0, "from two parts to one"},
		{[]string{"x 20000"}, 1, "another part alone"},
		{[]string{"a 4", "x 20000"}, 1, "one before it"},
		{[]string{"!q 2"}, 1, "a part alone, with a row set aside"},
		{[]string{"!q 2", "a 5"}, 2, "which is read again"},
		{nil, 0, "nothing"},
		{[]string{"a 3", "b 3"}, 0, "again as it was: the store has it"},
	} {
		p.world.set("book", step.lines...)
		p.mustApply(chaptersSource)
		if n := p.world.taken("part"); n != step.read {
			t.Errorf("%s: %d parts were read, want %d", step.what, n, step.read)
		}
		fresh := newChapters(t)
		fresh.world.set("book", step.lines...)
		fresh.mustApply(chaptersSource)
		if got, want := p.digests("source.a"), fresh.digests("source.a"); got != want {
			t.Errorf("%s: reading what changed gave\n%s\nand reading all\n%s", step.what, got, want)
		}
	}
	p.world.set("book", "a 3", "b 4")
	p.mustApply(`source "chapters" "a" {
		path  = "book"
		upper = true
	}`)
	if n := p.world.taken("part"); n != 2 {
		t.Errorf("with another argument %d parts were read, want 2", n)
	}
	p.mustApply(`source "chapters" "a" {
		path  = "book"
		upper = true
	}`, replace("source.a"))
	if n := p.world.taken("part"); n != 2 {
		t.Errorf("with -replace %d parts were read, want 2", n)
	}
}

func TestHuntReadingPartsGivesWhatReadingAllGives(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newChapters(t)
	var lines []string
	for round := range reference.Rounds(12, 60) {
		for range 1 + r.IntN(5) {
			line := fmt.Sprintf("%c%d %d", 'a'+rune(r.IntN(26)), r.IntN(100), []int{0, 1, 10, 3000, 20000}[r.IntN(5)])
			switch at := r.IntN(len(lines) + 1); r.IntN(4) {
			case 0:
				lines = slices.Insert(slices.Clone(lines), at, line)
			case 1:
				if at < len(lines) {
					lines = slices.Delete(slices.Clone(lines), at, at+1)
				}
			case 2:
				if at < len(lines) {
					lines = append([]string{lines[at]}, lines...)
				}
			default:
				lines = append(slices.Clone(lines), line)
			}
		}
		p.world.set("book", lines...)
		p.mustApply(chaptersSource)
		fresh := newChapters(t)
		fresh.world.set("book", lines...)
		fresh.mustApply(chaptersSource)
		if p.digests("source.a") != fresh.digests("source.a") {
			t.Fatalf("round %d: the rows differ for %q", round, lines)
		}
	}
}

// TestADamagedShardIsReadAgain damages a shard of which a new reading takes a part of
// the rows, and one that it shares.
func TestADamagedShardIsReadAgain(t *testing.T) {
	lines := []string{"a 20000", "b 20000", "c 20000", "d 20000", "e 20000"}
	for _, last := range []bool{false, true} {
		p := newChapters(t)
		p.world.set("book", lines...)
		p.mustApply(chaptersSource)
		p.world.taken("part")
		shards := p.dataset("source.a").Shards
		damaged := shards[0].Groups[0].Blob
		want := 1 // that shard is shared, and nobody reads it
		if last {
			damaged, want = shards[len(shards)-1].Groups[0].Blob, 1+6 // the new one, and then all
		}
		path, err := p.store.Blobs.Local(damaged)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("damaged"), 0o444)); err != nil {
			t.Fatal(err)
		}
		p.world.set("book", append(slices.Clone(lines), "f 10")...)
		p.mustApply(chaptersSource)
		if n := p.world.taken("part"); n != want {
			t.Errorf("last shard %v: %d parts were read, want %d", last, n, want)
		}
	}
}
