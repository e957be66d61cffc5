package responses

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// TestMain lets the test program be the other process of some tests: it keeps
// answers, says so, and waits for its standard input to end.
func TestMain(m *testing.M) {
	if dir := os.Getenv("RESPONSES_TEST_DIR"); dir != "" {
		otherProcess(dir)
	}
	os.Exit(m.Run())
}

func otherProcess(dir string) {
	c, err := Open(dir, Options{Aside: dir + "-aside"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := range 50 {
		if err := c.Put(keyOf("other", i), []byte("from the other")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
}

// startOther returns when the other process has put its answers.
func startOther(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RESPONSES_TEST_DIR="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line := make([]byte, 256)
	n, _ := out.Read(line)
	if got := strings.TrimSpace(string(line[:n])); got != "ready" {
		t.Fatalf("the other process said %q", got)
	}
	return cmd
}

func keyOf(parts ...any) Key { return sha256.Sum256([]byte(fmt.Sprint(parts...))) }

// opened is a cache whose reports are gathered.
func opened(t *testing.T, dir string) (*Cache, *[]error) {
	t.Helper()
	var mu sync.Mutex
	reports := &[]error{}
	c, err := Open(dir, Options{Aside: dir + "-aside", Report: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		*reports = append(*reports, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c, reports
}

func shut(t *testing.T, c *Cache) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnAnswerIsThereAgainAfterReopening(t *testing.T) {
	dir := t.TempDir()
	c, _ := opened(t, dir)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if err := c.Put(keyOf(i), fmt.Append(nil, "answer ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	shut(t, c)
	c, reports := opened(t, dir)
	defer shut(t, c)
	for i := range 200 {
		if got, ok := c.Get(keyOf(i)); !ok || string(got) != fmt.Sprint("answer ", i) {
			t.Fatalf("answer %d is %q, %v", i, got, ok)
		}
	}
	if _, ok := c.Get(keyOf("never put")); ok || len(*reports) > 0 {
		t.Fatalf("found what was never put; reports %v", *reports)
	}
}

func TestOneProcessSharesACache(t *testing.T) {
	dir := t.TempDir()
	a, _ := opened(t, dir)
	b, _ := opened(t, dir)
	if a != b {
		t.Fatal("the folder was opened twice")
	}
	if err := a.Put(keyOf(1), []byte("x")); err != nil {
		t.Fatal(err)
	}
	shut(t, a)
	if _, ok := b.Get(keyOf(1)); !ok {
		t.Fatal("closing one use closed the other")
	}
	shut(t, b)
}

func TestASecondProcessKeepsItsAnswersInItsOwnDatabaseAndTheyAreMerged(t *testing.T) {
	dir := t.TempDir()
	c, _ := opened(t, dir)
	if err := c.Put(keyOf("mine"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	other := startOther(t, dir)
	if _, ok := c.Get(keyOf("other", 0)); ok {
		t.Fatal("one database is open in two processes")
	}
	other.Process.Kill()
	other.Wait()
	shut(t, c)
	c, reports := opened(t, dir)
	defer shut(t, c)
	for _, key := range []Key{keyOf("mine"), keyOf("other", 0), keyOf("other", 49)} {
		if _, ok := c.Get(key); !ok {
			t.Fatalf("an answer is lost; reports %v", *reports)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, extraName+"*")); len(left) > 0 {
		t.Fatalf("left over: %v", left)
	}
}

func TestAKilledProcessLosesNothingThatWasPut(t *testing.T) {
	dir := t.TempDir()
	other := startOther(t, dir)
	other.Process.Kill()
	other.Wait()
	c, _ := opened(t, dir)
	defer shut(t, c)
	for i := range 50 {
		if _, ok := c.Get(keyOf("other", i)); !ok {
			t.Fatalf("answer %d is lost", i)
		}
	}
}

func TestADamagedValueIsReportedAndCountsAsAbsent(t *testing.T) {
	c, reports := opened(t, t.TempDir())
	key := keyOf(1)
	value := encode(key, time.Now(), []byte("answer"))
	value[len(value)-1] ^= 1
	if err := c.db.Set(key[:], value, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	var damaged *Damaged
	if _, ok := c.Get(key); ok || len(*reports) != 1 || !errors.As((*reports)[0], &damaged) {
		t.Fatalf("got ok=%v, reports %v", ok, *reports)
	}
	if err := c.Put(key, []byte("again")); err != nil {
		t.Fatal(err)
	}
	shut(t, c)
}

// fill puts so many answers that they are in several blocks of a table.
func fill(t *testing.T, dir string, n int) {
	t.Helper()
	c, _ := opened(t, dir)
	for i := range n {
		key := keyOf(i)
		if err := c.db.Set(key[:], encode(key, time.Now(), bytes.Repeat(key[:], 20)), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.db.Flush(); err != nil {
		t.Fatal(err)
	}
	shut(t, c)
}

func TestReadableEntriesOfADamagedTableAreRecovered(t *testing.T) {
	const n = 5000
	dir := t.TempDir()
	fill(t, dir, n)
	tables, _ := filepath.Glob(filepath.Join(dir, mainName, "*.sst"))
	if len(tables) == 0 {
		t.Fatal("there is no table")
	}
	flip(t, tables[0], 0.4)
	c, reports := opened(t, dir)
	for i := range n {
		c.Get(keyOf(i))
	}
	if len(*reports) == 0 {
		t.Fatal("the damage was not noticed")
	}
	shut(t, c)
	c, reports = opened(t, dir)
	defer shut(t, c)
	found := 0
	for i := range n {
		if _, ok := c.Get(keyOf(i)); ok {
			found++
		}
	}
	if found < n*9/10 || found == n || len(*reports) > 0 {
		t.Fatalf("%d of %d answers were rescued; reports %v", found, n, *reports)
	}
}

func TestACacheThatCannotBeOpenedIsSetAsideAndItsAnswersAreRecovered(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 10)
	manifests, _ := filepath.Glob(filepath.Join(dir, mainName, "MANIFEST-*"))
	for _, m := range manifests {
		if err := os.WriteFile(m, []byte("no manifest"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c, reports := opened(t, dir)
	defer shut(t, c)
	if len(*reports) == 0 {
		t.Fatal("nothing was reported")
	}
	for i := range 10 {
		if _, ok := c.Get(keyOf(i)); !ok {
			t.Errorf("answer %d was not taken over", i)
		}
	}
	if err := c.Put(keyOf(1), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if aside, _ := os.ReadDir(dir + "-aside"); len(aside) != 1 {
		t.Fatalf("set aside: %v", aside)
	}
}

// A block that can't be read spans the keys of answers that were put since:
// they must not be lost with it.
func TestAnswersRequestedAgainAfterDamageAreCached(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 10)
	tables, _ := filepath.Glob(filepath.Join(dir, mainName, "*.sst"))
	for _, table := range tables {
		flip(t, table, 0.2)
	}
	c, reports := opened(t, dir)
	hit := 0
	for i := range 10 {
		if _, ok := c.Get(keyOf(i)); !ok {
			hit++
		}
		if err := c.Put(keyOf(i), []byte("again")); err != nil {
			t.Fatal(err)
		}
	}
	if hit < 2 || len(*reports) != 1 {
		t.Errorf("%d answers can't be read, and the reports are %v", hit, *reports)
	}
	shut(t, c)
	c, _ = opened(t, dir)
	defer shut(t, c)
	for i := range 10 {
		if got, ok := c.Get(keyOf(i)); !ok || string(got) != "again" {
			t.Errorf("answer %d is %q, %v", i, got, ok)
		}
	}
}

// What is put before the cache is closed survives where damage to it is found.
func TestDamageToTheLastEntryIsReported(t *testing.T) {
	dir := t.TempDir()
	c, _ := opened(t, dir)
	for i := range 10 {
		if err := c.Put(keyOf(i), []byte("answer")); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, c)
	files, _ := filepath.Glob(filepath.Join(dir, mainName, "[0-9]*.*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Size() > 0 {
			flip(t, f, 0.2)
		}
	}
	c, reports := opened(t, dir)
	defer shut(t, c)
	if _, ok := c.Get(keyOf(1)); ok || len(*reports) == 0 {
		t.Errorf("found: %v, reports %v", ok, *reports)
	}
}

// flip turns bits of a file over at a part of its length.
func flip(t *testing.T, path string, at float64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[int(float64(len(content))*at)] ^= 0xff
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestSweepRemovesWhatIsOld(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	defer shut(t, c)
	now := time.Now()
	for i := range 10 {
		key := keyOf(i)
		if err := c.db.Set(key[:], encode(key, now.Add(-time.Duration(i)*time.Hour), []byte("x")), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	for _, dry := range []bool{true, false} {
		n, err := c.Sweep(context.Background(), now.Add(-4*time.Hour-time.Minute), dry)
		if err != nil || n.Removed != 5 || n.Kept != 5 {
			t.Fatalf("dry=%v: %+v, %v", dry, n, err)
		}
		if _, ok := c.Get(keyOf(9)); ok != dry {
			t.Fatalf("dry=%v: the oldest is there: %v", dry, ok)
		}
	}
	if _, ok := c.Get(keyOf(0)); !ok {
		t.Fatal("the youngest is gone")
	}
}

// What decode takes is what encode made of it.
func FuzzDecode(f *testing.F) {
	key := keyOf("fuzz")
	f.Add(encode(key, time.Unix(1, 0), []byte("answer")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := decode(key, value)
		if err != nil {
			return
		}
		if again := encode(key, e.put, e.answer); !bytes.Equal(again, value) {
			t.Fatalf("%x was read as %x", value, again)
		}
	})
}

func TestExportedAnswersAreInTheOtherCache(t *testing.T) {
	from, damage := opened(t, t.TempDir())
	for i := range 1000 {
		if err := from.Put(keyOf(i), fmt.Appendf(nil, "answer %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	first, again := t.TempDir(), t.TempDir()
	if err := errors.Join(from.Export(first), from.Export(again)); err != nil {
		t.Fatal(err)
	}
	if err := from.Export(again); !errors.Is(err, os.ErrExist) {
		t.Errorf("replaces earlier answers: %v", err)
	}
	shut(t, from)
	a, err := os.ReadFile(filepath.Join(first, exportedName))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(again, exportedName)); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the same answers give other bytes: %v", err)
	}
	has := func(c *Cache) (n int) {
		for i := range 1000 {
			if got, ok := c.Get(keyOf(i)); ok && string(got) == fmt.Sprintf("answer %d", i) {
				n++
			}
		}
		return n
	}
	for range 2 { // also when it is opened again
		to, more := opened(t, first)
		if n := has(to); n != 1000 || len(*more)+len(*damage) > 0 {
			t.Errorf("%d answers, and %v", n, *more)
		}
		if _, err := os.Stat(filepath.Join(first, exportedName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
		shut(t, to)
	}

	// What was cut off is reported once.
	if err := os.WriteFile(filepath.Join(again, exportedName), a[:len(a)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	to, more := opened(t, again)
	if n := has(to); n < 400 || n > 600 || len(*more) != 1 || !strings.Contains((*more)[0].Error(), "cut off") {
		t.Errorf("%d answers, and %v", n, *more)
	}
	shut(t, to)
	to, more = opened(t, again)
	if n := has(to); n < 400 || len(*more) > 0 {
		t.Errorf("later %d answers, and %v", n, *more)
	}
	shut(t, to)
}
