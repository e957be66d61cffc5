package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The reference of the built-in types is generated from their schemas. To
// update it, run go test ./cmd/quern -run Reference -update.
func TestTheReferenceMatchesTheSchemas(t *testing.T) {
	cmd := exec.Command(filepath.Join(allPrograms(t), "quern"), "plugin", "docs")
	cmd.Dir = t.TempDir()
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got = append([]byte("<!-- Generated from the schemas of the built-in plugins by make docs. -->\n\n"), got...)
	const file = "../../docs/reference.md"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("docs/reference.md is not what the schemas say: run make docs")
	}
}

// allPrograms returns a folder with all programs of quern.
func allPrograms(t *testing.T) string {
	t.Helper()
	return programs(t, "database", "documents", "kubernetes", "storage")
}

// programs returns a folder with quern, quern-plugin-sql, and the named plugins
// that come with quern, which most tests do not need.
func programs(t *testing.T, plugins ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"quern", "quern-plugin-sql"} {
		if err := os.Link(filepath.Join(binaries, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range plugins {
		if err := provide(filepath.Join(dir, "quern-plugin-"+name), []string{"./cmd/quern-plugin-" + name}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
