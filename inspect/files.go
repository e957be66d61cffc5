package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
)

// FilesFormat is the version of the JSON of [Files].
const FilesFormat = "quern.files/v1"

// Files says where the files of an artifact are. Other programs can read them,
// but must not change them: they belong to the store.
type Files struct {
	Format  string       `json:"format"`
	Address string       `json:"address"`
	Port    string       `json:"port"`
	Ref     artifact.Ref `json:"artifact"`
	// Dataset has the rows of a dataset, or those that belong to a report.
	Dataset *DatasetFiles `json:"dataset,omitempty"`
	// Files of a model or report, sorted by name.
	Files []File `json:"files,omitempty"`
}

// DatasetFiles says where the rows of a dataset are.
type DatasetFiles struct {
	Schema data.Schema  `json:"schema"` // the requested columns
	Rows   int64        `json:"rows"`
	Shards []ShardFiles `json:"shards"` // in the order of the rows
}

// ShardFiles says where consecutive rows are: in Parquet files, each of which
// has some of the columns for all of these rows.
type ShardFiles struct {
	Rows   int64       `json:"rows"`
	Groups []GroupFile `json:"groups"`
}

// GroupFile is a Parquet file and the columns to read from it.
type GroupFile struct {
	Path    string         `json:"path"` // absolute
	Columns []StoredColumn `json:"columns"`
}

// StoredColumn says under which name a file has a column.
type StoredColumn struct {
	Stored string `json:"stored"`
	Name   string `json:"name"`
}

// File is a file of a model or report.
type File struct {
	Name string `json:"name"` // slash-separated, relative
	Path string `json:"path"` // absolute
	Size int64  `json:"size"` // in bytes
}

// FilesOf returns where the files of an artifact are, for a dataset only those
// with the named columns, or all if there are no names. It verifies the files
// first. If one is missing or damaged, the error is *blob.Missing or
// *blob.Damaged.
func FilesOf(s *store.Store, a Artifact, columns []string) (*Files, error) {
	manifest, err := artifact.Get(s.Blobs, a.Ref)
	if err != nil {
		return nil, err
	}
	files := &Files{Format: FilesFormat, Address: a.Address, Port: a.Port, Ref: a.Ref}
	if manifest.Dataset == nil && len(columns) > 0 {
		return nil, diag.Failed(fmt.Sprintf("%s is a %s, which has no columns", a.Name(), a.Ref.Kind), "Omit -column.")
	}
	if manifest.Dataset != nil {
		if files.Dataset, err = datasetFiles(s, a, manifest, columns); err != nil {
			return nil, err
		}
	}
	for _, f := range manifest.Files {
		path, err := s.Blobs.Path(f.Digest)
		if err != nil {
			return nil, fmt.Errorf("file %q of %s: %w", f.Name, a.Name(), err)
		}
		files.Files = append(files.Files, File{Name: f.Name, Path: path, Size: f.Size})
	}
	return files, nil
}

func datasetFiles(s *store.Store, a Artifact, manifest *artifact.Artifact, columns []string) (*DatasetFiles, error) {
	schema, err := chosenColumns(manifest.Dataset.Schema, a.Name(), columns)
	if err != nil {
		return nil, err
	}
	shards, err := manifest.Dataset.Files(s.Blobs, schema.Names())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a.Name(), err)
	}
	files := &DatasetFiles{Schema: schema, Rows: manifest.Dataset.Rows, Shards: []ShardFiles{}}
	for _, shard := range shards {
		of := ShardFiles{Rows: shard.Rows, Groups: []GroupFile{}}
		for _, g := range shard.Groups {
			group := GroupFile{Path: g.Path}
			for _, c := range g.Columns {
				group.Columns = append(group.Columns, StoredColumn{Stored: c.Stored, Name: c.Name})
			}
			of.Groups = append(of.Groups, group)
		}
		files.Shards = append(files.Shards, of)
	}
	return files, nil
}

// chosenColumns returns the named columns, each once, or all if there are no
// names.
func chosenColumns(schema data.Schema, of string, names []string) (data.Schema, error) {
	if len(names) == 0 {
		return schema, nil
	}
	var chosen data.Schema
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		at := slices.Index(schema.Names(), name)
		if at < 0 {
			return nil, diag.Failed(fmt.Sprintf("%s has no column %q", of, name), "Its columns are %s.%s", strings.Join(schema.Names(), ", "), diag.Suggest(name, schema.Names()))
		}
		chosen = append(chosen, schema[at])
	}
	return chosen, nil
}

// Paths returns the paths of all files, in order and without duplicates.
func (f *Files) Paths() []string {
	var paths []string
	seen := map[string]bool{}
	add := func(path string) {
		if !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	if f.Dataset != nil {
		for _, shard := range f.Dataset.Shards {
			for _, group := range shard.Groups {
				add(group.Path)
			}
		}
	}
	for _, file := range f.Files {
		add(file.Path)
	}
	return paths
}
