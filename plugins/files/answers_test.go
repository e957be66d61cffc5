package files

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What was found is used again only for the same arguments, and for files that had been
// unchanged long enough and still are.
func TestUnchangedFilesAreSampledOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.jsonl")
	write := func(text string, modified time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	s := newSource[jsonlArgs](func() string { return dir })
	columns := func(a *jsonlArgs) []string {
		t.Helper()
		a.Path, a.Partitions, a.OnError, a.Encoding = "*.jsonl", "auto", "fail", "utf-8"
		found, _, err := s.schema(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.found) != 1 || a.sampled == nil && a.Schema == nil {
			t.Error("the arguments lack what was found")
		}
		return found.Names()
	}
	now := time.Now()
	for _, step := range []struct {
		name, text string
		modified   time.Time
		args       jsonlArgs
		want       []string
	}{
		{"at first", `{"a": 1}`, now.Add(-time.Hour), jsonlArgs{SampleRows: 10}, []string{"a"}},
		{"with the size and time of the file before", `{"b": 1}`, now.Add(-time.Hour), jsonlArgs{SampleRows: 10}, []string{"a"}},
		{"with other arguments", `{"b": 1}`, now.Add(-time.Hour), jsonlArgs{SampleRows: 11}, []string{"b"}},
		{"with another time", `{"c": 1}`, now.Add(-time.Minute), jsonlArgs{SampleRows: 11}, []string{"c"}},
		{"with another size", `{"dd": 1}`, now.Add(-time.Minute), jsonlArgs{SampleRows: 11}, []string{"dd"}},
		{"just written", `{"ee": 1}`, now.Add(time.Hour), jsonlArgs{SampleRows: 11}, []string{"ee"}},
		{"written again", `{"ff": 1}`, now.Add(time.Hour), jsonlArgs{SampleRows: 11}, []string{"ff"}},
	} {
		write(step.text, step.modified)
		if got := columns(&step.args); !slices.Equal(got, step.want) {
			t.Errorf("%s: the columns are %v, not %v", step.name, got, step.want)
		}
	}
}

func TestNewFilesAreHashedInParallelInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	var list []file
	for i := range 100 {
		full := filepath.Join(dir, string(rune('a'+i%26))+string(rune('a'+i/26)))
		if err := os.WriteFile(full, []byte(full), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, file{name: full, full: full, size: int64(len(full))})
	}
	got, err := memo(nil).digests(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range list {
		if want, err := hash(t.Context(), f); err != nil || got[i] != want {
			t.Errorf("%s: got %s, want %s, %v", f.name, got[i], want, err)
		}
	}
	if err := os.Remove(list[70].full); err != nil {
		t.Fatal(err)
	}
	if _, err := memo(nil).digests(t.Context(), list); err == nil {
		t.Error("a file that is missing was passed over")
	}
}
