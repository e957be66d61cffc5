package runner_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// counted counts how often each text has occurred so far. It drops the rows with a
// text that starts with Drop, and keeps a file for each shard that it has seen.
type counted struct{ w *world }

type countedArgs struct {
	Input  plugin.Dataset `quern:"input,required" doc:"Rows."`
	Text   plugin.Column  `quern:"text,required" type:"string" doc:"Text."`
	Column string         `quern:"column" doc:"The new column; empty: none."`
	Drop   string         `quern:"drop" doc:"What dropped texts start with."`
	Wrong  string         `quern:"wrong" doc:"A mistake to make."`
}

func (c *counted) Prepare(_ context.Context, p *plugin.Prepare[countedArgs]) error {
	p.KeepInput("input")
	if p.Args.Column != "" {
		p.AddColumn(p.Args.Column, "int64")
	}
	if p.Args.Drop != "" {
		p.Select("", plugin.Selection{RowsOf: "input"})
	}
	p.Notef("drops %q", p.Args.Drop)
	return nil
}

func (c *counted) Run(ctx context.Context, r *plugin.Run[countedArgs]) error {
	folder, err := r.KeepFolder()
	if err != nil {
		return err
	}
	in, kept, text := r.Dataset(r.Args.Input), r.Kept(), data.Arguments.Refs(r.Args.Text.Key)
	for _, s := range in.Shards() {
		name := strings.ReplaceAll(s.Digest(text[0]), ":", "-")
		if _, ok := kept[name]; ok {
			c.w.called("known")
			r.KeepAgain(name)
		} else if err := os.WriteFile(filepath.Join(folder, name), nil, 0o666); err != nil {
			return err
		}
	}
	if r.Args.Wrong == "keep" {
		r.KeepAgain("x")
	}
	seen := map[string]int64{}
	for rec, err := range in.Batches(ctx, text) {
		if err != nil {
			return err
		}
		if r.Args.Wrong == "short" {
			rec = rec.NewSlice(0, rec.NumRows()-1)
		}
		made, keep := count(rec.Column(0).(*array.String), seen, r.Args.Drop)
		if r.Args.Column == "" {
			made = array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, made.NumRows())
		}
		if r.Args.Drop == "" && r.Args.Wrong != "drop" {
			err = r.Write("", made)
		} else {
			err = r.WriteSelected("", made, keep)
		}
		if err != nil {
			return err
		}
		if r.Args.Wrong == "long" {
			if err := r.Write("", made); err != nil {
				return err
			}
		}
	}
	return nil
}

func count(texts *array.String, seen map[string]int64, drop string) (arrow.RecordBatch, []bool) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	keep := make([]bool, texts.Len())
	for i := range keep {
		t := strings.Clone(texts.Value(i))
		seen[t]++
		b.Append(seen[t])
		keep[i] = drop == "" || !strings.HasPrefix(t, drop)
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "nth", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, int64(len(keep))), keep
}

func newCounted(t *testing.T) *pipeline {
	t.Helper()
	w := newWorld()
	p := newPipeline(t,
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "chapters", BehaviorVersion: 1}, &chapters{w}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "counted", BehaviorVersion: 1}, &counted{w}))
	p.world = w
	return p
}

const countedStage = chaptersSource + `
transform "counted" "c" {
  input  = source.a
  text   = row.text
  column = "nth"
  drop   = "b"
}`

func (p *pipeline) dataset(address string) *dataset.Manifest {
	p.t.Helper()
	a, err := artifact.Get(p.store.Blobs, p.state.Instances[address].Outputs[""])
	if err != nil {
		p.t.Fatal(err)
	}
	return a.Dataset
}

func TestAStageOnWholeDatasetsAddsColumnsAndSharesTheFilesOfItsInput(t *testing.T) {
	p := newCounted(t)
	p.world.set("book", "a 20000", "c 9000", "a 20000", "c 30000", "d 5")
	p.mustApply(strings.Replace(countedStage, `drop   = "b"`, "", 1))
	in, out := p.dataset("source.a"), p.dataset("transform.c")
	if len(in.Shards) < 2 || out.Rows != in.Rows || strings.Join(out.Schema.Names(), " ") != "id text nth" {
		t.Fatalf("%d shards; %d of %d rows, columns %v", len(in.Shards), out.Rows, in.Rows, out.Schema.Names())
	}
	for i, s := range out.Shards {
		if s.Groups[0].Blob != in.Shards[i].Groups[0].Blob || len(s.Groups) != 2 {
			t.Errorf("shard %d does not share the file of the input", i)
		}
	}
	nth := p.column("transform.c", "", "nth")
	if nth[19999] != "20000" || nth[20000] != "1" || nth[29000] != "20001" || nth[len(nth)-1] != "5" {
		t.Errorf("the column has %s, %s, %s, …, %s", nth[19999], nth[20000], nth[29000], nth[len(nth)-1])
	}
}

