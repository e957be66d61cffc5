// Package importtest checks importers on configurations in archives.
package importtest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/format"
)

var update = flag.Bool("update", false, "write what the imports give into testdata")

// Archives imports the configuration in each archive of testdata and compares
// the pipeline with the files in the archive's folder want. from is the name of
// the file to import, or empty for the folder.
func Archives(t *testing.T, im importers.Importer, from string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no archives", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, im, file, from) })
	}
}

func golden(t *testing.T, im importers.Importer, file, from string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "greeting")
	given := &txtar.Archive{Comment: archive.Comment}
	want := map[string]string{}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
			want[name] = string(f.Data)
			continue
		}
		given.Files = append(given.Files, f)
		Write(t, filepath.Join(dir, f.Name), f.Data)
	}
	r, err := im.Import(filepath.Join(dir, from), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range append(r.Files, importers.File{Name: "findings", Data: []byte(listed(r))}) {
		got[f.Name] = string(f.Data)
		given.Files = append(given.Files, txtar.File{Name: "want/" + f.Name, Data: f.Data})
	}
	Sound(t, r)
	if *update {
		if err := os.WriteFile(file, txtar.Format(given), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func listed(r *importers.Pipeline) string {
	var b strings.Builder
	counts := make([]string, len(r.Counts))
	for i, c := range r.Counts {
		counts[i] = fmt.Sprintf("%d %ss", c.N, c.Of)
	}
	fmt.Fprintf(&b, "%s: %s\n", r.Outcome(), strings.Join(counts, ", "))
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s\n", f.Severity, f)
	}
	return b.String()
}

// Write writes a file and its folders.
func Write(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sound checks a pipeline for everything that must be true of all pipelines.
func Sound(t testing.TB, r *importers.Pipeline) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range r.Files {
		Write(t, filepath.Join(dir, f.Name), f.Data)
		if !strings.HasSuffix(f.Name, ".quern.hcl") {
			continue
		}
		again, diags := format.Source(f.Data, f.Name)
		if diags.HasErrors() || !bytes.Equal(again, f.Data) {
			t.Errorf("the pipeline is not formatted: %v", diags)
		}
	}
	if _, diags := config.Load(dir); len(diags) > 0 {
		t.Errorf("the pipeline has mistakes: %v\n%s", diags, r.Files[0].Data)
	}
}
