package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/quern-dev/quern/plugins/publication"
	"github.com/quern-dev/quern/sdk/go/data"
)

// manifestFile is the object that says which objects belong to the dataset.
const manifestFile = "manifest.json"

// manifestFormat identifies the form of a manifest.
const manifestFormat = "quern.published-dataset/v1"

// manifest is the content of the object that readers start from. It is replaced with
// one request, after all objects that it lists exist.
type manifest struct {
	Format string `json:"format"`
	// Deployment distinguishes the deployment that wrote it from others with the
	// same path.
	Deployment string `json:"deployment"`
	// Artifact is the digest of the dataset.
	Artifact string      `json:"artifact"`
	Rows     int64       `json:"rows"`
	Columns  data.Schema `json:"columns"`
	// Files are the objects with the rows, in the order of the rows. Their names are
	// relative to that of the manifest.
	Files []publication.File `json:"files"`
}

// dataName matches the names of objects with rows. The hash at the end is the
// beginning of the content's SHA-256, so an object never changes.
var dataName = regexp.MustCompile(`^data/part-[0-9]+-[0-9a-f]{16}\.(parquet|jsonl|csv)$`)

// immutable returns the name of an object with rows.
func immutable(f publication.File) string {
	at := strings.LastIndexByte(f.Name, '.')
	return fmt.Sprintf("%s-%.16s%s", f.Name[:at], f.SHA256, f.Name[at:])
}

// folder is the part of a bucket that a deployment publishes to.
type folder struct {
	writable
	// path is what all names begin with. It ends with a slash.
	path string
	// address is that of the folder, for people.
	address string
}

// manifest returns the manifest and what a request must match to replace it; nil if
// there is none.
func (f *folder) manifest(ctx context.Context) (*manifest, string, error) {
	text, match, err := f.read(ctx, f.path+manifestFile)
	if err != nil || text == nil {
		return nil, match, err
	}
	m := &manifest{}
	if json.Unmarshal(text, m) != nil || m.Format != manifestFormat {
		return nil, "", fmt.Errorf("quern did not write %s%s\nPublish to another path, or delete it.", f.address, manifestFile)
	}
	return m, match, nil
}

// objects returns the objects of the folder, by their names in it.
func (f *folder) objects(ctx context.Context) (map[string]object, error) {
	all, err := f.list(ctx, f.path)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.address, err)
	}
	out := map[string]object{}
	for _, o := range all {
		out[strings.TrimPrefix(o.name, f.path)] = o
	}
	return out, nil
}

// foreign returns the names of objects that quern does not write.
func foreign(all map[string]object) []string {
	var names []string
	for name := range all {
		if !dataName.MatchString(name) && !slices.Contains([]string{manifestFile, publication.CardFile, publication.SumsFile}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// lists reports whether a manifest lists an object.
func (m *manifest) lists(name string) bool {
	return m != nil && slices.ContainsFunc(m.Files, func(f publication.File) bool { return f.Name == name })
}

// settings returns the arguments of the deployment that follow from the names of the
// objects.
func (m *manifest) settings() map[string]string {
	out := map[string]string{}
	for _, f := range m.Files {
		out["format"] = strings.TrimPrefix(path.Ext(f.Name), ".")
	}
	return out
}
