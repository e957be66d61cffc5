package artifact_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

func open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rows(t testing.TB, s *store.Store, texts ...any) *dataset.Manifest {
	t.Helper()
	schema := data.Schema{{Name: "text", Type: "string"}}
	w := dataset.NewWriter(s.Blobs, schema)
	defer w.Abort()
	for _, text := range texts {
		if err := w.Write(context.Background(), datatest.Rows(schema, []any{text})); err != nil {
			t.Fatal(err)
		}
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func model(t testing.TB, s *store.Store, weights string) *artifact.Artifact {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"weights.bin": weights, "vocabulary/words.txt": "a\nb\n"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	files, err := artifact.PutFolder(s.Blobs, dir)
	if err != nil {
		t.Fatal(err)
	}
	return &artifact.Artifact{Kind: artifact.Model, Files: files, ModelFormat: "quern.linear/v1", Signature: json.RawMessage(`{"b": 1, "a": 2}`)}
}

func put(t testing.TB, s *store.Store, a *artifact.Artifact) artifact.Ref {
	t.Helper()
	ref, err := artifact.Put(s.Blobs, a)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestEveryKindOfArtifactSurvivesAndIsExported(t *testing.T) {
	s := open(t)
	v := value.Value{Value: cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NumberFloatVal(0.5)})}
	for _, c := range []struct {
		a     *artifact.Artifact
		files []string
	}{
		{&artifact.Artifact{Kind: artifact.Dataset, Dataset: rows(t, s, "a", nil)}, []string{"data.parquet"}},
		{model(t, s, "w"), []string{"weights.bin", "vocabulary/words.txt", "artifact.json"}},
		{&artifact.Artifact{Kind: artifact.Report, Value: &v, Dataset: rows(t, s, "row")}, []string{"value.json", "data.parquet"}},
	} {
		ref := put(t, s, c.a)
		back, err := artifact.Get(s.Blobs, ref)
		if err != nil {
			t.Fatal(err)
		}
		if digest, err := back.Digest(); err != nil || digest != ref.Digest {
			t.Errorf("%s: the digest is %s, %v", c.a.Kind, digest, err)
		}
		if _, err := artifact.Present(s.Blobs, ref); err != nil {
			t.Error(err)
		}
		if errs := artifact.Verify(context.Background(), s.Blobs, ref); len(errs) > 0 {
			t.Error(errs)
		}
		dir := filepath.Join(t.TempDir(), "out")
		if err := artifact.Export(context.Background(), s.Blobs, ref, dir); err != nil {
			t.Fatal(err)
		}
		for _, name := range c.files {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				t.Error(err)
			}
		}
		if err := artifact.Export(context.Background(), s.Blobs, ref, dir); err == nil {
			t.Error("an export overwrites a folder")
		}
	}
}

func TestTheLogicalDigestCoversWhatMatters(t *testing.T) {
	s := open(t)
	a := put(t, s, model(t, s, "w"))
	sorted := model(t, s, "w")
	sorted.Signature = json.RawMessage(`{"a":2,"b":1}`)
	if put(t, s, sorted).Digest != a.Digest {
		t.Error("the order of a signature's keys matters")
	}
	if put(t, s, model(t, s, "other")).Digest == a.Digest {
		t.Error("the weights do not matter")
	}
	featured := model(t, s, "w")
	featured.Features = json.RawMessage(`{"text":"row.text"}`)
	if put(t, s, featured).Digest == a.Digest {
		t.Error("the features do not matter")
	}
}

func TestEachMissingOrDamagedBlobOfAnArtifactIsReported(t *testing.T) {
	s := open(t)
	a := model(t, s, "weights")
	ref := put(t, s, a)
	path, err := s.Blobs.Path(a.Files[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("weighty"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Blobs.Remove(a.Files[0].Digest); err != nil {
		t.Fatal(err)
	}
	errs := artifact.Verify(context.Background(), s.Blobs, ref)
	var missing *blob.Missing
	var damaged *blob.Damaged
	if len(errs) != 2 || !errors.As(errs[0], &missing) || !errors.As(errs[1], &damaged) {
		t.Error(errs)
	}
	if _, err := artifact.Present(s.Blobs, ref); !blob.Unavailable(err) {
		t.Error(err)
	}
	if err := s.Blobs.Remove(ref.Manifest); err != nil {
		t.Fatal(err)
	}
	if _, err := artifact.Get(s.Blobs, ref); !errors.As(err, &missing) {
		t.Error(err)
	}
}

func TestInconsistentManifestsAreRefused(t *testing.T) {
	digest := blob.Sum(nil)
	for what, a := range map[string]artifact.Artifact{
		"no kind":                    {},
		"a dataset without one":      {Kind: artifact.Dataset},
		"a file outside":             {Kind: artifact.Model, Files: []artifact.File{{Name: "../x", Digest: digest}}},
		"an absolute file":           {Kind: artifact.Model, Files: []artifact.File{{Name: "/x", Digest: digest}}},
		"a file without a digest":    {Kind: artifact.Model, Files: []artifact.File{{Name: "x"}}},
		"two files of the same name": {Kind: artifact.Model, Files: []artifact.File{{Name: "x", Digest: digest}, {Name: "x", Digest: digest}}},
	} {
		a.Format = artifact.Format
		if a.Check() == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func TestAFolderWithALinkIsNotStored(t *testing.T) {
	s, dir := open(t), t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	if _, err := artifact.PutFolder(s.Blobs, dir); err == nil {
		t.Error("a link is stored")
	}
}

func FuzzDecodeArtifact(f *testing.F) {
	s := open(f)
	for _, a := range []*artifact.Artifact{model(f, s, "w"), {Kind: artifact.Dataset, Dataset: rows(f, s, "a")}} {
		a.Format = artifact.Format
		text, err := json.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := artifact.Decode(text)
		if err != nil {
			return
		}
		a.Blobs()
		if _, err := a.Digest(); err != nil {
			t.Fatal(err)
		}
	})
}
