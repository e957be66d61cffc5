package data_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
)

func TestReadVerifiesAFileOnce(t *testing.T) {
	s := data.Schema{{Name: "text", Type: "string"}}
	rec := datatest.Batch(rand.New(rand.NewPCG(1, 1)), s, 100)
	path := filepath.Join(t.TempDir(), "rows.parquet")
	writeFile(t, path, s, rec)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unverified := func(digest string) []data.Shard {
		g := same(path, "text")
		g.Unverified = data.NewUnverified(digest)
		shards := []data.Shard{{Rows: rec.NumRows(), Groups: []data.Group{g}}}
		return data.ShardsFromProto(data.ShardsToProto(shards)) // as a plugin gets them
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	good := unverified(digest)
	if back := readAll(t, s.Arrow(), good, nil, 0); !datatest.Same(rec, back) {
		t.Fatal("a verified file does not have its rows")
	}

	other := unverified("sha256:" + strings.Repeat("0", 64))
	for rec, err := range data.Read(context.Background(), other, nil, 0) {
		if err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Fatalf("read %v with error %v from a damaged file", rec, err)
		}
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unverified(digest)[0].Groups[0].Verify(); err == nil {
		t.Error("a flipped bit was not found")
	}
	if err := good[0].Groups[0].Verify(); err != nil {
		t.Errorf("a file is verified twice: %v", err)
	}
}
