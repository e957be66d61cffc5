package classification

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"testing"
)

func TestStoredFiguresAreWrittenAsTheyWereRead(t *testing.T) {
	stored := storedMetrics(t, "../../cmd/quern/testdata/compatibility/0.1.0/store.tar.gz")
	var f findings
	if err := json.Unmarshal(stored, &f); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(again) + "\n"; got != string(stored) {
		t.Errorf("got %s\nwant %s", got, stored)
	}
}

// storedMetrics returns the metrics.json in an archived store.
func storedMetrics(t *testing.T, archive string) []byte {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(unzipped); ; {
		if _, err := files.Next(); err != nil {
			t.Fatalf("find the metrics in %s: %v", archive, err)
		}
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(text, []byte("{\n  \"scored\":")) {
			return text
		}
	}
}
