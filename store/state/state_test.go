package state_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/state"
)

func open(root string) *state.Store {
	return state.New(context.Background(), backend.NewLocal(root, disk.NewSyncer()))
}

func newStore(t testing.TB) (*state.Store, string) {
	root := t.TempDir()
	return open(root), filepath.Join(root, "envs")
}

func load(t testing.TB, s *state.Store, env string) *state.State {
	t.Helper()
	st, err := s.Load(env)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func save(t testing.TB, s *state.Store, st *state.State) {
	t.Helper()
	if err := s.Save(st); err != nil {
		t.Fatal(err)
	}
}

func TestAStateSurvives(t *testing.T) {
	s, dir := newStore(t)
	st := load(t, s, "dev")
	if st.Serial != 0 || st.Lineage == "" {
		t.Fatalf("a fresh state has serial %d, lineage %q", st.Serial, st.Lineage)
	}
	v := value.Value{Value: cty.ObjectVal(map[string]cty.Value{"rows": cty.NumberIntVal(7), "names": cty.ListVal([]cty.Value{cty.StringVal("a")})})}
	st.Instances["label.a"] = &state.Instance{Address: "label.a", Kind: "label", Value: value.Store(v.Value), Memo: []byte{0, 1}, Updated: time.Now().UTC(),
		Deployment: &state.Deployment{Value: &v, Private: []byte("notes"), Digests: map[string]string{"artifact": "sha256:x"}}}
	save(t, s, st)
	back := load(t, s, "dev")
	i := back.Instances["label.a"]
	got, err := i.Value.Get()
	if err != nil || back.Serial != 1 || back.Lineage != st.Lineage || !got.RawEquals(v.Value) || string(i.Deployment.Private) != "notes" || string(i.Memo) != "\x00\x01" {
		t.Errorf("%+v", back)
	}
	save(t, s, back)
	if _, err := os.Stat(filepath.Join(dir, "dev", "state.json.backup")); err != nil {
		t.Error("there is no backup")
	}
	if envs, err := s.List(); err != nil || len(envs) != 1 || envs[0] != "dev" {
		t.Error(envs, err)
	}
}

func TestASensitiveOutputIsNotInTheFile(t *testing.T) {
	s, dir := newStore(t)
	st := load(t, s, "dev")
	secret := value.Value{Value: cty.StringVal("hunter2")}
	o, err := state.NewOutput(secret, true, sealed("key"))
	if err != nil {
		t.Fatal(err)
	}
	st.Outputs["token"] = o
	save(t, s, st)
	text, err := os.ReadFile(filepath.Join(dir, "dev", "state.json"))
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Fatal("the secret is in the file")
	}
	back := load(t, s, "dev").Outputs["token"]
	if !back.Is(secret, sealed("key")) || back.Is(value.Value{Value: cty.StringVal("hunter3")}, sealed("key")) {
		t.Error("it cannot be told whether the secret changed")
	}
	if back.Is(secret, sealed("another key")) {
		t.Error("the secret can be guessed without the key")
	}
}

// An output of an earlier build has a digest that needs no key.
func TestASensitiveOutputOfAnEarlierBuildIsCompared(t *testing.T) {
	sum := sha256.Sum256([]byte(`00ff"hunter2"`))
	o := &state.Output{Sensitive: true, Salt: "00ff", Digest: "sha256:" + hex.EncodeToString(sum[:])}
	if !o.Unkeyed() || !o.Is(value.Value{Value: cty.StringVal("hunter2")}, sealed("key")) || o.Is(value.Value{Value: cty.StringVal("hunter3")}, sealed("key")) {
		t.Error("it cannot be told whether the secret changed")
	}
}

// sealed makes keyed digests.
func sealed(key string) state.Seal {
	return func(text []byte) (string, error) {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(text)
		return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)), nil
	}
}

func TestOneOfTwoWritersLoses(t *testing.T) {
	s, _ := newStore(t)
	save(t, s, load(t, s, "dev"))
	a, b := load(t, s, "dev"), load(t, s, "dev")
	save(t, s, a)
	err := s.Save(b)
	var conflict *state.Conflict
	if !errors.As(err, &conflict) || conflict.Loaded != 1 || conflict.Found != 2 {
		t.Fatal(err)
	}
	if b.Serial != 1 {
		t.Error("the loser's serial was raised")
	}
}

func TestAStateOfAnotherLineageIsNotOverwritten(t *testing.T) {
	s, _ := newStore(t)
	a, b := load(t, s, "dev"), load(t, s, "dev")
	save(t, s, a)
	var conflict *state.Conflict
	if err := s.Save(b); !errors.As(err, &conflict) || !conflict.OtherLineage {
		t.Fatal(err)
	}
	if err := s.Delete(a); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(a); !errors.As(err, &conflict) {
		t.Error("a deleted environment comes back:", err)
	}
}

