package inspect

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
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
	Digest  string         `json:"digest"`
	Columns []StoredColumn `json:"columns"`
}

// StoredColumn says under which name a file has a column.
type StoredColumn struct {
	Stored string `json:"stored"`
	Name   string `json:"name"`
}

// File is a file of a model or report.
type File struct {
	Name   string `json:"name"` // slash-separated, relative
	Path   string `json:"path"` // absolute
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // in bytes
}

// FilesOf returns where the files of an artifact are, for a dataset only those
// with the named columns, or all if there are no names. If one is missing, the
// error is *blob.Missing. It does not verify the files; see [Files.Verify].
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
		path, err := s.Blobs.Locate(f.Digest)
		if err != nil {
			return nil, fmt.Errorf("file %q of %s: %w", f.Name, a.Name(), err)
		}
		files.Files = append(files.Files, File{Name: f.Name, Path: path, Digest: f.Digest, Size: f.Size})
	}
	return files, nil
}

func datasetFiles(s *store.Store, a Artifact, manifest *artifact.Artifact, columns []string) (*DatasetFiles, error) {
	schema, err := chosenColumns(manifest.Dataset.Schema, a.Name(), columns)
	if err != nil {
		return nil, err
	}
	files := &DatasetFiles{Schema: schema, Rows: manifest.Dataset.Rows, Shards: []ShardFiles{}}
	for i, shard := range manifest.Dataset.Shards {
		of, err := shardFiles(s, shard, schema.Names())
		if err != nil {
			return nil, fmt.Errorf("read %s: shard %d of %d: %w", a.Name(), i+1, len(manifest.Dataset.Shards), err)
		}
		files.Shards = append(files.Shards, of)
	}
	return files, nil
}

func shardFiles(s *store.Store, shard dataset.Shard, columns []string) (ShardFiles, error) {
	files := ShardFiles{Rows: shard.Rows, Groups: []GroupFile{}}
	parts, err := shard.Parts(columns)
	if err != nil {
		return files, err
	}
	for _, p := range parts {
		path, err := s.Blobs.Locate(p.Blob)
		if err != nil {
			return files, err
		}
		group := GroupFile{Path: path, Digest: p.Blob}
		for _, c := range p.Columns {
			group.Columns = append(group.Columns, StoredColumn{Stored: c.Stored, Name: c.Name})
		}
		files.Groups = append(files.Groups, group)
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
	for file := range f.distinct() {
		paths = append(paths, file.Path)
	}
	return paths
}

// parallelFiles is the number of files that are verified at the same time.
const parallelFiles = 4

// Verify reads the files and sets damaged ones aside. If one is missing or
// damaged, the error is *blob.Missing or *blob.Damaged.
func (f *Files) Verify(s *store.Store) error {
	group := parallel.New(parallelFiles)
	for file := range f.distinct() {
		group.Go(func() error {
			if _, err := s.Blobs.Path(file.Digest); err != nil {
				return fmt.Errorf("read %s: %w", Artifact{Address: f.Address, Port: f.Port, Ref: f.Ref}.Name(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// distinct yields each file once, in order. Those with rows have no name.
func (f *Files) distinct() iter.Seq[File] {
	return func(yield func(File) bool) {
		seen := map[string]bool{}
		for _, file := range append(f.withRows(), f.Files...) {
			if !seen[file.Digest] && !yield(file) {
				return
			}
			seen[file.Digest] = true
		}
	}
}

// withRows returns the Parquet files.
func (f *Files) withRows() []File {
	if f.Dataset == nil {
		return nil
	}
	var files []File
	for _, shard := range f.Dataset.Shards {
		for _, group := range shard.Groups {
			files = append(files, File{Path: group.Path, Digest: group.Digest})
		}
	}
	return files
}
