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

// allPrograms returns a folder with all programs of quern. Most tests need only
// the first two; the others take long to compile.
func allPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"quern", "quern-plugin-sql"} {
		if err := os.Link(filepath.Join(binaries, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"quern-plugin-database", "quern-plugin-kubernetes", "quern-plugin-storage"} {
		if err := provide(filepath.Join(dir, name), []string{"./cmd/" + name}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
