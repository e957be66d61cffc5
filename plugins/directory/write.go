package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// releaseName matches a release's name: the beginning of the artifact's digest,
// and a number if that name is taken.
var releaseName = regexp.MustCompile(`^sha256-[0-9a-f]{16}(-[0-9]+)?$`)

// nameFor returns an unused name for a release of an artifact.
func nameFor(digest string, taken []*release) string {
	base := "sha256-" + fmt.Sprintf("%.16s", strings.TrimPrefix(digest, "sha256:"))
	name := base
	for n := 2; slices.ContainsFunc(taken, func(r *release) bool { return r.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// write creates a release: first under a temporary name, then under its own
// name, and finally the file that marks it as complete.
func (p place) write(r *release, taken []*release, fill func(dir string) error) error {
	r.Name, r.Serial = nameFor(r.Digest, taken), 1
	if len(taken) > 0 {
		r.Serial = taken[len(taken)-1].Serial + 1
	}
	dir, err := os.MkdirTemp(p.home, temporary)
	if err != nil {
		return fmt.Errorf("create a folder for the new release: %w", err)
	}
	if err := fill(dir); err != nil {
		os.RemoveAll(dir)
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("make the new release readable: %w", err)
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	if err := os.Rename(dir, p.folder(r)); err != nil {
		return fmt.Errorf("move the new release into place: %w", err)
	}
	if err := syncFolder(p.home); err != nil {
		return err
	}
	return writeJSON(filepath.Join(p.home, r.Name+".json"), r)
}

func fill(ctx context.Context, dir string, a *plugin.ArtifactInput, r *release) error {
	if a.Dataset != nil {
		return fillDataset(ctx, dir, a.Dataset, r)
	}
	for _, f := range a.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := copyFile(dir, f)
		if err != nil {
			return fmt.Errorf("copy %s: %w", f.Name, err)
		}
		r.Files = append(r.Files, done)
	}
	return nil
}

// copyFile copies a file and verifies its content.
func copyFile(dir string, f plugin.File) (deployedFile, error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return deployedFile{}, err
	}
	defer in.Close()
	done, err := create(dir, f.Name, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
	if err == nil && f.Digest != "" && f.Digest != "sha256:"+done.SHA256 {
		err = fmt.Errorf("the file in the store is damaged: its digest is sha256:%s, but should be %s", done.SHA256, f.Digest)
	}
	return done, err
}

// fillDataset writes a dataset with all its columns, as one Parquet file per
// shard.
func fillDataset(ctx context.Context, dir string, d *plugin.DatasetInput, r *release) error {
	for i, shard := range d.Shards() {
		name := fmt.Sprintf("part-%05d.parquet", i)
		done, err := create(dir, name, func(w io.Writer) error { return writeShard(ctx, w, shard, d.Schema) })
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		r.Files = append(r.Files, done)
	}
	return nil
}

func writeShard(ctx context.Context, w io.Writer, shard data.Shard, schema data.Schema) error {
	out, err := data.NewFileWriter(w, schema)
	if err != nil {
		return err
	}
	for rec, err := range data.Read(ctx, []data.Shard{shard}, schema.Names(), 0) {
		if err != nil {
			return err
		}
		if err := out.Write(rec); err != nil {
			return err
		}
	}
	return out.Close()
}

// create writes one file of a release and syncs it.
func create(dir, name string, write func(io.Writer) error) (deployedFile, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return deployedFile{}, fmt.Errorf("%q is not a valid name for a file inside a folder", name)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return deployedFile{}, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return deployedFile{}, err
	}
	defer file.Close()
	sum := sha256.New()
	if err := write(io.MultiWriter(file, sum)); err != nil {
		return deployedFile{}, err
	}
	if err := file.Sync(); err != nil {
		return deployedFile{}, err
	}
	info, err := file.Stat()
	if err != nil {
		return deployedFile{}, err
	}
	return deployedFile{Name: name, Size: info.Size(), Modified: info.ModTime().UnixNano(), SHA256: hex.EncodeToString(sum.Sum(nil))}, file.Close()
}

// drift describes how a release differs from what was deployed, or returns ""
// if it does not. It does not read files whose size and time have not changed.
func (p place) drift(r *release) (string, error) {
	expected := map[string]bool{}
	for _, f := range r.Files {
		expected[f.Name] = true
		changed, err := p.touched(r, f)
		if err != nil || changed != "" {
			return changed, err
		}
	}
	extra := ""
	root := p.folder(r)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err == nil && !expected[filepath.ToSlash(name)] && extra == "" {
			extra = fmt.Sprintf("%s was added", filepath.ToSlash(name))
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "its folder is gone", nil
	}
	if err != nil {
		return "", fmt.Errorf("look through %s: %w", p.shown, err)
	}
	return extra, nil
}

func (p place) touched(r *release, f deployedFile) (string, error) {
	path := filepath.Join(p.folder(r), filepath.FromSlash(f.Name))
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.Name + " is gone", nil
	}
	if err != nil {
		return "", unreadable(path, err)
	}
	if info.Mode().IsRegular() && info.Size() == f.Size && info.ModTime().UnixNano() == f.Modified {
		return "", nil
	}
	content, err := os.Open(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer content.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if info.Mode().IsRegular() && hex.EncodeToString(sum.Sum(nil)) == f.SHA256 {
		return "", nil
	}
	return f.Name + " was changed", nil
}
