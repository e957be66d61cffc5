package memo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/memo"
)

var (
	definition = blob.Sum([]byte("definition"))
	texts      = data.Schema{{Name: "text", Type: "string"}}
	labels     = data.Schema{{Name: "label", Type: "string"}}
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// part makes a shard of three texts, and a part that covers the rows from
// offset on.
func part(t *testing.T, s *store.Store, offset int64, results ...string) (*memo.Part, dataset.Shard) {
	t.Helper()
	w := dataset.NewWriter(s.Blobs, texts)
	if err := w.Write(context.Background(), datatest.Rows(texts, []any{"a"}, []any{"b"}, []any{"c"})); err != nil {
		t.Fatal(err)
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	g := dataset.NewGroup(s.Blobs, labels)
	for _, r := range results {
		if err := g.Write(context.Background(), datatest.Rows(labels, []any{r})); err != nil {
			t.Fatal(err)
		}
	}
	group, columns, err := g.Close()
	if err != nil {
		t.Fatal(err)
	}
	return &memo.Part{
		Definition: definition, Offset: offset, Rows: int64(len(results)), InputRows: 3,
		Inputs:  []memo.InputGroup{{Blob: m.Shards[0].Groups[0].Blob, Columns: []memo.InputColumn{{Stored: "text", Name: "text"}}}},
		Results: memo.Results{Output: &dataset.Added{Group: group, Columns: columns}},
	}, m.Shards[0]
}

func TestAShardsResultIsFoundByItsKey(t *testing.T) {
	s := open(t)
	p, shard := part(t, s, 0, "x", "y", "z")
	p.ShardKey = dataset.ShardKey(definition, shard, []string{"text"})
	if got, err := s.Memo.Lookup(definition, p.ShardKey); got != nil || err != nil {
		t.Fatal(got, err)
	}
	if err := s.Memo.Put(p); err != nil {
		t.Fatal(err)
	}
	got, err := s.Memo.Lookup(definition, p.ShardKey)
	if err != nil || got.Rows != 3 || got.Output.Group.Blob != p.Output.Group.Blob {
		t.Fatal(got, err)
	}
	if got, err := s.Memo.Lookup(blob.Sum([]byte("other")), p.ShardKey); got != nil || err != nil {
		t.Error(got, err)
	}
}

func TestPartsLeadToTheKeysOfTheirRowsAndTheirResults(t *testing.T) {
	s := open(t)
	p, _ := part(t, s, 1, "y", "z")
	if err := s.Memo.Put(p); err != nil {
		t.Fatal(err)
	}
	for p, err := range s.Memo.Parts(definition) {
		if err != nil {
			t.Fatal(err)
		}
		in, err := p.Input(s.Blobs)
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Files(s.Blobs)
		if err != nil {
			t.Fatal(err)
		}
		if got := first(t, in, "text", int(p.Offset)); got != "b" {
			t.Errorf("the part begins with the text %q", got)
		}
		if got := first(t, out[0], "label", 0); got != "y" {
			t.Errorf("the part begins with the label %q", got)
		}
	}
}

func first(t *testing.T, shard data.Shard, column string, row int) string {
	t.Helper()
	for rec, err := range data.Read(context.Background(), []data.Shard{shard}, []string{column}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		return rec.Column(0).ValueStr(row)
	}
	t.Fatal("there are no rows")
	return ""
}

func TestUnfinishedPartsComeFirstInTheirOrder(t *testing.T) {
	s := open(t)
	whole, shard := part(t, s, 0, "x", "y", "z")
	whole.ShardKey = dataset.ShardKey(definition, shard, []string{"text"})
	a, _ := part(t, s, 0, "x")
	b, _ := part(t, s, 1, "y")
	for _, p := range []*memo.Part{whole, a, b} {
		if err := s.Memo.Put(p); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for p, err := range s.Memo.Parts(definition) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.ID)
	}
	if len(ids) != 3 || ids[0] != a.ID || ids[1] != b.ID || ids[2] != whole.ID {
		t.Errorf("%q", ids)
	}
	if err := s.Memo.Drop(a); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range s.Memo.Parts(definition) {
		n++
	}
	if n != 2 {
		t.Errorf("%d parts are left of 3", n)
	}
	if ds, err := s.Memo.Definitions(); err != nil || len(ds) != 1 || ds[0] != definition {
		t.Error(ds, err)
	}
}

func TestADamagedPartIsReportedAndTheOthersAreListed(t *testing.T) {
	s := open(t)
	a, _ := part(t, s, 0, "x")
	b, _ := part(t, s, 1, "y")
	for _, p := range []*memo.Part{a, b} {
		if err := s.Memo.Put(p); err != nil {
			t.Fatal(err)
		}
	}
	hex, _ := blob.Hex(definition)
	path := filepath.Join(s.Dir, "memo", hex[:1], hex+"."+a.ID+".json")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	var failed, good int
	for p, err := range s.Memo.Parts(definition) {
		var damaged *document.Damaged
		if errors.As(err, &damaged) {
			failed++
		} else if p != nil && p.ID == b.ID {
			good++
		}
	}
	if failed != 1 || good != 1 {
		t.Errorf("%d damaged, %d good", failed, good)
	}
}

func TestInvalidPartsAreRefused(t *testing.T) {
	s := open(t)
	for what, change := range map[string]func(*memo.Part){
		"more rows than the shard":       func(p *memo.Part) { p.Offset = 2 },
		"a whole shard with rows left":   func(p *memo.Part) { p.ShardKey = definition },
		"a failed row outside":           func(p *memo.Part) { p.Failed = []memo.RowFailure{{Row: 2}} },
		"a definition that is no digest": func(p *memo.Part) { p.Definition = "d" },
	} {
		p, _ := part(t, s, 0, "x", "y")
		change(p)
		if err := s.Memo.Put(p); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
