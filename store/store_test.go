package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/state"
)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var numbers = data.Schema{{Name: "n", Type: "int64"}}

// commitStage stores what a trivial stage makes: a new column group, a
// manifest and an action entry.
func commitStage(s *store.Store, name string) (*action.Entry, error) {
	w := dataset.NewWriter(s.Blobs, numbers)
	defer w.Abort()
	rec := datatest.Rows(numbers, []any{len(name)}, []any{int64(hash(name))})
	if err := w.Write(context.Background(), rec); err != nil {
		return nil, err
	}
	m, err := w.Close()
	if err != nil {
		return nil, err
	}
	ref, err := artifact.Put(s.Blobs, &artifact.Artifact{Kind: artifact.Dataset, Dataset: m})
	if err != nil {
		return nil, err
	}
	definition := blob.Sum([]byte(name))
	shard := m.Shards[0]
	part := &memo.Part{
		Definition: definition, ShardKey: dataset.ShardKey(definition, shard, []string{"n"}), Rows: shard.Rows, InputRows: shard.Rows,
		Results: memo.Results{Output: &dataset.Added{Group: shard.Groups[0], Columns: shard.Columns}},
	}
	if err := s.Memo.Put(part); err != nil {
		return nil, err
	}
	return s.Actions.Put(&action.Entry{
		Key: blob.Sum([]byte("key " + name)), Definition: definition, Address: "transform." + name,
		Outputs: map[string]artifact.Ref{"": ref}, Created: time.Now().UTC(),
	})
}

func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

func TestAStoreIsCreatedAndReopened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", ".quern")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := store.Open(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, dir)
	if _, err := commitStage(s, "a"); err != nil {
		t.Fatal(err)
	}
	if e, err := open(t, dir).Actions.Get(blob.Sum([]byte("key a"))); e == nil || err != nil {
		t.Error(e, err)
	}
}

func TestAFolderThatIsNotAStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.docx"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir); err == nil || !strings.Contains(err.Error(), "thesis.docx") {
		t.Error(err)
	}
	later := t.TempDir()
	if err := os.WriteFile(filepath.Join(later, "format"), []byte("quern.store/v2\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(later); err == nil || !strings.Contains(err.Error(), "update quern") {
		t.Error(err)
	}
}

func TestStagingFoldersStayUnderTheirNames(t *testing.T) {
	s := open(t, t.TempDir())
	dir, err := s.Staging(blob.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Staging(blob.Sum(nil)); err != nil || again != dir {
		t.Error(again, err)
	}
	for _, name := range []string{"", "..", "../x", "a/b", ".x", strings.Repeat("x", 129)} {
		if dir, err := s.Staging(name); err == nil {
			t.Errorf("%q became %s", name, dir)
		}
	}
}

// fill makes a store with a file of every kind.
func fill(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	if _, err := commitStage(s, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Runs().Put(&history.Run{ID: "run", Status: history.Done}); err != nil {
		t.Fatal(err)
	}
	st, err := s.States().Load("dev")
	if err != nil {
		t.Fatal(err)
	}
	st.Instances["transform.a"] = &state.Instance{Address: "transform.a", ActionKey: blob.Sum([]byte("key a"))}
	if err := s.States().Save(st); err != nil {
		t.Fatal(err)
	}
}

// readEverything returns what went wrong.
func readEverything(dir string) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	var errs []error
	for e, err := range s.Actions.All() {
		errs = append(errs, err)
		if e != nil {
			errs = append(errs, artifact.Verify(context.Background(), s.Blobs, e.Outputs[""])...)
		}
	}
	definitions, err := s.Memo.Definitions()
	errs = append(errs, err)
	for _, d := range definitions {
		for _, err := range s.Memo.Parts(d) {
			errs = append(errs, err)
		}
	}
	_, err = s.Runs().List()
	errs = append(errs, err)
	_, err = s.States().Load("dev")
	return errors.Join(append(errs, err)...)
}

func TestAbandonedWorkIsRemovedAndWorkInProgressIsNot(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-30 * 24 * time.Hour)
	for name, written := range map[string]time.Time{"abandoned": old, "deep": time.Now()} {
		root, err := s.Staging(name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(root, "work", "checkpoint")
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("1234"), 0o644); err != nil {
			t.Fatal(err)
		}
		for path, at := range map[string]time.Time{file: written, filepath.Dir(file): old, root: old} {
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, bytes, err := s.SweepStaging(time.Now().Add(-time.Hour), func(string) bool { return false }, true); n != 1 || bytes != 4 || err != nil {
		t.Errorf("%d folders with %d bytes would go (%v)", n, bytes, err)
	}
	if _, err := store.Open(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "staging"))
	if err != nil || len(left) != 1 || left[0].Name() != "deep" {
		t.Errorf("left: %v (%v)", left, err)
	}
}

func TestAFlippedBitInAnyFileIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	first := filepath.Join(t.TempDir(), "first")
	fill(t, first)
	if err := readEverything(first); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(first, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".lock") && d.Name() != ".gitignore" {
			rel, relErr := filepath.Rel(first, path)
			files = append(files, rel)
			return relErr
		}
		return err
	})
	if err != nil || len(files) < 7 {
		t.Fatalf("files are %q, %v", files, err)
	}
	for _, name := range files {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[r.IntN(len(text))] ^= 1 << r.IntN(8)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := readEverything(dir); err == nil {
			t.Errorf("a flipped bit in %s is not found", name)
		}
	}
}

// writerVariable makes the test program commit stages to a store until it is
// killed.
const writerVariable = "QUERN_TEST_WRITE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		writeForever(dir)
	}
	os.Exit(m.Run())
}

func writeForever(dir string) {
	s, err := store.Open(dir)
	for i := 0; err == nil; i++ {
		name := fmt.Sprint(os.Getpid(), "-", i)
		if _, err = commitStage(s, name); err == nil {
			fmt.Println(name)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestAKilledWriterLosesNothingThatItReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open(t, dir)
	r := rand.New(rand.NewPCG(2, 2))
	var reported []string
	for range 8 {
		writer := exec.Command(os.Args[0], "-test.run=^$")
		writer.Env = append(os.Environ(), writerVariable+"="+dir)
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + r.IntN(20) {
			if !lines.Scan() {
				t.Fatal("the writer ended")
			}
			reported = append(reported, lines.Text())
		}
		if err := writer.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		writer.Wait()
	}
	if err := readEverything(dir); err != nil {
		t.Error(err)
	}
	s := open(t, dir)
	for _, name := range reported {
		e, err := s.Actions.Get(blob.Sum([]byte("key " + name)))
		if err != nil || e == nil {
			t.Fatalf("%s was reported and is lost: %v", name, err)
		}
		if _, err := artifact.Present(s.Blobs, e.Outputs[""]); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkCommitStages commits trivial stages, one after the other and
// several at a time: the column group, the manifest, the memo part and the
// action entry of each.
func BenchmarkCommitStages(b *testing.B) {
	for _, parallel := range []int{1, 4, 16} {
		b.Run(fmt.Sprint("parallel ", parallel), func(b *testing.B) {
			s := open(b, b.TempDir())
			names := make(chan string)
			var wg sync.WaitGroup
			for range parallel {
				wg.Go(func() {
					for name := range names {
						if _, err := commitStage(s, name); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for i := range b.N {
				names <- fmt.Sprint(i)
			}
			close(names)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "stages/s")
		})
	}
}
