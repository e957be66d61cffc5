package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
)

func texts(t *testing.T, path string, rows int64) []string {
	t.Helper()
	shard := data.Shard{Rows: rows, Groups: []data.Group{{Path: path, Columns: []data.Stored{{Stored: "text", Name: "text"}}}}}
	var out []string
	for rec, err := range data.Read(context.Background(), []data.Shard{shard}, []string{"text"}, 1000) {
		if err != nil {
			t.Fatal(err)
		}
		column := rec.Column(0).(*array.String)
		for i := range column.Len() {
			out = append(out, column.Value(i))
		}
	}
	return out
}

// Only the work on inserted rows is timed, so all other rows must be unchanged.
func TestInsertedRowsLeaveTheOthersAsTheyWere(t *testing.T) {
	const rows, more = 3000, 100
	before, after := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if err := generate(before, rows, 0); err != nil {
		t.Fatal(err)
	}
	if err := generate(after, rows, more); err != nil {
		t.Fatal(err)
	}
	a, b := texts(t, before, rows), texts(t, after, rows+more)
	seen := map[string]bool{}
	for i, text := range b {
		switch {
		case seen[text]:
			t.Fatalf("row %d is there twice", i)
		case i < rows/2 && text != a[i], i >= rows/2+more && text != a[i-more]:
			t.Fatalf("row %d is another", i)
		}
		seen[text] = true
	}
}

func TestMemoryOfChildrenIsMeasured(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc")
	}
	cmd := exec.Command("sh", "-c", "cat; true")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &watcher{pid: cmd.Process.Pid, peaks: map[string]int64{}}
	for w.peaks["cat"] == 0 { // wait until the shell has started it
		w.look(w.pid)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
}