func TestManyWritersLoseNoChange(t *testing.T) {
	dir := t.TempDir()
	const writers, changes = 8, 10
	var wg sync.WaitGroup
	first := open(dir)
	save(t, first, load(t, first, "dev"))
	for range writers {
		wg.Go(func() {
			s := open(dir)
			for done := 0; done < changes; {
				st, err := s.Load("dev")
				if err != nil {
					t.Error(err)
					return
				}
				err = s.Save(st)
				var conflict *state.Conflict
				switch {
				case err == nil:
					done++
				case !errors.As(err, &conflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if st := load(t, first, "dev"); st.Serial != 1+writers*changes {
		t.Errorf("%d saves left serial %d", 1+writers*changes, st.Serial)
	}
}

func TestADamagedStateIsReportedWithAFix(t *testing.T) {
	s, dir := newStore(t)
	st := load(t, s, "dev")
	save(t, s, st)
	save(t, s, st)
	path := filepath.Join(dir, "dev", "state.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[rand.IntN(len(text))] ^= 1
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	var damaged *state.Damaged
	if _, err := s.Load("dev"); !errors.As(err, &damaged) || damaged.Backup == "" {
		t.Fatal(err)
	}
	if summary, detail := damaged.Diagnostic(); summary != `the state of environment "dev" cannot be read` || !strings.Contains(detail, damaged.Backup) {
		t.Errorf("summary %q, detail %q", summary, detail)
	}
	if err := s.Save(st); err == nil {
		t.Error("a damaged state is overwritten")
	}
	backup, err := os.ReadFile(damaged.Backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, backup, 0o644); err != nil {
		t.Fatal(err)
	}
	if st := load(t, s, "dev"); st.Serial != 1 {
		t.Errorf("the backup has serial %d", st.Serial)
	}
}

func TestASaveThatFailsHalfwayLeavesTheFormerState(t *testing.T) {
	s, dir := newStore(t)
	st := load(t, s, "dev")
	save(t, s, st)
	// A folder in the place where the backup is prepared stops the save.
	if err := os.MkdirAll(filepath.Join(dir, "dev", ".tmp-state.json.backup", "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(st); err == nil {
		t.Fatal("the save went through")
	}
	if st.Serial != 1 || load(t, s, "dev").Serial != 1 {
		t.Error("the serial was raised")
	}
}

func TestNamesOfEnvironmentsAreChecked(t *testing.T) {
	for _, env := range []string{"a", "0", "Prod_1.x-y", strings.Repeat("x", 64)} {
		if err := state.CheckName(env); err != nil {
			t.Error(err)
		}
	}
	for _, env := range []string{"", ".", "-a", "a/b", "ä", "a\n", strings.Repeat("x", 65)} {
		if state.CheckName(env) == nil {
			t.Errorf("%q is accepted", env)
		}
	}
}

func TestEnvironmentsAreCreatedAndDeleted(t *testing.T) {
	s, _ := newStore(t)
	st, err := s.Create("prod", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("prod", nil, nil); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if err := s.Delete(st); err != nil {
		t.Fatal(err)
	}
	if envs, err := s.List(); err != nil || len(envs) > 0 {
		t.Error(envs, err)
	}
	for _, name := range []string{"", "..", "a/b", ".hidden", strings.Repeat("x", 65)} {
		if _, err := s.Load(name); err == nil {
			t.Errorf("%q is an environment", name)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	s, dir := newStore(f)
	st := load(f, s, "dev")
	v := value.Value{Value: cty.True}
	st.Instances["label.a"] = &state.Instance{Address: "label.a", Value: value.Store(v.Value)}
	st.Outputs["o"] = &state.Output{Value: &v}
	save(f, s, st)
	text, err := os.ReadFile(filepath.Join(dir, "dev", "state.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text[len("{\n  \"checksum\": \"sha256:")+64+2:])
	f.Fuzz(func(t *testing.T, rest []byte) {
		text := document.Seal(rest)
		st, err := state.Decode("state.json", text)
		if err != nil {
			return
		}
		again, err := document.Encode(st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := state.Decode("state.json", again); err != nil {
			t.Fatalf("a state does not survive its encoding: %v", err)
		}
	})
}

// reads counts how often a backend returns an object's content.
type reads struct {
	backend.Backend
	n int
}

func (r *reads) Get(ctx context.Context, key string) ([]byte, backend.Version, error) {
	r.n++
	return r.Backend.Get(ctx, key)
}

// A run saves the state again and again, so saving must not read it each time.
func TestSavingDoesNotReadTheState(t *testing.T) {
	b := &reads{Backend: backend.NewLocal(t.TempDir(), disk.NewSyncer())}
	s := state.New(context.Background(), b)
	st := load(t, s, "dev")
	save(t, s, st)
	loaded := load(t, s, "dev")
	b.n = 0
	for range 10 {
		save(t, s, loaded)
	}
	if b.n != 0 {
		t.Errorf("10 saves read the state %d times", b.n)
	}
	var conflict *state.Conflict
	if err := s.Save(st); !errors.As(err, &conflict) || conflict.Found != 11 {
		t.Errorf("the state of another writer is overwritten: %v", err)
	}
}

// A saved copy is what the state continues from.
func TestAStateContinuesFromItsSavedCopy(t *testing.T) {
	s, _ := newStore(t)
	st := load(t, s, "dev")
	for range 3 {
		snapshot := *st
		save(t, s, &snapshot)
		st.Saved(&snapshot)
	}
	if st.Serial != 3 {
		t.Errorf("serial %d", st.Serial)
	}
}
