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

// place is where a deployment stands.
type place struct {
	// shown is the path as users write it.
	shown string
	// link is the symbolic link, home the folder beside it that holds the
	// releases. Both are absolute.
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
	// Deployment is the one that made the place, or took it over.
	Deployment string `json:"deployment,omitempty"`
}

// release is what a release is made of, as it stands in NAME.json.
type release struct {
	Format string `json:"format"`
	// Name is that of its folder.
	Name string `json:"name"`
	// Serial counts the releases of a place.
	Serial int64 `json:"serial"`
	// Digest is that of the artifact, Kind its kind.
	Digest string         `json:"digest"`
	Kind   string         `json:"kind"`
	Files  []deployedFile `json:"files"`
}

// deployedFile is a file of a release. Size and Modified tell cheaply whether
// it was touched, SHA256 tells surely.
type deployedFile struct {
	Name     string `json:"name"` // slash-separated
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
	SHA256   string `json:"sha256"`   // in hex
}

// foreign is the error that something at the place is not quern's.
func (p place) foreign(what string) error {
	return fmt.Errorf("%s is not quern's to change: %s\nMove it away, or deploy to another path. quern never overwrites what it did not make.", p.shown, what)
}

// current is the name of the release that the link points to. Empty: there is
// no link. What stands at the path and is no link of quern's is an error.
func (p place) current() (string, error) {
	info, err := os.Lstat(p.link)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", p.shown, err)
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
		return "", fmt.Errorf("look at %s: %w", p.shown, err)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(p.link), target)
	}
	if filepath.Dir(target) != p.home {
		return "", p.foreign("it is a link to " + target)
	}
	return filepath.Base(target), nil
}

// owner reads the mark of the folder of releases; nil: there is no folder, or
// an empty one. One that is there without quern's mark is an error.
func (p place) owner() (*owner, error) {
	text, err := os.ReadFile(filepath.Join(p.home, ownerFile))
	if err == nil {
		var o owner
		if json.Unmarshal(text, &o) != nil || o.Format != ownerFormat {
			return nil, p.foreign(fmt.Sprintf("%s has a mark of another make", p.home))
		}
		return &o, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at %s: %w", p.home, err)
	}
	entries, err := os.ReadDir(p.home)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", p.home, err)
	}
	return nil, p.foreign(fmt.Sprintf("%s is there and lacks quern's mark", p.home))
}

// takenFrom says whether another deployment has taken the place over.
func (o *owner) takenFrom(deployment string) bool {
	return o != nil && o.Deployment != "" && deployment != "" && o.Deployment != deployment
}

// claim makes the folder of releases, unless it is there, and marks it as the
// deployment's.
func (p place) claim(deployment string) error {
	found, err := p.owner()
	if err != nil || found != nil && found.Deployment == deployment {
		return err
	}
	if err := os.MkdirAll(p.home, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", p.home, err)
	}
	return writeJSON(filepath.Join(p.home, ownerFile), owner{ownerFormat, "Made by quern for " + filepath.Base(p.link) + ". Do not change what is in here.", deployment})
}

// writeJSON puts a file in its place at once.
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

// release reads what a release is made of; nil: there is no such release.
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

// releases are all releases, the oldest first.
func (p place) releases() ([]*release, error) {
	entries, err := os.ReadDir(p.home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", p.home, err)
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

// remove takes a release away: first what says that it is whole.
func (p place) remove(r *release) error {
	if err := os.Remove(filepath.Join(p.home, r.Name+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove release %s of %s: %w", r.Name, p.shown, err)
	}
	if err := os.RemoveAll(p.folder(r)); err != nil {
		return fmt.Errorf("remove release %s of %s: %w", r.Name, p.shown, err)
	}
	return nil
}

// sweep removes what an interrupted apply left: temporary folders, and
// releases that were not finished.
func (p place) sweep() error {
	entries, err := os.ReadDir(p.home)
	if err != nil {
		return fmt.Errorf("look at %s: %w", p.home, err)
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

// point exchanges the link, in one step.
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
