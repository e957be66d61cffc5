package files

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// look takes a fingerprint after the files have been unchanged for a while.
// placeFingerprint returns the fingerprint of the files at a place.
func placeFingerprint(t *testing.T, p place, former []byte, now time.Time) (plugin.Fingerprint, error) {
	t.Helper()
	list, err := p.find()
	if err != nil {
		t.Fatal(err)
	}
	return fingerprintOf(t.Context(), list, &csvArgs{Located: Located{Partitions: "auto"}}, former, now)
}

func look(t *testing.T, p place, memo []byte) plugin.Fingerprint {
	t.Helper()
	f, err := placeFingerprint(t, p, memo, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAFingerprintDependsOnTheContentsOfFilesAndNotOnTheirPaths(t *testing.T) {
	one := look(t, folder(t, map[string]string{"a.csv": "x\n1\n", "b.csv": "x\n2\n"}), nil)
	moved := look(t, folder(t, map[string]string{"c.csv": "x\n1\n", "d.csv": "x\n2\n"}), nil)
	if one.Value != moved.Value {
		t.Error("moving the files changes the fingerprint")
	}
	for name, files := range map[string]map[string]string{
		"another content": {"a.csv": "x\n1\n", "b.csv": "x\n3\n"},
		"another order":   {"a.csv": "x\n2\n", "b.csv": "x\n1\n"},
		"a file less":     {"a.csv": "x\n1\n"},
		"a file more":     {"a.csv": "x\n1\n", "b.csv": "x\n2\n", "c.csv": ""},
	} {
		if look(t, folder(t, files), nil).Value == one.Value {
			t.Errorf("%s does not change the fingerprint", name)
		}
	}
	if one.Summary != "2 files, 8 B" {
		t.Errorf("summary: %s", one.Summary)
	}
}

func TestFilesWithTheSameSizeAndTimeAreNotHashedAgain(t *testing.T) {
	p := folder(t, map[string]string{"a.csv": "x\n1\n"})
	path := filepath.Join(p.root, "a.csv")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	first := look(t, p, nil)

	// The content changes, but the size and time do not. Only hashing would
	// notice.
	if err := os.WriteFile(path, []byte("x\n2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if again := look(t, p, first.Memo); again.Value != first.Value {
		t.Error("the file was hashed again")
	}
	if err := os.Chtimes(path, before.ModTime(), before.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if touched := look(t, p, first.Memo); touched.Value == first.Value {
		t.Error("a file with another time was not hashed again")
	}
}

func TestTheTimeOfAFileThatWasJustWrittenIsNotTrusted(t *testing.T) {
	p := folder(t, map[string]string{"a.csv": "x\n1\n"})
	path := filepath.Join(p.root, "a.csv")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	first, err := placeFingerprint(t, p, nil, before.ModTime())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x\n2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if again := look(t, p, first.Memo); again.Value == first.Value {
		t.Error("a change within the same tick was missed")
	}
}

func TestAMemoInAnotherFormatIsIgnored(t *testing.T) {
	p := folder(t, map[string]string{"a.csv": "x\n1\n"})
	if look(t, p, []byte("rubbish")).Value != look(t, p, nil).Value {
		t.Error("it changed the fingerprint")
	}
}
