package artifact

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
)

// PutFolder stores the files in a folder and its subfolders, and returns them
// sorted by name. Anything other than regular files and folders is an error.
func PutFolder(blobs *blob.Store, dir string) ([]File, error) {
	var out []File
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		name, err := filepath.Rel(dir, path)
		out = append(out, File{Name: filepath.ToSlash(name)})
		return err
	})
	if err == nil {
		err = putFiles(blobs, dir, out)
	}
	if err != nil {
		return nil, fmt.Errorf("store the folder %s: %w", dir, err)
	}
	return out, nil
}

// putFiles stores files of a folder, several at the same time, and sets their digests and
// sizes.
func putFiles(blobs *blob.Store, dir string, files []File) error {
	storing := parallel.New(runtime.GOMAXPROCS(0))
	for i := range files {
		storing.Go(func() error {
			ref, err := blobs.PutFile(filepath.Join(dir, filepath.FromSlash(files[i].Name)))
			files[i].Digest, files[i].Size = ref.Digest, ref.Size
			return err
		})
	}
	return storing.Wait()
}

// Blobs returns the digests of all blobs that the artifact consists of, except
// its manifest.
func (a *Artifact) Blobs() []string {
	var out []string
	if a.Dataset != nil {
		out = a.Dataset.Blobs()
	}
	for _, f := range a.Files {
		out = append(out, f.Digest)
	}
	return out
}

// Present returns the manifest if the artifact is complete as far as can be
// seen without reading its data: the manifest is valid and every blob exists.
// Otherwise, the error is *blob.Missing or *blob.Damaged.
func Present(blobs *blob.Store, ref Ref) (*Artifact, error) {
	a, err := Get(blobs, ref)
	if err != nil {
		return nil, err
	}
	for _, digest := range a.Blobs() {
		if err := blobs.Find(digest); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Verify reads everything that an artifact consists of and returns an error for
// each blob that is missing or damaged. It sets damaged blobs aside.
func Verify(ctx context.Context, blobs *blob.Store, ref Ref) []error {
	a, err := Get(blobs, ref)
	if err != nil {
		return []error{err}
	}
	var errs []error
	for _, digest := range a.Blobs() {
		if err := blobs.Verify(ctx, digest); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	switch digest, err := a.Digest(); {
	case err != nil:
		errs = append(errs, fmt.Errorf("the %s has no digest: %w", ref.Kind, err))
	case digest != ref.Digest:
		errs = append(errs, fmt.Errorf("the %s's digest is %s, but its manifest says %s", ref.Kind, ref.Digest, digest))
	}
	return errs
}

// Export writes an artifact to a new or empty folder: a dataset as
// data.parquet, the files of a model or report under their names, a report's
// values as value.json, and a model's format and signature as artifact.json
// (models have files named model.json of their own).
func Export(ctx context.Context, blobs *blob.Store, ref Ref, dir string) (err error) {
	a, err := Get(blobs, ref)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = disk.Explain(fmt.Errorf("export a %s to %s: %w", ref.Kind, dir, err))
		}
	}()
	if err := EmptyFolder(dir); err != nil {
		return err
	}
	for _, f := range a.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := blobs.Copy(f.Digest, path, 0o666); err != nil {
			return err
		}
	}
	if a.Dataset != nil {
		if err := exportRows(ctx, blobs, a, filepath.Join(dir, "data.parquet")); err != nil {
			return err
		}
	}
	if a.Value != nil {
		if err := exportJSON(filepath.Join(dir, "value.json"), ctyjson.SimpleJSONValue{Value: a.Value.Value}); err != nil {
			return err
		}
	}
	if a.Kind == Model {
		about := map[string]any{"format": a.ModelFormat, "signature": a.Signature, "features": a.Features}
		return exportJSON(filepath.Join(dir, "artifact.json"), about)
	}
	return nil
}

// EmptyFolder creates a folder to export to. A folder that is not empty is an
// error.
func EmptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty", dir)
	}
	return os.MkdirAll(dir, 0o777)
}

func exportRows(ctx context.Context, blobs *blob.Store, a *Artifact, path string) (err error) {
	m := a.Dataset
	shards, err := m.Files(blobs, nil)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := data.NewFileWriter(buffered, m.Schema)
	if err != nil {
		return err
	}
	for rec, err := range data.Read(ctx, shards, m.Schema.Names(), 0) {
		if err != nil {
			return err
		}
		if err := w.Write(rec); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

func exportJSON(path string, v any) error {
	text, err := jsontext.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