func TestAShardThatLosesTheSameRowsIsNotWrittenAgain(t *testing.T) {
	for _, column := range []string{"nth", ""} {
		p := newCounted(t)
		src := strings.Replace(countedStage, `"nth"`, fmt.Sprintf("%q", column), 1)
		p.world.set("book", "a 20000", "b1 7", "c 9000", "a 20000", "b2 1", "c 30000", "b3 50000", "d 5")
		p.mustApply(src)
		in, out := p.dataset("source.a"), p.dataset("transform.c")
		if want := in.Rows - 50008; out.Rows != want {
			t.Fatalf("%d rows, want %d", out.Rows, want)
		}
		if slices.ContainsFunc(p.column("transform.c", "", "text"), func(s string) bool { return strings.HasPrefix(s, "b") }) {
			t.Error("a row that was dropped is still there")
		}
		p.world.taken("known")
		p.world.set("book", "a 20000", "b1 7", "c 9000", "a 20000", "b2 1", "c 30000", "b3 50000", "d 6", "b4 3")
		p.mustApply(src)
		now := p.dataset("transform.c")
		if now.Rows != out.Rows+1 {
			t.Errorf("%d rows, want %d", now.Rows, out.Rows+1)
		}
		if now.Shards[0].Groups[0].Blob != out.Shards[0].Groups[0].Blob {
			t.Error("the first shard was written again")
		}
		if n := p.world.taken("known"); n != len(in.Shards)-1 {
			t.Errorf("the stage found %d shards by digest, want %d", n, len(in.Shards)-1)
		}
		fresh := newCounted(t)
		fresh.world.set("book", p.world.source("book")...)
		fresh.mustApply(src)
		if p.digests("transform.c") != fresh.digests("transform.c") {
			t.Error("the result differs from that of a run from nothing")
		}
		p.mustApply(src, replace("transform.c"))
		if n := p.world.taken("known"); n != 0 {
			t.Errorf("with -replace, the stage got the files that it had kept: %d", n)
		}
		p.world.set("book", "b 3")
		p.mustApply(src)
		if m := p.dataset("transform.c"); m.Rows != 0 {
			t.Errorf("%d rows are left of none", m.Rows)
		}
		p.world.set("book")
		p.mustApply(src)
		if m := p.dataset("transform.c"); m.Rows != 0 {
			t.Errorf("an empty input gave %d rows", m.Rows)
		}
	}
}

func TestRowArgumentsOfAStageThatKeepsFilesAreKept(t *testing.T) {
	p := newCounted(t)
	src := strings.Replace(countedStage, "row.text", `"${lower(row.text)}!"`, 1)
	kept := func() (groups []string) {
		for part, err := range p.store.Memo.Parts(p.state.Instances["transform.c"].Definition) {
			if err != nil {
				t.Fatal(err)
			}
			if part.Arguments != nil {
				groups = append(groups, part.Arguments.Blob)
			}
		}
		return groups
	}
	var last []string
	for _, lines := range [][]string{{"A 20000", "C 9000", "A 20000"}, {"A 20000", "C 9000", "A 20000", "D 5"}, {"D 5"}} {
		p.world.set("book", lines...)
		p.mustApply(src)
		now := kept()
		if want := len(p.dataset("source.a").Shards); len(now) != want {
			t.Errorf("%q: the arguments of %d shards are kept, want %d", lines, len(now), want)
		}
		if len(lines) == 4 && !slices.ContainsFunc(now, func(b string) bool { return slices.Contains(last, b) }) {
			t.Errorf("%q: no argument is that of the last run", lines)
		}
		last = now
		fresh := newCounted(t)
		fresh.world.set("book", lines...)
		fresh.mustApply(src)
		if p.digests("transform.c") != fresh.digests("transform.c") {
			t.Errorf("%q: the result differs from that of a run from nothing", lines)
		}
	}
}

func TestAPluginThatMisusesAnAlignedOutputIsBlamed(t *testing.T) {
	for wrong, want := range map[string]string{
		"short": "sent fewer rows than the 60000", "long": "sent more rows than the 60000",
		"drop": "only an output of KeepInput with a Selection", "keep": `keeps the file "x" again`,
	} {
		p := newCounted(t)
		p.world.set("book", "a 60000")
		src := strings.Replace(countedStage, `drop   = "b"`, fmt.Sprintf("wrong = %q", wrong), 1)
		if got := told(p.apply(src)); !strings.Contains(got, want) {
			t.Errorf("%s: got %s", wrong, got)
		}
	}
}

func TestWhatAPluginNotesIsInThePlan(t *testing.T) {
	p := newCounted(t)
	p.world.set("book", "a 1")
	if n := p.plan(countedStage).Nodes[1]; len(n.Notes) != 1 || n.Notes[0] != `drops "b"` {
		t.Errorf("the plan has the notes %q", n.Notes)
	}
}
