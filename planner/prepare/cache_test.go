package prepare

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestAnAnswerLastsAsLongAsTheFilesThatItDependsOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	write := func(content []byte, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	large, other := bytes.Repeat([]byte("a"), largeFile), bytes.Repeat([]byte("b"), largeFile)
	long, recent := time.Now().Add(-time.Hour), time.Now()
	for _, test := range []struct {
		name          string
		first, second []byte
		at, later     time.Time
		reused        bool
	}{
		{"the same", large, large, long, long, true},
		{"touched", large, large, long, long.Add(time.Second), true},
		{"changed", large, other, long, long.Add(time.Second), false},
		{"changed within the resolution of the clock", large, other, recent, recent, false},
		{"a small one with the time of before", large[:10], other[:10], long, long, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			write(test.first, test.at)
			answer := &pluginv1.Prepared{Files: []*pluginv1.SourceFile{{
				Name: "model.safetensors", Path: path, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(test.first)),
			}}}
			c := &Cache{after: map[string]remembered{}}
			c.remember("key", "", answer)
			before := c.after
			c.before, c.after = func() map[string]remembered { return before }, map[string]remembered{}
			write(test.second, test.later)
			if got := c.answer("key", "") != nil; got != test.reused {
				t.Errorf("reused: %t, want %t", got, test.reused)
			}
		})
	}
}

func TestALargeFileIsNotReadAgainWhileItsStateIsTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	long := time.Now().Add(-time.Hour)
	if err := os.WriteFile(path, bytes.Repeat([]byte("a"), largeFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	// The digest is not that of the content, so only the state can make the answer valid.
	files := []*pluginv1.SourceFile{{Name: "model.safetensors", Path: path, Digest: "sha256:00"}}
	if before := states(files); !unchanged(files, before, states(files)) {
		t.Error("the file was read")
	}
	if unchanged(files, nil, states(files)) {
		t.Error("a file whose state was not known was not read")
	}
}

func TestTheCacheIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prepared.default")
	answers := map[string]remembered{
		"a": {Fingerprint: "f", Prepared: []byte("p"), Files: map[string]fileState{"x": {1, 2}}},
		"b": {Prepared: []byte("q")},
	}
	c := &Cache{path: path, after: answers, changed: true}
	c.Save()
	if got := readCache(path); !reflect.DeepEqual(got, answers) {
		t.Errorf("read %v", got)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readCache(path); got != nil {
		t.Errorf("read %v from a file that was cut off", got)
	}
}
