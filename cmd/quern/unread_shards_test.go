package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/english"
)

const distinctPipeline = `
source "csv" "texts" {
  path = "texts.csv"
}

transform "dedup" "once" {
  input  = source.texts
  method = "near"
  text   = row.text
}
`

// A stage that kept what it knows about shards reads only new ones. A damaged shard that it
// does not read changes nothing. One that it reads is found, and computed again.
func TestDamagedShardsOfKeptStages(t *testing.T) {
	t.Parallel()
	const rows = 200_000
	texts := func(n int) string {
		var b strings.Builder
		b.WriteString("text\n")
		for i := range n {
			fmt.Fprintf(&b, "%x\n", sha256.Sum256(fmt.Append(nil, i)))
		}
		return b.String()
	}
	dir := folder(t, map[string]string{"texts.csv": texts(rows), "main.quern.hcl": distinctPipeline})
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.texts")
	old := shardFiles(t, dir, nil)
	if len(old) < 3 {
		t.Fatalf("%d shards are too few for this test", len(old))
	}
	quernIn(t, dir, "apply", "-auto-approve")
	grow := func(rows int) (fresh string) {
		t.Helper()
		known := shardFiles(t, dir, nil)
		if err := os.WriteFile(filepath.Join(dir, "texts.csv"), []byte(texts(rows)), 0o666); err != nil {
			t.Fatal(err)
		}
		quernIn(t, dir, "apply", "-auto-approve", "-target=source.texts")
		made := shardFiles(t, dir, known)
		if len(made) == 0 {
			t.Fatal("the new rows are in no new shard")
		}
		return made[0]
	}
	has := func(rows int) {
		t.Helper()
		quernIn(t, dir, "apply", "-auto-approve")
		if said := quernIn(t, dir, "state", "show", "transform.once"); !strings.Contains(said, english.Count(int64(rows), "row")) {
			t.Errorf("the result does not have %d rows:\n%s", rows, said)
		}
	}

	grow(rows + 10)
	if err := flipBit(old[0]); err != nil {
		t.Fatal(err)
	}
	has(rows + 10)
	if damaged := setAside(t, dir); len(damaged) > 0 {
		t.Errorf("%v was read", damaged)
	}

	fresh := grow(rows + 20)
	if err := flipBit(fresh); err != nil {
		t.Fatal(err)
	}
	if said, code := quernEnds(t, dir, "apply", "-auto-approve"); code != 1 || !strings.Contains(said, "A stored file is missing or damaged") {
		t.Fatalf("a damaged shard that is read is not found:\n%s", said)
	}
	// Then all are verified, because any of them may be why the stage failed.
	want := []string{filepath.Base(old[0]), filepath.Base(fresh)}
	slices.Sort(want)
	if damaged := setAside(t, dir); !slices.Equal(damaged, want) {
		t.Errorf("set aside: %v, want %v", damaged, want)
	}
	has(rows + 20)
}

// shardFiles returns the blobs of at least 100 kB that are not known, the largest first.
func shardFiles(t *testing.T, dir string, known []string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, ".quern", "blobs", "sha256", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		sizes[p] = info.Size()
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return sizes[p] < 100_000 || slices.Contains(known, p) })
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(sizes[b], sizes[a]) })
	return paths
}

// setAside returns the digests of the blobs that were set aside as damaged.
func setAside(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".quern", "damaged"))
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, e := range entries {
		_, digest, _ := strings.Cut(e.Name(), "-")
		digests = append(digests, digest)
	}
	slices.Sort(digests)
	return digests
}
