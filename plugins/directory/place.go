package directory

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// place is the location of a deployment.
type place struct {
	// shown is the path as users write it.
	shown string
	// link is the symbolic link. home is the folder next to it that contains
	// the releases. Both are absolute.
	link, home string
}

func newPlace(root, path string) place {
	link := path
	if !filepath.IsAbs(link) {
		link = filepath.Join(root, link)
	}
	link = filepath.Clean(link)
	return place{path, link, filepath.Join(filepath.Dir(link), "."+filepath.Base(link)+".quern")}
}

const (
	ownerFile   = "owner.json"
	ownerFormat = "quern.directory/v1"
	temporary   = "tmp-"
)

type owner struct {
	Format string `json:"format"`
	Note   string `json:"note"`
	// Deployment identifies the deployment that created the place or took it
	// over.
	Deployment string `json:"deployment,omitempty"`
}

// release is the content of a release, as stored in NAME.json.
type release struct {
	Format string `json:"format"`
	// Name is the name of the release's folder.
	Name string `json:"name"`
	// Serial counts the releases of a place.
	Serial int64 `json:"serial"`
	// Digest is the artifact's digest, and Kind is its kind.
	Digest string         `json:"digest"`
	Kind   string         `json:"kind"`
	Files  []deployedFile `json:"files"`
	// Settings are the arguments that affected the files.
	Settings map[string]string `json:"settings,omitempty"`
}

// deployedFile is a file of a release. Size and Modified show quickly whether
// it was touched, and SHA256 shows reliably whether it changed.
type deployedFile struct {
	Name     string `json:"name"` // slash-separated
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
	SHA256   string `json:"sha256"`   // in hex
	// From identifies what the file was written from, so that a later release can
	// link to it. It is empty for files that are always written.
	From string `json:"from,omitempty"`
}

// apartFrom reports whether neither of two places is the other one or inside it.
func (p place) apartFrom(other place) bool {
	inside := func(dir, path string) bool {
		rel, err := filepath.Rel(dir, path)
		return err != nil || rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	}
	return !inside(p.link, other.link) && !inside(other.link, p.link)
}

// foreign returns the error for something at the place that quern did not
// create.
func (p place) foreign(what string) error {
	return fmt.Errorf("quern did not create what is at %s: %s\nMove it away, or deploy to another path. quern never overwrites what it did not create.", p.shown, what)
}

// unreadable returns the error for a path at which quern cannot look.
func unreadable(path string, err error) error {
	return fmt.Errorf("cannot tell what is at %s\n%w.", path, err)
}

// current returns the name of the release that the link points to, or "" if
// there is no link. It returns an error if the path is not a link that quern
// created.
func (p place) current() (string, error) {
	info, err := os.Lstat(p.link)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", unreadable(p.shown, err)
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		what := "it is a file"
		if info.IsDir() {
			what = "it is a folder"
		}
		return "", p.foreign(what)
	}
	target, err := os.Readlink(p.link)
	if err != nil {
		return "", unreadable(p.shown, err)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(p.link), target)
	}
	if filepath.Dir(target) != p.home {
		return "", p.foreign("it is a link to " + target)
	}
	return filepath.Base(target), nil
}

// owner reads the marker in the folder of releases. It returns nil if the
// folder does not exist or is empty, and an error if a folder exists without
// quern's marker.
func (p place) owner() (*owner, error) {
	text, err := os.ReadFile(filepath.Join(p.home, ownerFile))
	if err == nil {
		var o owner
		if json.Unmarshal(text, &o) != nil || o.Format != ownerFormat {
			return nil, p.foreign(fmt.Sprintf("the marker file in %s is not one that this version of quern can read", p.home))
		}
		return &o, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(p.home, err)
	}
	entries, err := os.ReadDir(p.home)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(p.home, err)
	}
	return nil, p.foreign(fmt.Sprintf("%s already exists, but has no marker file from quern", p.home))
}

// takenFrom reports whether another deployment has taken over the place.
func (o *owner) takenFrom(deployment string) bool {
	return o != nil && o.Deployment != "" && deployment != "" && o.Deployment != deployment
}

// claim creates the folder of releases, unless it exists, and marks it as the
// deployment's own.
func (p place) claim(deployment string) error {
	found, err := p.owner()
	if err != nil || found != nil && found.Deployment == deployment {
		return err
	}
	if err := os.MkdirAll(p.home, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", p.home, err)
	}
	return writeJSON(filepath.Join(p.home, ownerFile), owner{ownerFormat, "Created by quern for " + filepath.Base(p.link) + ". Do not change anything in this folder.", deployment})
}

