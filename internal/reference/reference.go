// Package reference runs the field's own tools (fastText, pyarrow, pandas, pandera, polars,
// DuckDB, scipy, grpcio, lxml), so that tests can compare quern's answers with theirs. "make
// references" installs the tools; where they are missing, the tests that need
// them are skipped.
package reference

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Python runs a Python script with the reference tools and returns its output.
// The test fails if the script fails, and is skipped if the tools are not
// installed.
func Python(t testing.TB, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Interpreter(t), append([]string{"-c", script}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("reference script: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// Hunting reports whether this is a long run ("make hunt") rather than the
// bounded one of "make test".
func Hunting() bool { return os.Getenv("QUERN_HUNT") != "" }

// Rounds returns how many random cases a test tries: bounded in "make test",
// many in "make hunt".
func Rounds(bounded, long int) int {
	if Hunting() {
		return long
	}
	return bounded
}

// Interpreter returns the path of the Python that has the reference tools. The
// test is skipped if they are not installed.
func Interpreter(t testing.TB) string {
	t.Helper()
	python := filepath.Join(moduleRoot(t), ".cache", "references", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip(`the reference tools are not installed; run "make references"`)
	}
	return python
}

// moduleRoot returns the nearest folder above the test's own that contains a
// go.mod. The path of this source file would not work, because -trimpath
// removes it.
func moduleRoot(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("no go.mod in any folder above the test's")
		}
		folder = parent
	}
}
