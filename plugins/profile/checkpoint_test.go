package profile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var growing = data.Schema{
	{Name: "class", Type: "string"}, {Name: "id", Type: "int64"}, {Name: "list", Type: "list<string>"}, {Name: "name", Type: "string"},
	{Name: "seen", Type: "bool"}, {Name: "size", Type: "float64"}, {Name: "text", Type: "string"},
}

// grown returns rows, the first of which are always the same.
func grown(n int) []map[string]any {
	random := rand.New(rand.NewPCG(11, 12))
	var rows []map[string]any
	for i := range n {
		row := map[string]any{
			"class": string(rune('a' + random.IntN(5))), "id": i, "list": []string{"x", "y", "z"}[:random.IntN(4)], "name": fmt.Sprintf("name %d", i),
			"seen": random.IntN(2) == 0, "size": random.NormFloat64(), "text": fmt.Sprintf("write to user%d@example.com about text %d", random.IntN(30), random.IntN(1e6)),
		}
		if random.IntN(10) == 0 {
			row["size"], row["text"] = nil, nil
		}
		rows = append(rows, row)
	}
	return rows
}

func profileIn(t *testing.T, rows []map[string]any, kept string) *plugintest.RunResult {
	t.Helper()
	got, err := plugintest.Run(t, offer, plugintest.Case{
		Kind: plugin.KindEvaluate, Type: "profile", Kept: kept, ShardRows: 1000,
		Args: map[string]any{"dataset": plugintest.Dataset{Columns: growing, Rows: rows}, "sample": 500},
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// equalReports fails the test unless two reports are equal to the byte.
func equalReports(t *testing.T, what string, got, want *plugintest.RunResult) {
	t.Helper()
	for _, name := range []string{measurement.File, drift.File} {
		a, err := os.ReadFile(filepath.Join(got.Folders[""], name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(want.Folders[""], name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: %s differs from that of a run from scratch:\n%s\n%s", what, name, a, b)
		}
	}
}

func TestAProfileOfMoreRowsContinuesTheLastOne(t *testing.T) {
	rows := grown(4500)
	kept := ""
	for i, n := range []int{600, 2500, 4500} {
		got := profileIn(t, rows[:n], kept)
		equalReports(t, fmt.Sprintf("%d rows", n), got, profileIn(t, rows[:n], ""))
		if _, err := os.Stat(filepath.Join(got.Kept, "dataset-hashes-0-2000")); i > 0 && err != nil {
			t.Errorf("%d rows: the profile did not continue that of 2500 rows, of which two shards remain: %v", n, err)
		}
		kept = got.Kept
	}
	equalReports(t, "rows that were removed", profileIn(t, rows[:3500], kept), profileIn(t, rows[:3500], ""))
	equalReports(t, "other rows", profileIn(t, rows[500:], kept), profileIn(t, rows[500:], ""))
}

func TestADamagedCheckpointIsIgnored(t *testing.T) {
	rows := grown(2500)
	want := profileIn(t, rows, "")
	before := profileIn(t, rows[:2200], "")
	all, err := os.ReadDir(before.Kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		damaged := t.TempDir()
		if err := os.CopyFS(damaged, os.DirFS(before.Kept)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(damaged, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, keep := range []int{0, len(text) / 2, len(text) - 1} {
			if err := os.WriteFile(filepath.Join(damaged, f.Name()), text[:keep], 0o600); err != nil {
				t.Fatal(err)
			}
			equalReports(t, fmt.Sprintf("%d bytes of %s", keep, f.Name()), profileIn(t, rows, damaged), want)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d files were kept", len(all))
	}
}
