package dedup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Two files with one name cannot be kept for the next run.
func TestAKeptFileIsNotWrittenAgain(t *testing.T) {
	f := &files{folder: t.TempDir(), former: map[string]plugin.File{"content-1": {}}, again: map[string]bool{"content-1": true}}
	if err := f.put("content-1", []byte("other rows of an equal shard")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(f.folder, "content-1")); !os.IsNotExist(err) {
		t.Errorf("the file is kept and written: %v", err)
	}
}