// writeJSON writes a file atomically.
func writeJSON(path string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	if err := renameio.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// release reads the description of a release. It returns nil if the release
// does not exist.
func (p place) release(name string) (*release, error) {
	text, err := os.ReadFile(filepath.Join(p.home, name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read release %s of %s: %w", name, p.shown, err)
	}
	var r release
	if err := json.Unmarshal(text, &r); err != nil || r.Format != ownerFormat {
		return nil, nil
	}
	return &r, nil
}

// releases returns all releases, from oldest to newest.
func (p place) releases() ([]*release, error) {
	entries, err := os.ReadDir(p.home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(p.home, err)
	}
	var out []*release
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || e.Name() == ownerFile {
			continue
		}
		r, err := p.release(name)
		if err != nil {
			return nil, err
		}
		if r != nil && r.Name == name {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *release) int { return cmp.Compare(a.Serial, b.Serial) })
	return out, nil
}

func (p place) folder(r *release) string { return filepath.Join(p.home, r.Name) }

// kept is the prefix of folders that contain foreign files from a release that
// was removed.
const kept = "kept-"

// remove removes a release, starting with the file that marks it as complete.
// It moves foreign files into a folder that quern never touches again, and
// returns their paths.
func (p place) remove(r *release) (left []string, err error) {
	folder := p.folder(r)
	foreign, err := p.foreignIn(r)
	if err == nil && len(foreign) > 0 {
		folder = filepath.Join(p.home, kept+r.Name)
		for n := 2; exists(folder); n++ {
			folder = filepath.Join(p.home, fmt.Sprintf("%s%s-%d", kept, r.Name, n))
		}
		err = os.Rename(p.folder(r), folder)
	}
	if err != nil {
		return nil, fmt.Errorf("remove release %s of %s: %w", r.Name, p.shown, err)
	}
	if err := os.Remove(filepath.Join(p.home, r.Name+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove release %s of %s: %w", r.Name, p.shown, err)
	}
	if len(foreign) == 0 {
		if err := os.RemoveAll(folder); err != nil {
			return nil, fmt.Errorf("remove release %s of %s: %w", r.Name, p.shown, err)
		}
		return nil, nil
	}
	for _, f := range r.Files {
		if err := os.Remove(filepath.Join(folder, filepath.FromSlash(f.Name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove release %s of %s: %w", r.Name, p.shown, err)
		}
	}
	for _, name := range foreign {
		left = append(left, filepath.Join(filepath.Dir(p.shown), filepath.Base(p.home), filepath.Base(folder), name))
	}
	return left, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// foreignIn lists the files in a release's folder that do not belong to the
// release.
func (p place) foreignIn(r *release) ([]string, error) {
	own := map[string]bool{}
	for _, f := range r.Files {
		own[f.Name] = true
	}
	var foreign []string
	err := filepath.WalkDir(p.folder(r), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(p.folder(r), path)
		if err == nil && !own[filepath.ToSlash(name)] {
			foreign = append(foreign, name)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return foreign, err
}

// storeFolder is the name of quern's store in the folder of a configuration,
// and storeFormat is the prefix of a store's format file.
const (
	storeFolder = ".quern"
	storeFormat = "quern.store/"
)

// apart returns an error if the place is inside a store of quern, or is a
// folder that contains this pipeline's store. It follows symbolic links.
func (p place) apart(root string) error {
	dir, rest := filepath.Dir(p.link), ""
	for {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			dir = real
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return unreadable(p.shown, err)
		}
		dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest)
	}
	for at := filepath.Join(dir, rest); at != filepath.Dir(at); at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "format"))
		if filepath.Base(at) == storeFolder || err == nil && strings.HasPrefix(string(text), storeFormat) {
			return fmt.Errorf("%s is inside quern's own store\nOnly quern writes to its store, %s. Deploy to a path outside it, such as \"serve/current\".", p.shown, at)
		}
	}
	store, err := filepath.EvalSymlinks(root)
	if err != nil {
		store = root
	}
	store = filepath.Join(store, storeFolder)
	link := filepath.Join(dir, rest, filepath.Base(p.link))
	if rel, err := filepath.Rel(link, store); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("quern's own store is inside %s\nDeploy to a path that does not contain the pipeline, such as \"serve/current\".", p.shown)
	}
	return nil
}

// sweep removes what an interrupted apply left: temporary folders and
// unfinished releases.
func (p place) sweep() error {
	entries, err := os.ReadDir(p.home)
	if err != nil {
		return unreadable(p.home, err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		r, err := p.release(e.Name())
		if err != nil {
			return err
		}
		if !strings.HasPrefix(e.Name(), temporary) && r != nil {
			continue
		}
		if !strings.HasPrefix(e.Name(), temporary) && !releaseName.MatchString(e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(p.home, e.Name())); err != nil {
			return fmt.Errorf("remove what an interrupted apply left: %w", err)
		}
	}
	return nil
}

// point replaces the link atomically.
func (p place) point(r *release) error {
	target := filepath.Join(filepath.Base(p.home), r.Name)
	if err := renameio.Symlink(target, p.link); err != nil {
		return fmt.Errorf("point %s to the new release: %w", p.shown, err)
	}
	return syncFolder(filepath.Dir(p.link))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
