package action_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
)

func open(root string) *action.Store {
	return action.New(context.Background(), backend.NewLocal(root, disk.NewSyncer()))
}

func newStore(t testing.TB) (*action.Store, string) {
	root := t.TempDir()
	return open(root), filepath.Join(root, "actions")
}

func entry(key, address string) *action.Entry {
	return &action.Entry{
		Key: blob.Sum([]byte(key)), Definition: blob.Sum([]byte("definition")), Address: address,
		Preimage: action.NewPreimage([]action.Field{{Name: "argument query", Value: "select 1"}}),
		Outputs:  map[string]artifact.Ref{"": {Kind: "dataset", Manifest: blob.Sum(nil), Digest: blob.Sum(nil)}},
		Value:    value.Store(cty.ObjectVal(map[string]cty.Value{"rows": cty.NumberIntVal(3)})), Created: time.Now().UTC(), Seconds: 1.5,
	}
}

func only(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	return paths[0]
}

func TestAnEntryIsFoundByItsKey(t *testing.T) {
	s, _ := newStore(t)
	e := entry("k", "label.a")
	if got, err := s.Get(e.Key); got != nil || err != nil {
		t.Fatal(got, err)
	}
	if winner, err := s.Put(e); winner != e || err != nil {
		t.Fatal(winner, err)
	}
	got, err := s.Get(e.Key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := got.Value.Get()
	if want, _ := e.Value.Get(); err != nil || got.Address != "label.a" || !v.RawEquals(want) || got.Outputs[""] != e.Outputs[""] {
		t.Fatal(got, err)
	}
	if err := s.Remove(e.Key); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(e.Key); got != nil || err != nil {
		t.Fatal(got, err)
	}
}

func TestTheFirstCommitWins(t *testing.T) {
	s, dir := newStore(t)
	other := open(filepath.Dir(dir))
	var wg sync.WaitGroup
	var won atomic.Int32
	winners := make([]string, 16)
	for i := range winners {
		wg.Go(func() {
			at := []*action.Store{s, other}[i%2]
			mine := entry("k", fmt.Sprint("label.", i))
			winner, err := at.Put(mine)
			if err != nil {
				t.Error(err)
				return
			}
			if winner == mine {
				won.Add(1)
			}
			winners[i] = winner.Address
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have won", won.Load())
	}
	for _, w := range winners {
		if w != winners[0] {
			t.Errorf("winners are %q", winners)
			break
		}
	}
	if err := s.Replace(entry("k", "label.new")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(blob.Sum([]byte("k"))); err != nil || got.Address != "label.new" {
		t.Error(got, err)
	}
}

func TestADamagedEntryIsSetAsideAndRecomputed(t *testing.T) {
	s, dir := newStore(t)
	if _, err := s.Put(entry("k", "label.a")); err != nil {
		t.Fatal(err)
	}
	path := only(t, dir)
	damage := func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	damage()
	var damaged *document.Damaged
	if got, err := s.Get(blob.Sum([]byte("k"))); got != nil || !errors.As(err, &damaged) || damaged.Aside == "" {
		t.Fatal(got, err)
	}
	if got, err := s.Get(blob.Sum([]byte("k"))); got != nil || err != nil {
		t.Fatal(got, err)
	}
	if _, err := s.Put(entry("k", "label.b")); err != nil {
		t.Fatal(err)
	}
	damage()
	e := entry("k", "label.c")
	if winner, err := s.Put(e); winner != e || err != nil {
		t.Error(winner, err)
	}
}

func TestAnEntryUnderAnotherKeyCountsAsDamaged(t *testing.T) {
	s, dir := newStore(t)
	if _, err := s.Put(entry("k", "label.a")); err != nil {
		t.Fatal(err)
	}
	from := only(t, dir)
	hex, _ := blob.Hex(blob.Sum([]byte("other")))
	to := filepath.Join(dir, hex+".json")
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	var damaged *document.Damaged
	if _, err := s.Get(blob.Sum([]byte("other"))); !errors.As(err, &damaged) {
		t.Error(err)
	}
}

func TestAllEntriesAreListed(t *testing.T) {
	s, _ := newStore(t)
	for i := range 20 {
		if _, err := s.Put(entry(fmt.Sprint(i), "label.a")); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for e, err := range s.All() {
		if err != nil || e == nil {
			t.Error(e, err)
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d entries", n)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	e := entry("k", "label.a")
	e.Format = action.Format
	text, err := document.Encode(e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text[len("{\n  \"checksum\": \"sha256:")+64+2:])
	f.Fuzz(func(t *testing.T, rest []byte) {
		e, err := action.Decode("entry", document.Seal(rest))
		if err != nil {
			return
		}
		again, err := document.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := action.Decode("entry", again); err != nil {
			t.Fatalf("an entry does not survive its encoding: %v", err)
		}
	})
}
